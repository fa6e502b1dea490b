/** `/v1/stream` over real sockets: greeting, publishing, credit, wrong frames. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "msgpackr";
import { WebSocket } from "ws";
import { limits } from "../../protocol/limits.ts";
import { keys, startGateway, tenant, until } from "./gateway-fixture.ts";

test("a key in the upgrade request or in hello opens a stream, and hello tells the limits", async (t) => {
  const { connect } = await startGateway(t);
  const byHeader = await connect(keys.write);
  const byHello = await connect();
  for (const answer of [
    await byHeader.ask({ t: "hello" }),
    await byHello.ask({ t: "hello", key: keys.write, client: "test/1" }),
  ]) {
    const { serverTimeMs, ...rest } = answer;
    assert.equal(typeof serverTimeMs, "number");
    assert.deepEqual(rest, {
      t: "hello",
      protocol: 1,
      server: "weir/0.0.0",
      tenant,
      scopes: ["write"],
      credit: 8,
      limits: { frameBytesMax: limits.frameBytesMax, frameEventsMax: limits.frameEventsMax },
    });
  }
});

test("an upgrade with a wrong key is refused with 401", async (t) => {
  const { port } = await startGateway(t);
  const answer = await refusedUpgrade(port, { Authorization: "Bearer weir_acme_wrong" });
  assert.equal(answer.status, 401);
  assert.equal(answer.type, "application/problem+json");
  assert.equal(answer.body["code"], "WEIR_AUTH_KEY_UNKNOWN");
});

test("connections past the limit are refused with 503 until one closes", async (t) => {
  const { connect, port, metricsText } = await startGateway(t, { limits: { connectionsMax: 1 } });
  const first = await connect(keys.read);
  const answer = await refusedUpgrade(port, { Authorization: `Bearer ${keys.read}` });
  assert.deepEqual([answer.status, answer.body["code"]], [503, "WEIR_CONNECTION_LIMIT"]);
  first.close();
  await first.closed;
  await until(async () => (await metricsText()).includes("weir_connections 0"));
  await connect(keys.read);
});

test("wrong or missing keys close with 4401, none in time with 4408", async (t) => {
  const { connect } = await startGateway(t, { limits: { helloTimeoutMs: 50 } });
  const wrong = await connect();
  assert.equal((await wrong.ask({ t: "hello", key: "weir_acme_wrong" }))["code"], "WEIR_AUTH_KEY_UNKNOWN");
  assert.equal((await wrong.closed).code, 4401);

  const early = await connect();
  const refusal = await early.ask({ t: "pub", seq: 1, events: [] });
  assert.deepEqual([refusal["code"], refusal["seq"]], ["WEIR_AUTH_KEY_MISSING", 1]);
  assert.equal((await early.closed).code, 4401);

  const silent = await connect();
  assert.equal((await silent.next())["code"], "WEIR_AUTH_HELLO_TIMEOUT");
  assert.equal((await silent.closed).code, 4408);
});

test("a connection cannot change its tenant", async (t) => {
  const { connect } = await startGateway(t);
  const socket = await connect(keys.write);
  const refusal = await socket.ask({ t: "hello", key: keys.other });
  assert.deepEqual([refusal["code"], refusal["path"]], ["WEIR_FRAME_FIELD_INVALID", "key"]);
});

test("a revoked key closes its open sockets within a second, and no others", async (t) => {
  const { connect, control } = await startGateway(t);
  const revoked = await connect(keys.write);
  const other = await connect(keys.read);
  await revoked.ask({ t: "ping" });
  const startMs = performance.now();
  control.owners.delete(keys.write);
  assert.equal((await revoked.closed).code, 4401);
  assert.ok(performance.now() - startMs < 1_000);
  assert.equal((await other.ask({ t: "ping", id: 3 }))["id"], 3);
});

test("a key that expires closes its open sockets and opens no other", async (t) => {
  const { connect, control, request } = await startGateway(t);
  const expiring = await connect(keys.write);
  const other = await connect(keys.read);
  await expiring.ask({ t: "ping" });
  const owner = control.owners.get(keys.write);
  assert.ok(owner !== undefined);
  control.owners.set(keys.write, { ...owner, expiresMs: Date.now() });
  assert.equal((await expiring.next())["code"], "WEIR_AUTH_KEY_EXPIRED");
  assert.equal((await expiring.closed).code, 4401);
  assert.equal((await other.ask({ t: "ping", id: 3 }))["id"], 3);
  const late = await connect();
  assert.equal((await late.ask({ t: "hello", key: keys.write }))["code"], "WEIR_AUTH_KEY_EXPIRED");
  assert.equal((await late.closed).code, 4401);
  assert.equal((await request("/v1/events", { method: "POST", body: "{}", key: keys.write })).status, 401);
});

test("acks list only what is not plainly accepted", async (t) => {
  const { connect, publisher } = await startGateway(t);
  const socket = await connect(keys.write);
  assert.deepEqual(await socket.ask({ t: "pub", seq: 1, events: [{ eventId: "a" }, { eventId: "b" }] }), {
    t: "ack",
    seq: 1,
    totalEvents: 2,
    successfulEvents: 2,
    failedEvents: 0,
    receipt: "0:1",
    credit: 2,
  });
  const events = [{ eventId: "c" }, { eventId: "a" }, { eventId: "d", verdict: "late" }, { eventId: "e", verdict: "type" }];
  const ack = await socket.ask({ t: "pub", seq: 2, events });
  assert.deepEqual([ack["totalEvents"], ack["successfulEvents"], ack["failedEvents"]], [4, 2, 2]);
  assert.deepEqual(ack["results"], [
    {
      index: 1,
      eventId: "a",
      success: true,
      duplicate: true,
      code: "WEIR_EVENT_DUPLICATE",
      error: "An event with this eventId was counted before.",
    },
    {
      index: 2,
      eventId: "d",
      success: false,
      code: "WEIR_EVENT_LATE",
      error: "The event is older than the lateness horizon; it is kept as a dead letter.",
    },
    {
      index: 3,
      eventId: "e",
      success: false,
      code: "WEIR_EVENT_FIELD_TYPE",
      error: "A field has the wrong type.",
      path: "source",
    },
  ]);
  assert.equal(publisher.requests[1]?.tenant, tenant);
  assert.deepEqual(publisher.requests[1]?.events, events);
});

test("a refused frame gets an error with its seq; the connection lives", async (t) => {
  const { connect, publisher } = await startGateway(t);
  const socket = await connect(keys.write);
  publisher.refusal = { kind: "refused", code: "WEIR_FLOW_OVERLOADED", path: "events" };
  const refusal = await socket.ask({ t: "pub", seq: 5, events: [] });
  assert.deepEqual(refusal, {
    t: "error",
    seq: 5,
    code: "WEIR_FLOW_OVERLOADED",
    message: "The server takes no more events right now.",
    retryable: true,
    path: "events",
  });
  publisher.refusal = undefined;
  assert.equal((await socket.ask({ t: "pub", seq: 6, events: [] }))["t"], "ack");
});

test("scopes are checked per frame", async (t) => {
  const { connect } = await startGateway(t);
  const reader = await connect(keys.read);
  const refusal = await reader.ask({ t: "pub", seq: 1, events: [] });
  assert.deepEqual([refusal["code"], refusal["seq"]], ["WEIR_AUTH_SCOPE_MISSING", 1]);
  const writer = await connect(keys.write);
  const denied = await writer.ask({ t: "sub", id: 9, channel: "events" });
  assert.deepEqual([denied["code"], denied["id"]], ["WEIR_AUTH_SCOPE_MISSING", 9]);
  const admin = await connect(keys.admin);
  assert.equal((await admin.ask({ t: "pub", seq: 1, events: [] }))["t"], "ack");
});

test("a frame beyond the credit is refused and the ones within it are acked", async (t) => {
  const { connect, publisher } = await startGateway(t, { limits: { creditFrames: 2 } });
  const socket = await connect(keys.write);
  publisher.holding = true;
  socket.send({ t: "pub", seq: 1, events: [] });
  socket.send({ t: "pub", seq: 2, events: [] });
  const refusal = await socket.ask({ t: "pub", seq: 3, events: [] });
  assert.deepEqual([refusal["code"], refusal["seq"], refusal["retryable"]], ["WEIR_FLOW_CREDIT_EXCEEDED", 3, true]);
  publisher.release();
  assert.deepEqual([(await socket.next())["seq"], (await socket.next())["seq"]], [1, 2]);
  assert.equal((await socket.ask({ t: "pub", seq: 4, events: [] }))["t"], "ack");
});

test("a new connection's credit grows with its acks to the most that it may have, and no further", async (t) => {
  const { connect } = await startGateway(t, { limits: { creditFrames: 10 } });
  const socket = await connect(keys.write);
  const { credit } = await socket.ask({ t: "hello" });
  assert.equal(credit, limits.creditFramesAtStart);
  let granted = Number(credit);
  for (let seq = 1; seq <= 6; seq++) {
    granted += Number((await socket.ask({ t: "pub", seq, events: [] }))["credit"]) - 1;
    assert.equal(granted, Math.min(10, limits.creditFramesAtStart + seq));
  }
});

test("under pressure acks hold credit back and a credit frame returns it", async (t) => {
  const { connect, publisher } = await startGateway(t, { limits: { mailboxBytesMax: 10_000 } });
  const socket = await connect(keys.write);
  publisher.holding = true;
  const events = [{ eventId: "a", padding: "x".repeat(2_500) }];
  for (let seq = 1; seq <= 3; seq++) socket.send({ t: "pub", seq, events });
  await until(() => publisher.held === 3);
  publisher.release();
  const frames = [await socket.next(), await socket.next(), await socket.next(), await socket.next()];
  const acks = frames.filter((frame) => frame["t"] === "ack");
  assert.equal(acks.length, 3);
  assert.equal(acks[0]?.["credit"], 0);
  assert.equal(frames.find((frame) => frame["t"] === "credit")?.["credit"], 2);
  // Three for the three frames, and one more because it is not under pressure any more.
  assert.equal(
    frames.reduce((sum, frame) => sum + Number(frame["credit"]), 0),
    4,
  );
});

test("what is no frame costs a coded error, not the connection", async (t) => {
  const { connect, metricsText } = await startGateway(t);
  const socket = await connect(keys.write);
  socket.sendRaw("text");
  assert.equal((await socket.next())["code"], "WEIR_FRAME_NOT_BINARY");
  socket.sendRaw(Uint8Array.of(0xc1, 0xff));
  assert.equal((await socket.next())["code"], "WEIR_FRAME_MALFORMED");
  socket.sendRaw(new Uint8Array(0));
  assert.equal((await socket.next())["code"], "WEIR_FRAME_MALFORMED");
  assert.equal((await socket.ask({ t: "nonsense", seq: 4 }))["code"], "WEIR_FRAME_TYPE_UNKNOWN");
  const wrong = await socket.ask({ t: "unsub", id: "x" });
  assert.deepEqual([wrong["code"], wrong["path"]], ["WEIR_FRAME_FIELD_INVALID", "id"]);
  const noSeq = await socket.ask({ t: "pub", events: [] });
  assert.deepEqual([noSeq["code"], noSeq["path"]], ["WEIR_FRAME_FIELD_INVALID", "seq"]);
  const noEvents = await socket.ask({ t: "pub", seq: 7, events: "many" });
  assert.deepEqual([noEvents["code"], noEvents["path"]], ["WEIR_FRAME_FIELD_INVALID", "events"]);
  const noChannel = await socket.ask({ t: "sub", id: 5 });
  assert.deepEqual([noChannel["code"], noChannel["path"], noChannel["id"]], ["WEIR_FRAME_FIELD_INVALID", "channel", 5]);
  assert.equal((await socket.ask([1]))["code"], "WEIR_FRAME_TYPE_UNKNOWN");
  // Only the head can be read: the answer still names the frame.
  socket.sendRaw(encode({ t: "pub", seq: 8, events: [{ eventId: "cut off" }] }).subarray(0, -3));
  const cut = await socket.next();
  assert.deepEqual([cut["code"], cut["seq"]], ["WEIR_FRAME_MALFORMED", 8]);
  assert.equal((await socket.ask({ t: "ping" }))["t"], "pong");
  assert.match(await metricsText(), /weir_refusals_total\{code="WEIR_FRAME_MALFORMED"\} 3/);
});

test("bytes that are no frame go to the journal, from one who may write, and from nobody else", async (t) => {
  const { connect, publisher } = await startGateway(t);
  const garbage = Uint8Array.of(0xc1, 0xff);
  const [anonymous, reader, writer] = [await connect(), await connect(keys.read), await connect(keys.write)];
  for (const socket of [anonymous, reader, writer]) {
    socket.sendRaw(garbage);
    const refusal = await socket.next();
    assert.deepEqual([refusal["code"], refusal["seq"]], ["WEIR_FRAME_MALFORMED", undefined]);
  }
  assert.deepEqual(publisher.undecodable, [garbage]);
});

test("too many wrong frames end the connection with 4400", async (t) => {
  const { connect } = await startGateway(t, { limits: { errorsPerConnectionMax: 2 } });
  const socket = await connect(keys.write);
  for (let count = 0; count < 3; count++) socket.sendRaw("text");
  const codes = [];
  for (let count = 0; count < 4; count++) codes.push((await socket.next())["code"]);
  assert.equal(codes[3], "WEIR_CONNECTION_ABUSED");
  assert.equal((await socket.closed).code, 4400);
});

test("refusals that are not the sender's fault never end the connection", async (t) => {
  const { connect, publisher } = await startGateway(t, { limits: { errorsPerConnectionMax: 0 } });
  const socket = await connect(keys.write);
  const codes = ["WEIR_FLOW_OVERLOADED", "WEIR_DISK_FULL", "WEIR_HOST_FAILED", "WEIR_TENANT_STATE_FULL"] as const;
  for (const [seq, code] of codes.entries()) {
    publisher.refusal = { kind: "refused", code };
    assert.equal((await socket.ask({ t: "pub", seq, events: [{ eventId: "e" }] }))["code"], code);
  }
  publisher.refusal = undefined;
  assert.equal((await socket.ask({ t: "pub", seq: 9, events: [{ eventId: "e" }] }))["t"], "ack");
});

test("a frame that is too large is refused by code and closes with 1009; a far larger one just ends", async (t) => {
  const { connect } = await startGateway(t, { limits: { frameBytesMax: 1_000 } });
  const socket = await connect(keys.write);
  const refusal = await socket.ask({ t: "pub", seq: 1, events: [{ eventId: "x".repeat(2_000) }] });
  assert.equal(refusal["code"], "WEIR_FRAME_TOO_LARGE");
  assert.equal((await socket.closed).code, 1009);
  const huge = await connect(keys.write);
  huge.sendRaw(new Uint8Array(3 * 1024 * 1024));
  assert.equal((await huge.closed).code, 1006);
});

test("an unexpected failure reads WEIR_INTERNAL, closes with 1011, and is logged without payload", async (t) => {
  const { connect, publisher, logLines } = await startGateway(t);
  const socket = await connect(keys.write);
  publisher.explodes = true;
  const refusal = await socket.ask({ t: "pub", seq: 1, events: [{ eventId: "payload-text" }] });
  assert.deepEqual([refusal["code"], refusal["seq"]], ["WEIR_INTERNAL", 1]);
  assert.doesNotMatch(JSON.stringify(refusal), /secret inside/);
  assert.equal((await socket.closed).code, 1011);
  assert.match(logLines.join(""), /secret inside/);
  assert.doesNotMatch(logLines.join(""), /payload-text|weir_acme_w/);
});

test("a socket that is gone before its ack is not touched, and its bytes are given back", async (t) => {
  const { connect, publisher, metricsText } = await startGateway(t);
  const socket = await connect(keys.write);
  publisher.holding = true;
  socket.send({ t: "pub", seq: 1, events: [{ eventId: "a" }] });
  await until(() => publisher.held === 1);
  socket.terminate();
  await until(async () => (await metricsText()).includes("weir_connections 0"));
  publisher.release();
  await until(async () => (await metricsText()).includes("weir_admission_held_bytes 0"));
});

test("drain refuses what is new, acks what is in flight, then closes with 1012", async (t) => {
  const { connect, publisher, gateway, request } = await startGateway(t);
  const socket = await connect(keys.write);
  // A kept-alive HTTP connection, because no new one is accepted while draining.
  await (await request("/healthz")).text();
  publisher.holding = true;
  socket.send({ t: "pub", seq: 1, events: [] });
  await until(() => publisher.held === 1);
  const drained = gateway.drain();
  const refusal = await socket.ask({ t: "pub", seq: 2, events: [] });
  assert.deepEqual([refusal["code"], refusal["seq"], refusal["retryable"]], ["WEIR_FLOW_DRAINING", 2, true]);
  publisher.release();
  assert.deepEqual([(await socket.next())["seq"], (await socket.closed).code], [1, 1012]);
  await drained;
  await assert.rejects(connect(keys.write));
});

test("drain does not wait longer than it may", async (t) => {
  const { connect, publisher, gateway, logLines } = await startGateway(t, { drainTimeoutMs: 20 });
  const socket = await connect(keys.write);
  publisher.holding = true;
  socket.send({ t: "pub", seq: 1, events: [] });
  await until(() => publisher.held === 1);
  await gateway.drain();
  assert.equal((await socket.closed).code, 1012);
  assert.match(logLines.join(""), /drain timed out/);
  publisher.release();
});

function refusedUpgrade(
  port: number,
  headers: Record<string, string>,
): Promise<{ status: number; type: string | undefined; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`, { headers });
    socket.on("error", () => undefined);
    socket.on("open", () => reject(new Error("the upgrade was not refused")));
    socket.on("unexpected-response", (_request, response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        const body = JSON.parse(text) as Record<string, unknown>;
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"], body });
      });
    });
  });
}
