import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { connect, type ConnectOptions, type WeirClient } from "../../client/index.ts";
import { FakeServer, until } from "./fake-server.ts";

let server: FakeServer;
let clients: WeirClient[];

beforeEach(async () => {
  server = await FakeServer.start();
  clients = [];
});

afterEach(async () => {
  for (const client of clients) await client.close({ timeoutMs: 0 });
  await server.stop();
});

function open(options: Partial<ConnectOptions> = {}): WeirClient {
  const client = connect({
    url: server.url,
    key: "weir_demo_good",
    lingerMs: 0,
    retry: { delayMsMin: 1, delayMsMax: 5 },
    ...options,
  });
  clients.push(client);
  return client;
}

function events(count: number, first = 0): { eventId: string; eventType: string; timestamp: number }[] {
  return Array.from({ length: count }, (_, at) => ({
    eventId: `e${first + at}`,
    eventType: "view",
    timestamp: 1_700_000_000_000,
  }));
}

const ids = (count: number) => events(count).map((event) => event.eventId);

test("an event without id and time gets both, and its verdict", async () => {
  const client = open({ defaults: { source: "web", context: { platform: "linux" } } });
  const verdict = await client.track({ eventType: "view", properties: { a: 1, b: undefined }, context: { deviceType: "tv" } });
  assert.equal(verdict.success, true);
  assert.equal(verdict.duplicate, false);
  assert.match(verdict.eventId, /^[0-9a-f-]{36}$/);
  const sent = server.frames[0]?.events[0];
  assert.equal(sent?.["eventId"], verdict.eventId);
  assert.equal(sent?.["source"], "web");
  assert.deepEqual(sent?.["properties"], { a: 1 });
  assert.deepEqual(sent?.["context"], { userAgent: "", ipAddress: "", deviceType: "tv", platform: "linux" });
  assert.ok(Math.abs(Number(sent?.["timestamp"]) - Date.now()) < 60_000);
});

test("with `complete: false` events go as they are", async () => {
  await open({ complete: false }).publish([{ eventType: "view" }]);
  assert.deepEqual(server.frames[0]?.events[0], { eventType: "view" });
});

test("one call over several frames resolves once, with the positions of what was not plainly accepted", async () => {
  const client = open({ batchEvents: 10 });
  const batch = events(35).map((event, at) => (at === 17 ? { ...event, eventType: "bad" } : event));
  await client.publish([batch[30] ?? {}]);
  const result = await client.publish(batch);
  assert.equal(result.totalEvents, 35);
  assert.equal(result.successfulEvents, 34);
  assert.equal(result.failedEvents, 1);
  assert.equal(result.duplicateEvents, 1);
  assert.deepEqual(
    result.results.map(({ index, eventId, code }) => ({ index, eventId, code })),
    [
      { index: 17, eventId: "e17", code: "WEIR_EVENT_FIELD_TYPE" },
      { index: 30, eventId: "e30", code: "WEIR_EVENT_DUPLICATE" },
    ],
  );
  const { sent, acked, failed, duplicates, buffered } = client.stats;
  assert.deepEqual({ sent, acked, failed, duplicates, buffered }, { sent: 36, acked: 36, failed: 1, duplicates: 1, buffered: 0 });
});

test("single events that are tracked together share a frame", async () => {
  const client = open({ lingerMs: 20 });
  const verdicts = await Promise.all(events(50).map((event) => client.track(event)));
  assert.deepEqual(
    verdicts.map((verdict) => verdict.eventId),
    ids(50),
  );
  assert.equal(server.frames.length, 1);
});

test("an empty call resolves at once", async () => {
  assert.equal((await open().publish([])).totalEvents, 0);
});

test("what a lost connection left unanswered is sent again with the same ids, in order, before anything new", async () => {
  let drops = 0;
  server.react = ({ seq }) => (seq === 2 && drops++ < 3 ? { kind: "drop", take: drops === 2 } : { kind: "ack" });
  const client = open({ batchEvents: 10 });
  const result = await client.publish(events(100));
  assert.equal(result.failedEvents, 0);
  assert.deepEqual(server.accepted, ids(100));
  assert.ok(client.stats.resent > 0);
  assert.equal(client.stats.reconnects, 3);
});

test("a server that goes away with 1012 gets the rest after it is back", async () => {
  let restarted = false;
  server.react = () => {
    if (restarted) return { kind: "ack" };
    restarted = true;
    return { kind: "drop", take: false, code: 1012 };
  };
  assert.equal((await open().publish(events(5))).successfulEvents, 5);
  assert.equal(server.connections.length, 2);
});

test("never more frames are unanswered than the credit allows, also when acks hold credit back", async () => {
  server.credit = 3;
  server.ackCredit = 0;
  server.react = () => ({ kind: "hold" });
  const done = open({ batchEvents: 1 }).publish(events(12));
  for (let round = 0; round < 4; round++) {
    await until("three frames in flight", () => server.held.length === 3);
    const held = server.held;
    server.held = [];
    // In another order than they came.
    for (const frame of held.toReversed()) server.ack(frame);
    server.connections[0]?.send({ t: "credit", credit: 3 });
  }
  assert.equal((await done).successfulEvents, 12);
  assert.equal(server.inFlightMax, 3);
});

test("a retryable refusal is tried again, and nothing new overtakes it", async () => {
  const refused = new Set<number>();
  server.react = ({ seq }) => {
    if (seq % 3 !== 0 || refused.has(seq)) return { kind: "ack" };
    refused.add(seq);
    return { kind: "refuse", code: "WEIR_FLOW_OVERLOADED", retryable: true };
  };
  const result = await open({ batchEvents: 1, inFlightMax: 1 }).publish(events(12));
  assert.equal(result.successfulEvents, 12);
  assert.deepEqual(server.accepted, ids(12));
  assert.equal(server.duplicates, 0);
});

test("a server that takes one frame now and then gets one at a time, at growing pauses, and in the end all", async () => {
  // As for a tenant whose state is full: most frames are refused, some are let through.
  const sentMs: number[] = [];
  let refusals = 0;
  server.react = () => {
    sentMs.push(Date.now());
    if (refusals++ % 7 === 6 || refusals > 60) return { kind: "ack" };
    return { kind: "refuse", code: "WEIR_TENANT_STATE_FULL", retryable: true };
  };
  const client = open({ batchEvents: 1, inFlightMax: 4, retry: { delayMsMin: 8, delayMsMax: 32 } });
  const result = await client.publish(events(20));
  assert.deepEqual([result.successfulEvents, result.failedEvents], [20, 0]);
  assert.deepEqual([server.accepted.toSorted(), server.duplicates], [ids(20).toSorted(), 0]);
  const [first = 0] = sentMs;
  // The first four at once, then at least half of 8, 16, 32 ms between two of them.
  assert.ok((sentMs[6] ?? 0) - first >= 4 + 8 + 16, JSON.stringify(sentMs.slice(0, 7)));
  assert.equal(server.connections.length, 1, "the connection stays");
});

test("a refusal that no retry can help fails its events only", async () => {
  server.react = ({ seq }) =>
    seq === 2 ? { kind: "refuse", code: "WEIR_AUTH_SCOPE_MISSING", retryable: false } : { kind: "ack" };
  const result = await open({ batchEvents: 2 }).publish(events(6));
  assert.deepEqual(
    result.results.map(({ index, success, code }) => ({ index, success, code })),
    [2, 3].map((index) => ({ index, success: false, code: "WEIR_AUTH_SCOPE_MISSING" })),
  );
  assert.deepEqual(server.accepted, ["e0", "e1", "e4", "e5"]);
});

test("a wrong key ends every call and is not tried again", async () => {
  const client = open({ key: "weir_demo_bad" });
  await assert.rejects(client.publish(events(3)), { code: "WEIR_AUTH_KEY_UNKNOWN" });
  await assert.rejects(client.track({}), { code: "WEIR_AUTH_KEY_UNKNOWN" });
  assert.equal(server.connections.length, 1);
});

test("an unreachable server is given up after the bound, and tried again by the next call", async () => {
  const client = open({ url: "http://127.0.0.1:9", retry: { delayMsMin: 1, delayMsMax: 2, giveUpAfterMs: 20 } });
  await assert.rejects(client.publish(events(1)), { code: "WEIR_CLIENT_UNREACHABLE" });
  await assert.rejects(client.publish(events(1)), { code: "WEIR_CLIENT_UNREACHABLE" });
});

test("a full buffer refuses with a code when asked to", async () => {
  server.react = () => ({ kind: "hold" });
  const client = open({ onFull: "reject", bufferEvents: 10, batchEvents: 5 });
  const first = client.publish(events(10));
  await assert.rejects(client.track(events(1, 10)[0] ?? {}), { code: "WEIR_CLIENT_BUFFER_FULL" });
  await until("both frames", () => server.held.length === 2);
  for (const frame of server.held) server.ack(frame);
  assert.equal((await first).successfulEvents, 10);
  assert.equal((await client.publish([])).totalEvents, 0);
});

test("a full buffer makes calls wait for room, in order, and a signal ends the wait", async () => {
  const client = open({ bufferEvents: 4, batchEvents: 2 });
  server.react = () => ({ kind: "hold" });
  const first = client.publish(events(6));
  const abort = new AbortController();
  const second = client.publish(events(2, 6), abort.signal);
  const third = client.publish(events(1, 8));
  let room = false;
  const hasRoom = client.room().then(() => (room = true));
  await until("two frames", () => server.held.length === 2);
  assert.equal(client.stats.buffered, 4);
  abort.abort(new Error("no more"));
  await assert.rejects(second, /no more/);
  assert.equal(room, false);
  server.react = () => ({ kind: "ack" });
  for (const frame of server.held) server.ack(frame);
  await Promise.all([first, third, hasRoom]);
  assert.deepEqual(server.accepted, ["e0", "e1", "e2", "e3", "e4", "e5", "e8"]);
});

test("an event that cannot be sent fails alone", async () => {
  const huge = { eventId: "huge", timestamp: 1, properties: { text: "x".repeat(5 * 1024 * 1024) } };
  const result = await open().publish([...events(2), huge, ...events(2, 2)]);
  assert.deepEqual(
    result.results.map(({ index, code }) => ({ index, code })),
    [{ index: 2, code: "WEIR_FRAME_TOO_LARGE" }],
  );
  assert.deepEqual(server.accepted, ids(4));
});

test("big events are split over frames by bytes", async () => {
  const big = events(20).map((event) => ({ ...event, properties: { text: "x".repeat(10_000) } }));
  await open({ batchBytes: 20_000 }).publish(big);
  assert.deepEqual(server.accepted, ids(20));
  assert.ok(server.frames.every((frame) => frame.events.length <= 4));
});

test("a frame that a proxy finds too large ends with a verdict, not in a loop", async () => {
  server.react = ({ events: taken }) => (taken.length > 1 ? { kind: "drop", take: false, code: 1009 } : { kind: "ack" });
  const result = await open().publish(events(3));
  assert.deepEqual(
    result.results.map(({ code }) => code),
    Array(3).fill("WEIR_FRAME_TOO_LARGE"),
  );
});

test("flush waits for everything before it; close says what has no verdict", async () => {
  const client = open({ lingerMs: 60_000 });
  const call = client.publish(events(3));
  await client.flush();
  assert.equal((await call).successfulEvents, 3);
  server.react = () => ({ kind: "hold" });
  const lost = client.publish(events(2, 3));
  assert.deepEqual(await client.close({ timeoutMs: 30 }), { abandonedEvents: 2 });
  await assert.rejects(lost, { code: "WEIR_CLIENT_CLOSED" });
  await assert.rejects(client.track({}), { code: "WEIR_CLIENT_CLOSED" });
});

test("an abort signal closes the client", async () => {
  server.react = () => ({ kind: "hold" });
  const abort = new AbortController();
  const call = open({ signal: abort.signal }).publish(events(2));
  await until("the frame", () => server.held.length === 1);
  abort.abort();
  await assert.rejects(call, { code: "WEIR_CLIENT_CLOSED" });
});

test("a quiet connection is asked whether it is still there", async () => {
  let pings = 0;
  server.onMessage = (message) => (pings += message["t"] === "ping" ? 1 : 0);
  const client = open({ pingAfterMs: 20 });
  await client.publish(events(2));
  await until("a ping", () => pings >= 1);
});

test("a connection that says nothing is replaced", async () => {
  server.react = ({ connection }) => ({ kind: connection.number === 0 ? "hold" : "ack" });
  const client = open({ pingAfterMs: 20 });
  assert.equal((await client.publish(events(2))).successfulEvents, 2);
  assert.ok(server.connections.length >= 2);
});
