import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { connect, type ChannelChange, type WeirClient } from "../../client/index.ts";
import { FakeServer, until, type FakeConnection, type Message } from "./fake-server.ts";

let server: FakeServer;
let client: WeirClient;
let subs: { message: Message; connection: FakeConnection }[];

beforeEach(async () => {
  server = await FakeServer.start();
  subs = [];
  server.onMessage = (message, connection) => {
    if (message["t"] === "sub") subs.push({ message, connection });
  };
  client = connect({ url: server.url, key: "weir_demo_good", retry: { delayMsMin: 1, delayMsMax: 5 } });
});

afterEach(async () => {
  await client.close({ timeoutMs: 0 });
  await server.stop();
});

const window = { from: 0, to: 60_000 };

function snap(at: number, seq: number, values: readonly Message[], epoch = "a"): void {
  const sub = subs[at];
  const id = sub?.message["id"];
  sub?.connection.send({ t: "snap", id, channel: "events@5m", epoch, seq, window, cause: "snapshot", values });
}

function delta(seq: number, values: readonly Message[], more: Message = {}): void {
  const frame = { t: "delta", channel: "events@5m", every: 1000, epoch: "a", seq, window, cause: "live", values, ...more };
  subs.at(-1)?.connection.send(frame);
}

test("a subscription has the snapshot, then the deltas, by callback", async () => {
  const changes: ChannelChange[] = [];
  const subscription = client.subscribe("events", { every: 1500 }, (change) => changes.push(change));
  await until("the sub", () => subs.length === 1);
  assert.deepEqual(subs[0]?.message, { t: "sub", id: 1, channel: "events@5m", every: 1000 });
  snap(0, 4, [
    { country: "DE", count: 1 },
    { country: null, count: 2 },
  ]);
  delta(5, [{ country: "DE", count: 3 }]);
  delta(5, [{ country: "DE", count: 99 }]);
  delta(1, [{ country: "DE", count: 98 }], { every: 100 });
  delta(6, [{ country: null, removed: true }], { cause: "late" });
  await until("three changes", () => changes.length === 3);
  await subscription.ready;
  assert.deepEqual([...subscription.rows.values()], [{ country: "DE", count: 3 }]);
  assert.deepEqual(
    changes.map(({ cause, seq }) => [cause, seq]),
    [
      ["snapshot", 4],
      ["live", 5],
      ["late", 6],
    ],
  );
  assert.deepEqual(subscription.window, window);
});

test("a gap is repaired with the last position, over the same id", async () => {
  const subscription = client.subscribe("events", { every: 1000 });
  await until("the sub", () => subs.length === 1);
  snap(0, 1, [{ count: 1 }]);
  delta(3, [{ count: 3 }]);
  await until("the second sub", () => subs.length === 2);
  assert.deepEqual(subs[1]?.message["since"], { epoch: "a", seq: 1 });
  assert.equal(subs[1]?.message["id"], 1);
  delta(4, [{ count: 4 }]);
  snap(1, 4, [{ count: 4 }]);
  await until("the repair", () => subscription.seq === 4);
  assert.deepEqual([...subscription.rows.values()], [{ count: 4 }]);
  assert.equal(client.stats.gaps, 1);
});

test("after a lost connection it goes on from where it was", async () => {
  const subscription = client.subscribe("events", { every: 1000 });
  await until("the sub", () => subs.length === 1);
  snap(0, 7, [{ count: 7 }]);
  await subscription.ready;
  subs[0]?.connection.terminate();
  await until("the second sub", () => subs.length === 2);
  assert.deepEqual(subs[1]?.message["since"], { epoch: "a", seq: 7 });
  subs[1]?.connection.send({ t: "resumed", id: 1, channel: "events@5m", epoch: "a", seq: 8 });
  delta(8, [{ count: 8 }]);
  await until("the missed delta", () => subscription.seq === 8);
});

test("a slow iterator gets joined changes, and ends with the subscription", async () => {
  const subscription = client.subscribe("events", { every: 1000 });
  const iterator = subscription[Symbol.asyncIterator]();
  await until("the sub", () => subs.length === 1);
  snap(0, 1, [{ country: "DE", count: 1 }]);
  delta(2, [{ country: "AT", count: 2 }]);
  delta(3, [{ country: "DE", removed: true }]);
  await until("all", () => subscription.seq === 3);
  const { value } = await iterator.next();
  assert.deepEqual(value?.changed, [{ country: "AT", count: 2 }]);
  assert.deepEqual(value?.removed, [{ country: "DE", removed: true }]);
  assert.equal(value?.seq, 3);
  const next = iterator.next();
  subscription.close();
  assert.equal((await next).done, true);
});

test("what the server refuses ends the subscription; a retryable refusal does not", async () => {
  const subscription = client.subscribe("nothing");
  const step = subscription[Symbol.asyncIterator]().next();
  await until("the sub", () => subs.length === 1);
  subs[0]?.connection.send({ t: "error", id: 1, code: "WEIR_HOST_FAILED", message: "", retryable: true });
  await until("another try", () => subs.length === 2);
  subs[1]?.connection.send({
    t: "error",
    id: 1,
    code: "WEIR_METRIC_UNKNOWN",
    message: "none",
    retryable: false,
    path: "channel",
  });
  await assert.rejects(step, { code: "WEIR_METRIC_UNKNOWN", path: "channel" });
  await assert.rejects(subscription.ready, { code: "WEIR_METRIC_UNKNOWN" });
  assert.throws(() => client.subscribe("a@b"), { code: "WEIR_CHANNEL_INVALID" });
});
