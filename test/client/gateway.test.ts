/** The client and the gateway as they are, so that the two readings of docs/protocol.md are one. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { connect, type ConnectOptions, type WeirClient } from "../../client/index.ts";
import { keys, startGateway, type Fixture } from "../server/gateway-fixture.ts";
import { until } from "./fake-server.ts";

function open(t: TestContext, { url }: Fixture, options: Partial<ConnectOptions> = {}): WeirClient {
  const client = connect({ url, key: keys.admin, lingerMs: 0, retry: { delayMsMin: 1, delayMsMax: 5 }, ...options });
  t.after(() => client.close({ timeoutMs: 0 }));
  return client;
}

test("verdicts of a batch come back at their positions", async (t) => {
  const gateway = await startGateway(t);
  const client = open(t, gateway, { batchEvents: 2, complete: false });
  const result = await client.publish([
    { eventId: "a" },
    { eventId: "b", verdict: "late" },
    { eventId: "a" },
    { eventId: "c", verdict: "type" },
    { eventId: "d" },
  ]);
  assert.deepEqual(
    result.results.map(({ index, eventId, success, duplicate, code, path }) => [index, eventId, success, duplicate, code, path]),
    [
      [1, "b", false, false, "WEIR_EVENT_LATE", undefined],
      [2, "a", true, true, "WEIR_EVENT_DUPLICATE", undefined],
      [3, "c", false, false, "WEIR_EVENT_FIELD_TYPE", "source"],
    ],
  );
  assert.equal(result.successfulEvents, 3);
});

test("far more frames than the credit pass without one refusal", async (t) => {
  const gateway = await startGateway(t);
  const client = open(t, gateway, { batchEvents: 1 });
  const result = await client.publish(Array.from({ length: 500 }, (_, at) => ({ eventId: `e${at}` })));
  assert.equal(result.successfulEvents, 500);
  assert.equal(client.stats.resent, 0);
});

test("an overloaded host gets the same events again", async (t) => {
  const gateway = await startGateway(t);
  gateway.publisher.refusal = { kind: "refused", code: "WEIR_FLOW_OVERLOADED" };
  const client = open(t, gateway);
  const call = client.publish([{ eventId: "a" }]);
  await until("two tries", () => gateway.publisher.requests.length >= 2);
  gateway.publisher.refusal = undefined;
  assert.equal((await call).successfulEvents, 1);
  assert.ok(client.stats.resent >= 1);
});

test("a wrong key and a missing scope are errors with their codes", async (t) => {
  const gateway = await startGateway(t);
  await assert.rejects(open(t, gateway, { key: "weir_acme_x" }).track({}), { code: "WEIR_AUTH_KEY_UNKNOWN" });
  const verdict = await open(t, gateway, { key: keys.read }).track({});
  assert.equal(verdict.code, "WEIR_AUTH_SCOPE_MISSING");
  await assert.rejects(open(t, gateway, { key: keys.write }).catalog(), { code: "WEIR_AUTH_SCOPE_MISSING", status: 403 });
});

test("a subscription gets its snapshot, and an unknown metric its error", async (t) => {
  const gateway = await startGateway(t);
  const client = open(t, gateway);
  const subscription = client.subscribe("events@1h");
  await subscription.ready;
  assert.deepEqual([...subscription.rows.values()], [{ count: 3 }]);
  assert.deepEqual([subscription.epoch, subscription.seq], ["e1", 7]);
  subscription.close();
  await until("the channel is closed", () => gateway.channels.log.includes("close acme/events@1h/100"));
  await assert.rejects(client.subscribe("nothing").ready, { code: "WEIR_METRIC_UNKNOWN", path: "channel" });
});

test("every question has its route", async (t) => {
  const client = open(t, await startGateway(t));
  assert.equal((await client.query({ metrics: ["events"], timeRange: { last: "1h" } })).metadata.queryId, "q");
  await assert.rejects(client.query({ metrics: ["nope"], timeRange: { last: "1h" } }), {
    code: "WEIR_METRIC_UNKNOWN",
    path: "metrics[0]",
  });
  assert.deepEqual((await client.realtime(["events"], "1h")).metrics, [{ name: "events", value: "1h", timestamp: 1 }]);
  assert.equal((await client.defineMetric({ name: "clicks", aggregates: ["count"] })).name, "clicks");
  assert.ok((await client.catalog()).some((metric) => metric.name === "clicks"));
  await client.removeMetric("clicks");
  assert.equal((await client.session("s/1")).events, 1);
  assert.equal((await client.deadLetters({ limit: 5, code: "WEIR_EVENT_LATE" })).ledger.imbalance, 0);
  assert.equal((await client.startExport({ last: "1h" })).id, "x1");
  assert.equal((await client.exportStatus("x1")).status, "done");
});
