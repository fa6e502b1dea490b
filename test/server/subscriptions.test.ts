/** Subscribing over real sockets: snapshot, deltas, sharing of a topic, resuming, and that every opening is given back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { topicOf } from "../../workers/ports.ts";
import { keys, startGateway, tenant, until } from "./gateway-fixture.ts";

const address = { tenant, metric: "events", window: "1m", everyMs: 100 } as const;
const topic = topicOf(address);

test("a snapshot, then deltas, until unsub", async (t) => {
  const { connect, channels } = await startGateway(t);
  const socket = await connect(keys.read);
  assert.deepEqual(await socket.ask({ t: "sub", id: 1, channel: "events@1m" }), {
    t: "snap",
    id: 1,
    channel: "events@1m",
    epoch: "e1",
    seq: 7,
    window: { from: 0, to: 60_000 },
    cause: "snapshot",
    values: [{ count: 3 }],
  });
  channels.delta(address);
  assert.deepEqual(await socket.next(), { t: "delta", channel: "events@1m", every: 100, seq: 8 });
  assert.deepEqual(await socket.ask({ t: "unsub", id: 1 }), { t: "unsubbed", id: 1 });
  channels.delta(address);
  assert.equal((await socket.ask({ t: "ping" }))["t"], "pong");
  assert.deepEqual(channels.log, [`open ${topic}`, `close ${topic}`]);
});

test("two ids on one topic share its deltas and end one by one", async (t) => {
  const { connect, channels } = await startGateway(t);
  const socket = await connect(keys.read);
  await socket.ask({ t: "sub", id: 1, channel: "events@1m" });
  await socket.ask({ t: "sub", id: 2, channel: "events@1m", every: 120 });
  channels.delta(address);
  assert.equal((await socket.next())["seq"], 8);
  assert.equal((await socket.ask({ t: "unsub", id: 1 }))["t"], "unsubbed");
  channels.delta(address);
  assert.equal((await socket.next())["seq"], 9);
  socket.close();
  await until(() => channels.log.filter((line) => line.startsWith("close")).length === 2);
});

test("a topic of one tenant does not reach another", async (t) => {
  const { connect, channels } = await startGateway(t);
  const other = await connect(keys.other);
  await other.ask({ t: "sub", id: 1, channel: "events@1m" });
  channels.delta(address);
  assert.equal((await other.ask({ t: "ping" }))["t"], "pong");
});

test("the same id again repairs a gap: a new snapshot, one opening left", async (t) => {
  const { connect, channels } = await startGateway(t);
  const socket = await connect(keys.read);
  await socket.ask({ t: "sub", id: 1, channel: "events@1m" });
  assert.equal((await socket.ask({ t: "sub", id: 1, channel: "events@1m" }))["t"], "snap");
  assert.deepEqual(channels.log, [`open ${topic}`, `open ${topic}`, `close ${topic}`]);
  channels.delta(address);
  assert.equal((await socket.next())["t"], "delta");
});

test("since resumes with the missed deltas", async (t) => {
  const { connect } = await startGateway(t);
  const socket = await connect(keys.read);
  const first = await socket.ask({ t: "sub", id: 1, channel: "events@1m", since: { epoch: "e1", seq: 4 } });
  assert.deepEqual(first, { t: "resumed", id: 1, channel: "events@1m", epoch: "e1", seq: 4 });
  assert.equal((await socket.next())["seq"], 5);
  assert.equal((await socket.ask({ t: "sub", id: 2, channel: "events@1m", since: { epoch: "e0", seq: 4 } }))["t"], "snap");
});

test("an opening that ends before it is answered is given back all the same", async (t) => {
  const { connect, channels } = await startGateway(t);
  channels.slow = true;
  const socket = await connect(keys.read);
  socket.send({ t: "sub", id: 1, channel: "events@1m" });
  assert.equal((await socket.ask({ t: "unsub", id: 1 }))["t"], "unsubbed");
  socket.send({ t: "sub", id: 2, channel: "events@1m" });
  await until(() => channels.log.length === 2);
  socket.close();
  await socket.closed;
  channels.openNow();
  assert.deepEqual(channels.log, [`open ${topic}`, `open ${topic}`, `close ${topic}`, `close ${topic}`]);
});

test("refusals name the subscription and what is wrong", async (t) => {
  const { connect, channels } = await startGateway(t, { limits: { subscriptionsPerConnectionMax: 1 } });
  const socket = await connect(keys.read);
  const refusals: [object, string, number][] = [
    [{ t: "sub", id: 1, channel: "nothing" }, "WEIR_METRIC_UNKNOWN", 1],
    [{ t: "sub", id: 2, channel: "events@2m" }, "WEIR_CHANNEL_INVALID", 2],
    [{ t: "unsub", id: 3 }, "WEIR_SUBSCRIPTION_UNKNOWN", 3],
  ];
  for (const [frame, code, id] of refusals) {
    const refusal = await socket.ask(frame);
    assert.deepEqual([refusal["t"], refusal["code"], refusal["id"]], ["error", code, id]);
  }
  channels.refuses = true;
  assert.equal((await socket.ask({ t: "sub", id: 4, channel: "events" }))["code"], "WEIR_SUBSCRIPTION_LIMIT");
  assert.ok(!channels.log.some((line) => line.startsWith("close")));
  channels.refuses = false;
  assert.equal((await socket.ask({ t: "sub", id: 5, channel: "events" }))["t"], "snap");
  assert.equal((await socket.ask({ t: "sub", id: 6, channel: "events" }))["code"], "WEIR_SUBSCRIPTION_LIMIT");
});

test("snapshots and deltas of one turn keep their order", async (t) => {
  const { connect, channels } = await startGateway(t);
  const socket = await connect(keys.read);
  await socket.ask({ t: "sub", id: 1, channel: "events@1m" });
  channels.slow = true;
  socket.send({ t: "sub", id: 2, channel: "events@1m" });
  await until(() => channels.log.length === 2);
  channels.delta(address);
  channels.openNow();
  channels.delta(address);
  const types = [await socket.next(), await socket.next(), await socket.next()].map((frame) => [frame["t"], frame["seq"]]);
  assert.deepEqual(types, [
    ["delta", 8],
    ["snap", 7],
    ["delta", 9],
  ]);
});

test("a slow reader misses deltas, sees the gap, and asks again; nobody else waits", async (t) => {
  const { connect, channels } = await startGateway(t, { limits: { subscriberBacklogBytesMax: 64 * 1024 } });
  const slow = await connect(keys.read);
  const quick = await connect(keys.read);
  await slow.ask({ t: "sub", id: 1, channel: "events@1m" });
  await quick.ask({ t: "sub", id: 1, channel: "events@1m" });
  slow.pause();
  const deltas = 400;
  for (let count = 0; count < deltas; count++) {
    channels.delta(address, "x".repeat(64 * 1024));
    await quick.next();
  }
  slow.resume();
  let seq = 7;
  let gap = false;
  while (!gap) {
    const delta = await slow.next();
    gap = delta["seq"] !== seq + 1;
    seq = Number(delta["seq"]);
    // The last ones may be those that are missing: one more shows it.
    if (!gap) channels.delta(address);
  }
  slow.send({ t: "sub", id: 1, channel: "events@1m" });
  let frame = await slow.next();
  while (frame["t"] !== "snap") frame = await slow.next();
  channels.delta(address);
  assert.equal((await slow.next())["t"], "delta");
});
