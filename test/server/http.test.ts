/** The HTTP API over real sockets: bodies and their limits, keys, scopes, problems, every route once. */
import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { encode } from "msgpackr";
import { limits } from "../../protocol/limits.ts";
import { keys, startGateway, until, type Fixture } from "./gateway-fixture.ts";

type Body = Readonly<Record<string, unknown>>;

async function bodyOf(response: Response): Promise<Body> {
  return (await response.json()) as Body;
}

async function assertProblem(response: Response, status: number, code: string, path?: string): Promise<Body> {
  const body = await bodyOf(response);
  assert.deepEqual([response.status, body["status"], body["code"], body["path"]], [status, status, code, path]);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.equal(body["type"], `urn:weir:error:${code}`);
  assert.equal(typeof body["title"], "string");
  assert.equal(typeof body["detail"], "string");
  assert.equal(typeof body["retryable"], "boolean");
  assert.equal(body["requestId"], response.headers.get("x-request-id"));
  return body;
}

function post(
  { request }: Fixture,
  path: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
  key = keys.admin,
) {
  // `fetch` calls a text "text/plain" unless told otherwise.
  const typed = typeof body === "string" ? { "Content-Type": "application/json", ...headers } : headers;
  return request(path, { method: "POST", body, headers: typed, key });
}

test("events as JSON (one, a list, a map), NDJSON, msgpack and gzip give a result for each", async (t) => {
  const fixture = await startGateway(t);
  const e = (eventId: string) => ({ eventId });
  const bodies: [string | Uint8Array, Record<string, string>, number][] = [
    [Buffer.from(JSON.stringify(e("a"))), {}, 1],
    [JSON.stringify([e("b"), e("c")]), { "Content-Type": "application/json; charset=utf-8" }, 2],
    [JSON.stringify({ events: [e("d")] }), { "Content-Type": "application/json" }, 1],
    [`${JSON.stringify(e("f"))}\n${JSON.stringify(e("g"))}\n`, { "Content-Type": "application/x-ndjson" }, 2],
    [encode({ events: [e("h")] }), { "Content-Type": "application/msgpack" }, 1],
    [gzipSync(JSON.stringify([e("i"), e("j")])), { "Content-Type": "application/json", "Content-Encoding": "gzip" }, 2],
  ];
  for (const [body, headers, count] of bodies) {
    const response = await post(fixture, "/v1/events", body, headers, keys.write);
    assert.equal(response.status, 200);
    const answer = await bodyOf(response);
    assert.deepEqual([answer["totalEvents"], answer["successfulEvents"], answer["failedEvents"]], [count, count, 0]);
    assert.equal((answer["results"] as unknown[]).length, count);
    assert.match(String(answer["receipt"]), /^0:\d+$/);
  }
  const mixed = await bodyOf(await post(fixture, "/v1/events", JSON.stringify([e("k"), e("a"), { ...e("l"), verdict: "late" }])));
  assert.deepEqual(mixed["results"], [
    { index: 0, eventId: "k", success: true },
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
      eventId: "l",
      success: false,
      code: "WEIR_EVENT_LATE",
      error: "The event is older than the lateness horizon; it is kept as a dead letter.",
    },
  ]);
  assert.match(await fixture.metricsText(), /weir_events_total\{code="accepted"\} 10\n/);
});

test("an answer comes only when the events are on disk", async (t) => {
  const fixture = await startGateway(t);
  fixture.publisher.holding = true;
  let answered = false;
  const response = post(fixture, "/v1/events", "{}").then((each) => {
    answered = true;
    return each;
  });
  await until(() => fixture.publisher.held === 1);
  await (await fixture.request("/healthz")).text();
  assert.equal(answered, false);
  fixture.publisher.release();
  assert.equal((await response).status, 200);
});

test("keys: missing, unknown, wrong scheme, wrong scope, revoked", async (t) => {
  const fixture = await startGateway(t);
  const { request, control } = fixture;
  const missing = await request("/v1/metrics-catalog");
  assert.match(String(missing.headers.get("www-authenticate")), /^Bearer/);
  await assertProblem(missing, 401, "WEIR_AUTH_KEY_MISSING");
  await assertProblem(await request("/v1/metrics-catalog", { key: "weir_acme_no" }), 401, "WEIR_AUTH_KEY_UNKNOWN");
  await assertProblem(await request("/v1/metrics-catalog?page=2"), 401, "WEIR_AUTH_KEY_MISSING");
  const basic = await request("/v1/metrics-catalog", { headers: { Authorization: "Basic abc" } });
  await assertProblem(basic, 401, "WEIR_AUTH_KEY_UNKNOWN", "authorization");
  await assertProblem(await post(fixture, "/v1/events", "{}", {}, keys.read), 403, "WEIR_AUTH_SCOPE_MISSING");
  await assertProblem(await request("/v1/dead-letters", { key: keys.read }), 403, "WEIR_AUTH_SCOPE_MISSING");
  control.owners.delete(keys.read);
  await assertProblem(await request("/v1/metrics-catalog", { key: keys.read }), 401, "WEIR_AUTH_KEY_UNKNOWN");
});

test("bodies: unsupported types, malformed gzip, bombs, too large", async (t) => {
  const fixture = await startGateway(t);
  const { publisher, metricsText } = fixture;
  const type = (name: string, value: string) => ({ [name]: value });
  await assertProblem(
    await post(fixture, "/v1/events", "a=b", type("Content-Type", "application/x-www-form-urlencoded")),
    415,
    "WEIR_BODY_TYPE_UNSUPPORTED",
    "content-type",
  );
  await assertProblem(
    await post(fixture, "/v1/events", "{}", type("Content-Encoding", "br")),
    415,
    "WEIR_BODY_TYPE_UNSUPPORTED",
    "content-encoding",
  );
  await assertProblem(
    await post(fixture, "/v1/events", "no gzip", type("Content-Encoding", "gzip")),
    400,
    "WEIR_FRAME_MALFORMED",
  );
  await assertProblem(await post(fixture, "/v1/events", "{broken"), 400, "WEIR_FRAME_MALFORMED");
  const bomb = gzipSync(Buffer.alloc(limits.requestBodyBytesMax + 1, 32));
  assert.ok(bomb.length < 32 * 1024);
  await assertProblem(await post(fixture, "/v1/events", bomb, type("Content-Encoding", "gzip")), 413, "WEIR_FRAME_TOO_LARGE");
  await assertProblem(await post(fixture, "/v1/query", " ".repeat(limits.queryBodyBytesMax + 1)), 413, "WEIR_FRAME_TOO_LARGE");
  assert.equal(publisher.requests.length, 0);
  await until(async () => (await metricsText()).includes("weir_admission_held_bytes 0"));
});

test("a chunked body is cut off at the limit", async (t) => {
  const { port } = await startGateway(t);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { Authorization: `Bearer ${keys.read}`, "Transfer-Encoding": "chunked" };
    const request = httpRequest({ port, path: "/v1/query", method: "POST", headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
      request.destroy();
    });
    request.on("error", reject);
    for (let count = 0; count < 5; count++) request.write(" ".repeat(limits.queryBodyBytesMax / 4));
  });
  assert.equal(status, 413);
});

test("a body of ambiguous length is refused and ends the connection", async (t) => {
  const { port } = await startGateway(t);
  const socket = connectTcp(port, "127.0.0.1");
  const lengths = "Content-Length: 2\r\nContent-Length: 40\r\n";
  socket.write(`POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${keys.write}\r\n${lengths}\r\n{}`);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  assert.match(text, /^HTTP\/1\.1 400 /);
});

test("all bodies together have a bound", async (t) => {
  const fixture = await startGateway(t, { limits: { mailboxBytesMax: 100 } });
  const response = await post(fixture, "/v1/events", JSON.stringify({ eventId: "x".repeat(200) }));
  assert.equal(response.headers.get("retry-after"), "1");
  await assertProblem(response, 503, "WEIR_FLOW_OVERLOADED");
  assert.equal((await post(fixture, "/v1/events", "{}")).status, 200);
});

test("a client that goes away while it sends leaves nothing held", async (t) => {
  const { port, metricsText } = await startGateway(t);
  const request = httpRequest({
    port,
    path: "/v1/events",
    method: "POST",
    headers: { Authorization: `Bearer ${keys.write}`, "Content-Length": "1000" },
  });
  request.on("error", () => undefined);
  request.write("x".repeat(500));
  await until(async () => (await metricsText()).includes("weir_admission_held_bytes 500"));
  request.destroy();
  await until(async () => (await metricsText()).includes("weir_admission_held_bytes 0"));
});

test("unknown routes and methods, HEAD and OPTIONS", async (t) => {
  const { request } = await startGateway(t);
  await assertProblem(await request("/nothing"), 404, "WEIR_HTTP_NOT_FOUND");
  await assertProblem(await request("/v1/sessions/a/b", { key: keys.read }), 404, "WEIR_HTTP_NOT_FOUND");
  const wrong = await request("/v1/events", { method: "PUT", key: keys.write, body: "{}" });
  assert.equal(wrong.headers.get("allow"), "POST, OPTIONS");
  await assertProblem(wrong, 405, "WEIR_HTTP_METHOD");
  await assertProblem(await request("/v1/stream"), 400, "WEIR_FRAME_FIELD_INVALID", "upgrade");
  const options = await request("/v1/metrics-catalog", { method: "OPTIONS" });
  assert.deepEqual([options.status, options.headers.get("allow")], [204, "GET, HEAD, POST, OPTIONS"]);
  const head = await request("/healthz", { method: "HEAD" });
  assert.deepEqual([head.status, head.headers.get("content-length"), await head.text()], [200, "15", ""]);
});

test("query: the checked request goes to the service, errors read as failures of a query", async (t) => {
  const fixture = await startGateway(t);
  const ask = (request: object) => post(fixture, "/v1/query", JSON.stringify(request), {}, keys.read);
  const response = await ask({ metrics: ["events"], timeRange: { from: 0, to: "2024-01-01T00:00:00Z" } });
  assert.equal(response.status, 200);
  const [row] = (await bodyOf(response))["data"] as [Body];
  assert.deepEqual(row["request"], {
    metrics: ["events"],
    dimensions: [],
    filters: [],
    timeRange: { kind: "span", fromMs: 0, toMs: Date.UTC(2024, 0, 1) },
    granularity: "all",
    source: "auto",
  });
  const unknown = await assertProblem(
    await ask({ metrics: ["nope"], timeRange: { last: "15m" } }),
    404,
    "WEIR_METRIC_UNKNOWN",
    "metrics[0]",
  );
  assert.equal(unknown["detail"], "Query execution failed: No metric has this name.");
  const invalid = await assertProblem(await ask({ metrics: ["events"] }), 400, "WEIR_QUERY_INVALID", "timeRange");
  assert.match(String(invalid["detail"]), /^Query execution failed: The query is not valid\. `timeRange`: /);
  await assertProblem(await post(fixture, "/v1/query", "{", {}, keys.read), 400, "WEIR_QUERY_INVALID");
});

test("an unexpected failure tells nothing of the inside and is logged", async (t) => {
  const queryService = {
    query: () => Promise.reject(new TypeError("secret inside")),
    realtime: () => Promise.reject(new TypeError("secret inside")),
  };
  const fixture = await startGateway(t, { queryService });
  const body = JSON.stringify({ metrics: ["events"], timeRange: { last: "15m" } });
  const problem = await assertProblem(await post(fixture, "/v1/query", body), 500, "WEIR_INTERNAL");
  assert.doesNotMatch(JSON.stringify(problem), /secret/);
  const line = JSON.parse(fixture.logLines[0] ?? "{}") as Body;
  assert.deepEqual([line["msg"], line["route"], line["requestId"]], ["request failed", "/v1/query", problem["requestId"]]);
  assert.doesNotMatch(fixture.logLines.join(""), /weir_acme/);
});

test("queries have a bound, and one tenant cannot take all of it", async (t) => {
  const finish: (() => void)[] = [];
  const queryService = {
    query: () => Promise.reject(new Error("not asked")),
    realtime: () =>
      new Promise<{ metrics: []; unknown: []; timestamp: number }>((resolve) => {
        finish.push(() => resolve({ metrics: [], unknown: [], timestamp: 1 }));
      }),
  };
  const { request } = await startGateway(t, { limits: { concurrentQueriesMax: 2 }, queryService });
  const first = request("/v1/realtime?names=events", { key: keys.read });
  await until(() => finish.length === 1);
  const busy = await request("/v1/realtime?names=events", { key: keys.read });
  assert.equal(busy.headers.get("retry-after"), "1");
  await assertProblem(busy, 429, "WEIR_QUERY_BUSY");
  const other = request("/v1/realtime?names=events", { key: keys.other });
  await until(() => finish.length === 2);
  for (const each of finish) each();
  assert.deepEqual([(await first).status, (await other).status], [200, 200]);
});

test("realtime", async (t) => {
  const { request } = await startGateway(t);
  const answer = await bodyOf(await request("/v1/realtime?names=events,errors.rate&window=hour", { key: keys.read }));
  assert.deepEqual(answer, {
    metrics: [
      { name: "events", value: "hour", timestamp: 1 },
      { name: "errors.rate", value: "hour", timestamp: 1 },
    ],
    unknown: [],
    timestamp: 1,
    refreshInterval: 30_000,
  });
  await assertProblem(await request("/v1/realtime", { key: keys.read }), 400, "WEIR_QUERY_INVALID", "names");
  const wrong = await request("/v1/realtime?names=events&window=2m", { key: keys.read });
  await assertProblem(wrong, 400, "WEIR_QUERY_INVALID", "window");
});

test("the catalog: list, define, define again, conflict, remove", async (t) => {
  const fixture = await startGateway(t);
  const { request, defined } = fixture;
  const list = await bodyOf(await request("/v1/metrics-catalog", { key: keys.read }));
  assert.deepEqual((list["metrics"] as Body[])[0]?.["outputs"], ["count", "rate"]);
  const definition = { name: "views", aggregates: ["count"], filter: { all: [{ field: "eventType", value: "view" }] } };
  const create = (body: object) => post(fixture, "/v1/metrics-catalog", JSON.stringify(body));
  const created = await create(definition);
  assert.equal(created.status, 201);
  assert.equal((await bodyOf(created))["seriesMax"], 10_000);
  assert.ok(defined[0]?.includes("views"));
  assert.equal((await create(definition)).status, 200);
  await assertProblem(await create({ ...definition, aggregates: ["rate"] }), 409, "WEIR_METRIC_EXISTS");
  const invalid = { ...definition, filter: { all: [{ field: "nowhere", value: 1 }] } };
  await assertProblem(await create(invalid), 422, "WEIR_METRIC_INVALID", "filter.all[0].field");
  await assertProblem(await create({ ...definition, colour: 1 }), 422, "WEIR_METRIC_INVALID", "colour");
  const remove = () => request("/v1/metrics-catalog/views", { method: "DELETE", key: keys.admin });
  assert.equal((await remove()).status, 204);
  assert.ok(!defined.at(-1)?.includes("views"));
  await assertProblem(await remove(), 404, "WEIR_METRIC_UNKNOWN", "name");
});

test("sessions, dead letters, exports", async (t) => {
  const fixture = await startGateway(t);
  const { request } = fixture;
  assert.equal((await bodyOf(await request("/v1/sessions/s%2F1", { key: keys.read })))["sessionId"], "s/1");
  await assertProblem(await request("/v1/sessions/none", { key: keys.read }), 404, "WEIR_SESSION_UNKNOWN", "id");

  const letters = await bodyOf(await request("/v1/dead-letters?limit=5&code=WEIR_EVENT_FIELD_TYPE", { key: keys.admin }));
  assert.deepEqual([(letters["deadLetters"] as Body[])[0]?.["offset"], (letters["ledger"] as Body)["imbalance"]], [5, 0]);
  await assertProblem(await request("/v1/dead-letters?limit=0", { key: keys.admin }), 400, "WEIR_QUERY_INVALID", "limit");
  await assertProblem(await request("/v1/dead-letters?code=no", { key: keys.admin }), 400, "WEIR_QUERY_INVALID", "code");

  const started = await post(fixture, "/v1/exports", JSON.stringify({ timeRange: { last: "24h" }, format: "ndjson" }));
  assert.deepEqual([started.status, started.headers.get("location")], [202, "/v1/exports/x1"]);
  assert.deepEqual(await bodyOf(started), { id: "x1", status: "running" });
  assert.equal((await bodyOf(await request("/v1/exports/x1", { key: keys.admin })))["status"], "done");
  await assertProblem(await request("/v1/exports/x2", { key: keys.admin }), 404, "WEIR_JOB_UNKNOWN", "id");
  const wrong = await post(fixture, "/v1/exports", JSON.stringify({ timeRange: { last: "24h" }, format: "csv" }));
  await assertProblem(wrong, 400, "WEIR_QUERY_INVALID", "format");
});

test("two gateways cannot share a port", async (t) => {
  const { port } = await startGateway(t);
  await assert.rejects(startGateway(t, { port }), { code: "WEIR_START_PORT_IN_USE" });
});

test("the audit log: the tenant's own entries, with who made them and from where", async (t) => {
  const fixture = await startGateway(t);
  const { request, control } = fixture;
  control.recorded.push({ log: "other", atMs: 1, by: "server", action: "key.create", detail: { keyId: "o" } });
  await post(fixture, "/v1/exports", JSON.stringify({ timeRange: { last: "24h" }, format: "ndjson" }));
  const answer = await bodyOf(await request("/v1/audit-log", { key: keys.admin }));
  const [entry, ...more] = answer["entries"] as Body[];
  assert.deepEqual([more.length, answer["removed"]], [0, 0]);
  const { action, by, remoteAddress, detail } = entry ?? {};
  assert.deepEqual([action, by, remoteAddress, detail], ["export.start", "key:a", "127.0.0.1", { exportId: "x1" }]);
  await assertProblem(await request("/v1/audit-log", { key: keys.read }), 403, "WEIR_AUTH_SCOPE_MISSING");
  for (const [query, path] of [
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["before=x", "before"],
  ] as const) {
    await assertProblem(await request(`/v1/audit-log?${query}`, { key: keys.admin }), 400, "WEIR_QUERY_INVALID", path);
  }
});
