/**
 * What one tenant is told about the names of another is what it is told about names that nobody has, byte for byte apart from
 * ids and times: on every route and frame, in `/metrics` and in the log. And what it does changes nothing for the other.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  event,
  nameless,
  names,
  plain,
  plainFrame,
  startTwoTenants,
  type Answer,
  type TwoTenants,
} from "../support/two-tenants.ts";

let two: TwoTenants;
let loggedBefore = 0;

before(async () => {
  two = await startTwoTenants();
  loggedBefore = two.logLines.length;
});
after(async () => {
  two.watcher.terminate();
  await two.real.close();
});

interface Probe {
  readonly path: string;
  readonly method?: string;
  readonly body?: unknown;
}

/** One for each way to name something. `at` 0: what the other tenant has; 1: what nobody has. */
function probesOf(at: 0 | 1): readonly Probe[] {
  const [metric, session, type] = [names.metric[at], names.session[at], names.type[at]];
  const query = (more: object) => ({ path: "/v1/query", method: "POST", body: { timeRange: { last: "1h" }, ...more } });
  const byType = "events_by_type_and_country";
  return [
    { path: "/v1/metrics-catalog" },
    { path: `/v1/sessions/${session}` },
    { path: `/v1/realtime?names=${metric}` },
    { path: `/v1/realtime?names=${metric}.count,events` },
    query({ metrics: [metric] }),
    query({ metrics: [`${metric}.p95`] }),
    query({ metrics: ["events", metric], source: "live" }),
    query({ metrics: [metric], source: "raw" }),
    query({ metrics: ["events"], dimensions: [type] }),
    query({ metrics: ["events"], filters: [{ dimension: type, op: "eq", value: "x" }] }),
    query({ metrics: [byType], dimensions: ["eventType"], filters: [{ dimension: "eventType", op: "eq", value: type }] }),
    { path: `/v1/exports/${session}` },
    // Another's receipt, and one that nobody ever got.
    {
      path: "/v1/receipts/verify",
      method: "POST",
      body: { receipt: at === 0 ? two.proof : two.proof.replace(/.{22}$/, "A".repeat(22)) },
    },
    { path: `/v1/dead-letters?code=${type}` },
    { path: `/v1/audit-log?before=${metric}` },
    { path: `/v1/metrics-catalog/${metric}`, method: "DELETE" },
    { path: "/v1/metrics-catalog", method: "POST", body: { name: metric, aggregates: ["nothing"] } },
    { path: "/v1/metrics-catalog", method: "POST", body: { name: metric, aggregates: ["mean"], value: "properties.x" } },
    { path: "/v1/metrics-catalog", method: "POST", body: { name: metric, aggregates: ["count"] } },
    { path: `/v1/metrics-catalog/${metric}`, method: "DELETE" },
    { path: "/v1/events", method: "POST", body: [event(names.event[at], session, type)] },
    { path: `/v1/sessions/${session}` },
  ];
}

function send({ path, method = "GET", body }: Probe): Promise<Answer> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
  return two.ask(two.keys.brook, path, init);
}

/** The route that a probe's path belongs to, as the server describes it. */
function routeOf(path: string, method: string, routes: readonly string[]): string | undefined {
  const [bare = ""] = path.split("?");
  return routes.find((route) => route === `${method} ${bare}` || route === `${method} ${bare.replace(/[^/]+$/, "{}")}`);
}

test("every route answers to the other tenant's names as to names that nobody has", async () => {
  const described = JSON.parse((await two.ask(two.keys.brook, "/openapi.json")).body) as { paths: Record<string, object> };
  const routes = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{.*\}/, "{}")}`),
  );
  const asked = new Set<string | undefined>();
  const [foreign, absent] = [probesOf(0), probesOf(1)];
  for (const [index, probe] of foreign.entries()) {
    const other = absent[index];
    assert.ok(other !== undefined);
    const [left, right] = [await send(probe), await send(other)];
    const what = `${probe.method ?? "GET"} ${probe.path} ${JSON.stringify(probe.body)}`;
    assert.equal(left.status, right.status, what);
    assert.equal(nameless(plain(left.body)), nameless(plain(right.body)), what);
    assert.equal(nameless(left.headers), nameless(right.headers), what);
    if (!what.includes("aqua")) assert.ok(!left.body.includes("aqua"), what);
    asked.add(routeOf(probe.path, probe.method ?? "GET", routes));
  }
  // Routes that take a name or an id: those are the ones to ask with another's.
  const naming = routes.filter((route) => route.endsWith("{}") || /realtime|query|events|receipts|catalog/.test(route));
  assert.deepEqual(
    naming.filter((route) => !asked.has(route)),
    [],
    "a probe for each route that takes names",
  );
});

test("every frame is answered to the other tenant's names as to names that nobody has", async () => {
  const answersTo = async (at: 0 | 1): Promise<string[]> => {
    const socket = await two.open(two.keys.brook);
    const [metric, type] = [names.metric[at], names.type[at]];
    const frames = [
      { t: "hello", client: metric },
      { t: "sub", id: 7, channel: metric },
      { t: "sub", id: 7, channel: `${metric}@24h`, since: { epoch: "e", seq: 1 } },
      { t: "sub", id: 7, channel: `${metric}@nothing` },
      // Open on the other tenant's connection.
      { t: "unsub", id: 1 },
      { t: "pub", seq: 1, events: [{ ...event(`${names.event[at]}x`, names.session[at], type) }] },
      { t: "pub", seq: 2, events: [{ eventId: names.event[at] }] },
      { t: type },
    ];
    const answers: string[] = [];
    for (const frame of frames) answers.push(nameless(plainFrame(await socket.ask(frame))));
    socket.terminate();
    return answers;
  };
  const [foreign, absent] = [await answersTo(0), await answersTo(1)];
  assert.deepEqual(foreign, absent);
  assert.match(foreign[1] ?? "", /WEIR_METRIC_UNKNOWN/);
  assert.match(foreign[5] ?? "", /"successfulEvents":1/, "the other tenant's event id is no duplicate");
});

test("a wrong key of a tenant that exists reads like one of a tenant that does not", async () => {
  const secret = "x".repeat(32);
  const [exists, not] = [
    await two.ask(`weir_aqua_${secret}`, "/v1/metrics-catalog"),
    await two.ask(`weir_none_${secret}`, "/v1/metrics-catalog"),
  ];
  assert.deepEqual([exists.status, exists.headers, plain(exists.body)], [not.status, not.headers, plain(not.body)]);
  const closedBy = async (tenant: string) => {
    const socket = await two.open(undefined);
    const frame = plainFrame(await socket.ask({ t: "hello", key: `weir_${tenant}_${secret}` }));
    return [frame, await socket.closed];
  };
  assert.deepEqual(await closedBy("aqua"), await closedBy("none"));
});

test("nothing that the one tenant did has reached the other", async () => {
  const { ask, keys, watcher } = two;
  const jsonOf = async (path: string) => JSON.parse((await ask(keys.aqua, path)).body) as Record<string, unknown>;
  const session = await jsonOf(`/v1/sessions/${names.session[0]}`);
  assert.equal(session["events"], 1);
  const { ledger } = (await jsonOf("/v1/dead-letters")) as { ledger: Record<string, number> };
  assert.deepEqual([ledger["received"], ledger["accepted"], ledger["duplicate"]], [2, 1, 0]);
  const { metrics } = (await jsonOf(`/v1/realtime?names=${names.metric[0]}&window=24h`)) as { metrics: { value: unknown }[] };
  assert.equal(metrics[0]?.value, 1);
  const { entries } = (await jsonOf("/v1/audit-log")) as { entries: { action: string; detail: { metric?: string } }[] };
  assert.deepEqual(
    entries.filter(({ action }) => action.startsWith("metric.")).map(({ detail }) => detail.metric),
    [names.metric[0]],
  );
  // The metric that brook defined under the same name, and its events, are no deltas here.
  assert.equal((await watcher.ask({ t: "ping", id: 5 }))["t"], "pong");
});

test("/metrics names no tenant, and nothing of one", async () => {
  const text = await (await fetch(`${two.real.url}/metrics`)).text();
  assert.match(text, /weir_events_total/);
  assert.doesNotMatch(text, /aqua|brook|tenant|none[-_]/);
});

test("the log of all this has no key, and no word of the other tenant", () => {
  const lines = two.logLines.join("");
  for (const key of Object.values(two.keys)) assert.ok(!lines.includes(key.slice(-32)), "a key was logged");
  assert.ok(!lines.includes("x".repeat(32)), "a wrong key was logged");
  assert.doesNotMatch(two.logLines.slice(loggedBefore).join(""), /aqua/);
});
