/**
 * Bad input against a real server (promises 3, 4, 12): each item gets its coded answer with the path of what is wrong, its
 * neighbours in the batch are accepted, the process lives, and the next event of a well-behaved client still counts. In the
 * end every refused event is a dead letter with its code, and the ledger balances: one server's, over all cases, which is why
 * they stand in one file.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { connect, type WeirClient } from "../../client/index.ts";
import type { ErrorCode } from "../../protocol/error-codes.ts";
import { limits } from "../../protocol/limits.ts";
import { DAY_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { TestSocket, type Frame } from "../server/gateway-fixture.ts";
import { ServerProcess } from "../support/server-process.ts";
import { event, isJson, nested, packr, spliced, usableIdOf, without, type Event } from "./bad-events.ts";

const tenant = "strangers";
let server: ServerProcess;
let keys: Readonly<Record<"write" | "read" | "admin", string>>;
let good: WeirClient;
let socket: TestSocket;

/** What the server must know of in the end. */
const expected = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
const refused: { eventId: string; code: string; path: string | null }[] = [];

before(async () => {
  server = await ServerProcess.create({ hostThreads: 0, partitions: 4 });
  const [write, read, admin] = [
    await server.newKey(tenant, ["write"]),
    await server.newKey(tenant, ["read"]),
    await server.newKey(tenant),
  ];
  keys = { write, read, admin };
  await server.start();
  good = connect({ url: server.url, key: admin });
  socket = await connectSocket(keys.write);
});
after(async () => {
  socket.terminate();
  await good.close();
  await server.end();
});
afterEach(async () => {
  assert.equal(server.run.child.exitCode, null, server.run.output.stderr);
  await good.publish([event()]);
  expected.accepted++;
  const { data } = await good.query({ metrics: ["events.count"], timeRange: { from: Date.UTC(2000), to: Date.now() + DAY_MS } });
  assert.equal(data[0]?.["events.count"], expected.accepted, "the next good event counts, and no bad one did");
});

async function connectSocket(key?: string): Promise<TestSocket> {
  const connected = new TestSocket(`${server.url.replace("http", "ws")}/v1/stream`, key);
  await connected.opened;
  return connected;
}

async function askRaw(bytes: Uint8Array | string, on = socket): Promise<Frame> {
  on.sendRaw(bytes);
  return on.next();
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function request(
  path: string,
  options: { key?: string; method?: string; type?: string; body?: unknown; gzip?: boolean } = {},
): Promise<Answer> {
  const { key, body, type = "application/json", gzip = false } = options;
  const headers: Record<string, string> = { ...(key !== undefined && { Authorization: `Bearer ${key}` }) };
  if (body !== undefined) headers["Content-Type"] = type;
  if (gzip) headers["Content-Encoding"] = "gzip";
  const sent = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const method = options.method ?? (body === undefined ? "GET" : "POST");
  const response = await fetch(server.url + path, { method, headers, ...(body !== undefined && { body: sent }) });
  const text = await response.text();
  return { status: response.status, body: text === "" ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

async function refuses(
  path: string,
  options: Parameters<typeof request>[1],
  status: number,
  code: ErrorCode,
  at?: string,
): Promise<void> {
  const { status: found, body } = await request(path, options);
  assert.deepEqual([found, body["code"], body["path"]], [status, code, at], JSON.stringify(body));
}

/** A good event, the bad one, a good event: as a frame, and where JSON can say it, as a body. */
async function checkEvent(
  bad: unknown,
  code: ErrorCode,
  path: string | null,
  kind: "invalid" | "late" = "invalid",
): Promise<void> {
  const change = (bytes: Uint8Array): Uint8Array => bytes;
  await checkBatch(bad, code, path, kind, change);
  if (isJson(bad)) {
    const body = JSON.stringify([event(), bad, event()]);
    const answer = await request("/v1/events", { key: keys.write, body });
    assert.equal(answer.status, 200);
    note(bad, code, path, kind);
    checkResult((answer.body["results"] as Frame[])[1], bad, code, path);
    assert.deepEqual([answer.body["successfulEvents"], answer.body["failedEvents"]], [2, 1]);
  }
}

async function checkBatch(
  bad: unknown,
  code: ErrorCode,
  path: string | null,
  kind: "invalid" | "late",
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const ack = await askRaw(change(packr.pack({ t: "pub", seq: 1, events: [event(), bad, event()] })));
  assert.deepEqual([ack["t"], ack["successfulEvents"], ack["failedEvents"]], ["ack", 2, 1], JSON.stringify(ack));
  note(bad, code, path, kind);
  const [result, ...others] = ack["results"] as Frame[];
  assert.deepEqual(others, []);
  checkResult(result, bad, code, path);
}

function note(bad: unknown, code: ErrorCode, path: string | null, kind: "invalid" | "late"): void {
  expected.accepted += 2;
  expected[kind]++;
  refused.push({ eventId: usableIdOf(bad), code, path });
}

function checkResult(result: Frame | undefined, bad: unknown, code: ErrorCode, path: string | null): void {
  assert.ok(result !== undefined);
  const { error, ...rest } = result;
  assert.equal(typeof error, "string");
  assert.deepEqual(rest, { index: 1, eventId: usableIdOf(bad), success: false, code, ...(path !== null && { path }) });
}

describe("an event", () => {
  const properties = (value: Event) => event({ properties: value });
  const keysOf = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, index]));
  const context = { userAgent: "", ipAddress: "", deviceType: "", platform: "" };

  const cases: readonly (readonly [name: string, make: () => unknown, code: ErrorCode, path: string | null])[] = [
    ["that is no map", () => 7, "WEIR_EVENT_NOT_A_MAP", null],
    ["that is a list", () => [1], "WEIR_EVENT_NOT_A_MAP", null],
    ["that is null", () => null, "WEIR_EVENT_NOT_A_MAP", null],
    ["without an id", () => without("eventId"), "WEIR_EVENT_FIELD_MISSING", "eventId"],
    ["without a session", () => without("sessionId"), "WEIR_EVENT_FIELD_MISSING", "sessionId"],
    ["without a timestamp", () => without("timestamp"), "WEIR_EVENT_FIELD_MISSING", "timestamp"],
    ["without properties", () => without("properties"), "WEIR_EVENT_FIELD_MISSING", "properties"],
    [
      "without a device type",
      () => event({ context: { userAgent: "", ipAddress: "", platform: "" } }),
      "WEIR_EVENT_FIELD_MISSING",
      "context.deviceType",
    ],
    ["whose id is a number", () => event({ eventId: 7 }), "WEIR_EVENT_FIELD_TYPE", "eventId"],
    ["whose user is null", () => event({ userId: null }), "WEIR_EVENT_FIELD_TYPE", "userId"],
    ["whose type is a map", () => event({ eventType: { a: 1 } }), "WEIR_EVENT_FIELD_TYPE", "eventType"],
    ["whose properties are a list", () => event({ properties: [] }), "WEIR_EVENT_FIELD_TYPE", "properties"],
    [
      "whose location is a text",
      () => event({ context: { ...context, location: "home" } }),
      "WEIR_EVENT_FIELD_TYPE",
      "context.location",
    ],
    [
      "whose country is a number",
      () => event({ context: { ...context, location: { country: 49 } } }),
      "WEIR_EVENT_FIELD_TYPE",
      "context.location.country",
    ],
    ["with an empty id", () => event({ eventId: "" }), "WEIR_EVENT_FIELD_LENGTH", "eventId"],
    ["with an id of 257 bytes", () => event({ eventId: "x".repeat(257) }), "WEIR_EVENT_FIELD_LENGTH", "eventId"],
    [
      "with an id of 86 characters and 258 bytes",
      () => event({ eventId: "\u20ac".repeat(86) }),
      "WEIR_EVENT_FIELD_LENGTH",
      "eventId",
    ],
    ["with a session id of 257 bytes", () => event({ sessionId: "x".repeat(257) }), "WEIR_EVENT_FIELD_LENGTH", "sessionId"],
    ["with U+FFFD in its id", () => event({ eventId: "a\uFFFDb" }), "WEIR_EVENT_FIELD_ENCODING", "eventId"],
    ["with U+FFFD in its session", () => event({ sessionId: "a\uFFFDb" }), "WEIR_EVENT_FIELD_ENCODING", "sessionId"],
    ["from the future", () => event({ timestamp: Date.now() + 10 * MINUTE_MS }), "WEIR_EVENT_TIMESTAMP_FUTURE", "timestamp"],
    ["from before 2000", () => event({ timestamp: "1999-12-31T23:59:59.999Z" }), "WEIR_EVENT_TIMESTAMP_INVALID", "timestamp"],
    [
      "whose time is in seconds",
      () => event({ timestamp: Math.floor(Date.now() / 1000) }),
      "WEIR_EVENT_TIMESTAMP_INVALID",
      "timestamp",
    ],
    ["whose time has no zone", () => event({ timestamp: "2026-01-01T00:00:00" }), "WEIR_EVENT_TIMESTAMP_INVALID", "timestamp"],
    ["of 30 February", () => event({ timestamp: "2026-02-30T00:00:00Z" }), "WEIR_EVENT_TIMESTAMP_INVALID", "timestamp"],
    ["whose time is a map", () => event({ timestamp: { at: 1 } }), "WEIR_EVENT_TIMESTAMP_INVALID", "timestamp"],
    ["with NaN", () => properties({ price: Number.NaN }), "WEIR_EVENT_NUMBER_INVALID", "properties.price"],
    [
      "with infinity",
      () => properties({ list: [1, Number.POSITIVE_INFINITY] }),
      "WEIR_EVENT_NUMBER_INVALID",
      "properties.list.1",
    ],
    ["with 2^53", () => properties({ count: 2 ** 53 }), "WEIR_EVENT_NUMBER_INVALID", "properties.count"],
    ["with an integer of 64 bits", () => properties({ count: 2n ** 60n + 1n }), "WEIR_EVENT_NUMBER_INVALID", "properties.count"],
    ["with bytes", () => properties({ blob: Buffer.from([1, 2]) }), "WEIR_EVENT_VALUE_INVALID", "properties.blob"],
    ["nine levels deep", () => properties({ in: nested(8) }), "WEIR_EVENT_PROPERTIES_TOO_LARGE", "properties"],
    ["with 257 keys", () => properties(keysOf(257)), "WEIR_EVENT_PROPERTIES_TOO_LARGE", "properties"],
    [
      "with 33 KiB of properties",
      () => properties({ text: "x".repeat(33 * 1024) }),
      "WEIR_EVENT_PROPERTIES_TOO_LARGE",
      "properties",
    ],
    [
      "with too much in a field of its own",
      () => event({ extra: "x".repeat(33 * 1024) }),
      "WEIR_EVENT_PROPERTIES_TOO_LARGE",
      "extra",
    ],
  ];
  for (const [name, make, code, path] of cases) test(`${name}: ${code}`, () => checkEvent(make(), code, path));

  test("behind the lateness horizon: WEIR_EVENT_LATE", () =>
    checkEvent(event({ timestamp: Date.now() - 8 * DAY_MS }), "WEIR_EVENT_LATE", null, "late"));

  test("with broken UTF-8 in its id: WEIR_EVENT_FIELD_ENCODING", async () => {
    const broken = [0x61, 0xff, 0x62, 0x63];
    const bad = event({ eventId: "B@D!" });
    await checkBatch(bad, "WEIR_EVENT_FIELD_ENCODING", "eventId", "invalid", (bytes) => spliced(bytes, "B@D!", broken));
  });

  test("at the bounds is accepted", async () => {
    const eventId = "x".repeat(256);
    const events = [
      event({ eventId }),
      properties({ in: nested(7) }),
      properties(keysOf(256)),
      properties({ count: 2 ** 53 - 1 }),
    ];
    const ack = await socket.ask({ t: "pub", seq: 1, events });
    expected.accepted += 4;
    assert.deepEqual([ack["successfulEvents"], ack["results"]], [4, undefined], JSON.stringify(ack));
  });

  test("with the names of what every object has is accepted, and counted under them", async () => {
    const names = ["toString", "constructor", "__proto__", "hasOwnProperty", "valueOf"];
    const properties = `{${names.map((name) => `${JSON.stringify(name)}: 5`).join(",")}}`;
    const bodies = names.map((name) => {
      const text = JSON.stringify(event({ eventType: name, sessionId: name, properties: "HERE" }));
      return text.replace('"HERE"', properties);
    });
    for (const name of ["constructor", "valueof"]) {
      await good.defineMetric({ name, value: `properties.${name}`, aggregates: ["sum", "count"], dimensions: ["eventType"] });
    }
    await good.defineMetric({ name: "proto", value: "properties.__proto__", aggregates: ["sum"], dimensions: ["eventType"] });
    const answer = await request("/v1/events", { key: keys.write, body: `[${bodies.join(",")}]` });
    expected.accepted += names.length;
    assert.equal(answer.body["successfulEvents"], names.length, JSON.stringify(answer));
    const timeRange = { last: "1h" };
    const { data } = await good.query({ metrics: ["constructor.sum", "proto.sum"], dimensions: ["eventType"], timeRange });
    const found = data.map((row) => [row["eventType"], row["constructor.sum"], row["proto.sum"]].join(" "));
    assert.deepEqual(found.toSorted(), names.map((name) => `${name} 5 5`).toSorted());
    // Clicks have no such property: what their maps inherit is no value.
    for (const name of names) {
      const session = await good.session(name);
      assert.deepEqual(Object.entries(session.eventTypes), [[name, 1]]);
    }
  });

  test("with such names as dimensions keeps its rows whole", async () => {
    const dimensions = ["toString", "constructor", "__proto__"].map((name) => ({ name, field: "eventType" }));
    await good.defineMetric({ name: "odd_dimensions", aggregates: ["count"], dimensions });
    await good.publish([event({ eventType: "odd" })]);
    expected.accepted++;
    const query = { metrics: ["odd_dimensions"], dimensions: dimensions.map(({ name }) => name), timeRange: { last: "1h" } };
    const answer = await request("/v1/query", { key: keys.read, body: query });
    const [row] = answer.body["data"] as Frame[];
    assert.deepEqual(Object.entries(row ?? {}).slice(1), [
      ["toString", "odd"],
      ["constructor", "odd"],
      ["__proto__", "odd"],
      ["odd_dimensions", 1],
    ]);
    const subscription = good.subscribe("odd_dimensions@24h");
    await subscription.ready;
    const [live] = [...subscription.rows.values()];
    assert.equal(live?.["constructor"], "odd");
    subscription.close();
  });
});

describe("a frame", () => {
  const malformed = (code: ErrorCode = "WEIR_FRAME_MALFORMED") => {
    expected.invalid++;
    refused.push({ eventId: "", code, path: null });
  };
  const frameCases: readonly (readonly [
    name: string,
    frame: () => Uint8Array | string,
    code: ErrorCode,
    path: string | undefined,
  ])[] = [
    ["of text", () => JSON.stringify({ t: "pub", seq: 1, events: [] }), "WEIR_FRAME_NOT_BINARY", undefined],
    ["that is a number", () => packr.pack(7), "WEIR_FRAME_TYPE_UNKNOWN", undefined],
    ["of an unknown type", () => packr.pack({ t: "publish", seq: 1, events: [] }), "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    ["of the type toString", () => packr.pack({ t: "toString" }), "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    ["without a type", () => packr.pack({ seq: 1 }), "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    ["without seq", () => packr.pack({ t: "pub", events: [] }), "WEIR_FRAME_FIELD_INVALID", "seq"],
    ["whose seq is a text", () => packr.pack({ t: "pub", seq: "1", events: [] }), "WEIR_FRAME_FIELD_INVALID", "seq"],
    ["without events", () => packr.pack({ t: "pub", seq: 1 }), "WEIR_FRAME_FIELD_INVALID", "events"],
    ["whose events are a map", () => packr.pack({ t: "pub", seq: 1, events: {} }), "WEIR_FRAME_FIELD_INVALID", "events"],
  ];
  for (const [name, frame, code, path] of frameCases) {
    test(`${name}: ${code}`, async () => {
      const answer = await askRaw(frame());
      assert.deepEqual([answer["t"], answer["code"], answer["path"]], ["error", code, path], JSON.stringify(answer));
    });
  }

  test("that is not msgpack, or is cut off: WEIR_FRAME_MALFORMED, and a dead letter", async () => {
    const frame = packr.pack({ t: "pub", seq: 5, events: [event(), event()] });
    for (const bytes of [Uint8Array.of(0xc1, 0xff, 0x00), frame.subarray(0, frame.length - 3), new Uint8Array(0)]) {
      const answer = await askRaw(bytes);
      assert.deepEqual([answer["t"], answer["code"]], ["error", "WEIR_FRAME_MALFORMED"], JSON.stringify(answer));
      malformed();
    }
  });

  test("with too many events: WEIR_FRAME_TOO_MANY_EVENTS", async () => {
    const answer = await socket.ask({ t: "pub", seq: 6, events: new Array(limits.frameEventsMax + 1).fill(null) });
    assert.deepEqual([answer["t"], answer["seq"], answer["code"]], ["error", 6, "WEIR_FRAME_TOO_MANY_EVENTS"]);
    malformed("WEIR_FRAME_TOO_MANY_EVENTS");
  });

  test("that is too large: WEIR_FRAME_TOO_LARGE and close code 1009; a far larger one just ends the connection", async () => {
    const other = await connectSocket(keys.write);
    const answer = await askRaw(new Uint8Array(limits.frameBytesMax + 1), other);
    assert.equal(answer["code"], "WEIR_FRAME_TOO_LARGE");
    assert.equal((await other.closed).code, 1009);
    const third = await connectSocket(keys.write);
    third.sendRaw(new Uint8Array(2 * limits.frameBytesMax));
    await third.closed;
  });
});

describe("a key", () => {
  test("that is missing or unknown: 4401 on the socket, 401 over HTTP", async () => {
    for (const [frame, code] of [
      [{ t: "hello" }, "WEIR_AUTH_KEY_MISSING"],
      [{ t: "pub", seq: 1, events: [event()] }, "WEIR_AUTH_KEY_MISSING"],
      [{ t: "hello", key: "weir_strangers_nothing" }, "WEIR_AUTH_KEY_UNKNOWN"],
      [{ t: "hello", key: `${keys.write}x` }, "WEIR_AUTH_KEY_UNKNOWN"],
    ] as const) {
      const other = await connectSocket();
      const answer = await other.ask(frame);
      assert.deepEqual([answer["t"], answer["code"]], ["error", code]);
      assert.equal((await other.closed).code, 4401);
    }
    await refuses("/v1/events", { body: [event()] }, 401, "WEIR_AUTH_KEY_MISSING");
    await refuses("/v1/events", { body: [event()], key: "weir_strangers_nothing" }, 401, "WEIR_AUTH_KEY_UNKNOWN");
    await refuses(`/v1/events?key=${keys.write}`, { body: [event()] }, 400, "WEIR_AUTH_KEY_IN_URL");
  });

  test("without the scope: WEIR_AUTH_SCOPE_MISSING, and the connection goes on", async () => {
    const reader = await connectSocket(keys.read);
    const pub = await reader.ask({ t: "pub", seq: 3, events: [event()] });
    assert.deepEqual([pub["code"], pub["seq"]], ["WEIR_AUTH_SCOPE_MISSING", 3]);
    assert.equal((await reader.ask({ t: "ping", id: 1 }))["t"], "pong");
    const sub = await socket.ask({ t: "sub", id: 4, channel: "events" });
    assert.deepEqual([sub["code"], sub["id"]], ["WEIR_AUTH_SCOPE_MISSING", 4]);
    reader.terminate();
    const query = { metrics: ["events"], timeRange: { last: "1h" } };
    await refuses("/v1/events", { key: keys.read, body: [event()] }, 403, "WEIR_AUTH_SCOPE_MISSING");
    await refuses("/v1/query", { key: keys.write, body: query }, 403, "WEIR_AUTH_SCOPE_MISSING");
    await refuses("/v1/realtime?names=events", { key: keys.write }, 403, "WEIR_AUTH_SCOPE_MISSING");
    await refuses(
      "/v1/metrics-catalog",
      { key: keys.read, body: { name: "x", aggregates: ["count"] } },
      403,
      "WEIR_AUTH_SCOPE_MISSING",
    );
    await refuses("/v1/metrics-catalog/events", { key: keys.read, method: "DELETE" }, 403, "WEIR_AUTH_SCOPE_MISSING");
    await refuses("/v1/dead-letters", { key: keys.read }, 403, "WEIR_AUTH_SCOPE_MISSING");
  });
});

describe("a question", () => {
  const ask = (change: Event) => ({
    key: keys.read,
    body: { metrics: ["events_by_type_and_country"], timeRange: { last: "1h" }, ...change },
  });
  const cases: readonly (readonly [name: string, change: Event, status: number, code: ErrorCode, path: string])[] = [
    ["for an unknown metric", { metrics: ["events", "nothing"] }, 404, "WEIR_METRIC_UNKNOWN", "metrics[1]"],
    ["for the metric toString", { metrics: ["toString"] }, 400, "WEIR_QUERY_INVALID", "metrics[0]"],
    ["for an unknown output", { metrics: ["events.p99"] }, 400, "WEIR_QUERY_AGGREGATE_UNKNOWN", "metrics[0]"],
    ["for the output constructor", { metrics: ["events.constructor"] }, 400, "WEIR_QUERY_AGGREGATE_UNKNOWN", "metrics[0]"],
    ["for no metric", { metrics: [] }, 400, "WEIR_QUERY_INVALID", "metrics"],
    ["by an unknown dimension", { dimensions: ["eventType", "planet"] }, 400, "WEIR_QUERY_DIMENSION_UNKNOWN", "dimensions[1]"],
    [
      "with a filter on an unknown dimension",
      { filters: [{ dimension: "planet", op: "eq", value: "x" }] },
      400,
      "WEIR_QUERY_DIMENSION_UNKNOWN",
      "filters[0].dimension",
    ],
    [
      "with an unknown operator",
      { filters: [{ dimension: "country", op: "like", value: "x" }] },
      400,
      "WEIR_QUERY_INVALID",
      "filters[0].op",
    ],
    ["over an unknown length of time", { timeRange: { last: "1 fortnight" } }, 400, "WEIR_QUERY_INVALID", "timeRange.last"],
    ["over no time", { timeRange: {} }, 400, "WEIR_QUERY_INVALID", "timeRange.from"],
    [
      "from an end to a start",
      { timeRange: { from: 2_000_000_000_000, to: 1_000_000_000_000 } },
      400,
      "WEIR_QUERY_INVALID",
      "timeRange.to",
    ],
    [
      "from a time without a zone",
      { timeRange: { from: "2026-01-01T00:00:00", to: 2_000_000_000_000 } },
      400,
      "WEIR_QUERY_INVALID",
      "timeRange.from",
    ],
    ["by an unknown granularity", { granularity: "2m" }, 400, "WEIR_QUERY_INVALID", "granularity"],
    ["from an unknown source", { source: "oracle" }, 400, "WEIR_QUERY_INVALID", "source"],
    ["with an unknown field", { limit: 5 }, 400, "WEIR_QUERY_INVALID", "limit"],
  ];
  for (const [name, change, status, code, path] of cases)
    test(`${name}: ${code}`, () => refuses("/v1/query", ask(change), status, code, path));

  test("of the warehouse, which is off: WEIR_WAREHOUSE_UNAVAILABLE", async () => {
    for (const source of ["raw", "rollup"]) await refuses("/v1/query", ask({ source }), 503, "WEIR_WAREHOUSE_UNAVAILABLE");
  });

  test("for present values: unknown names are listed, a wrong window or none at all is refused", async () => {
    const { status, body } = await request("/v1/realtime?names=events,nothing,toString,events.p99", { key: keys.read });
    assert.deepEqual([status, body["unknown"]], [200, ["nothing", "toString", "events.p99"]]);
    assert.deepEqual(
      (body["metrics"] as Frame[]).map((each) => each["name"]),
      ["events"],
    );
    await refuses("/v1/realtime?names=events&window=2m", { key: keys.read }, 400, "WEIR_QUERY_INVALID", "window");
    await refuses("/v1/realtime?names=events&window=toString", { key: keys.read }, 400, "WEIR_QUERY_INVALID", "window");
    await refuses("/v1/realtime", { key: keys.read }, 400, "WEIR_QUERY_INVALID", "names");
  });

  test("for a session, a job or dead letters that cannot be", async () => {
    await refuses("/v1/sessions/nobody", { key: keys.read }, 404, "WEIR_SESSION_UNKNOWN", "id");
    await refuses("/v1/exports/none", { key: keys.admin }, 404, "WEIR_JOB_UNKNOWN", "id");
    await refuses(
      "/v1/exports",
      { key: keys.admin, body: { timeRange: { last: "1h" }, format: "csv" } },
      400,
      "WEIR_QUERY_INVALID",
      "format",
    );
    await refuses("/v1/dead-letters?limit=0", { key: keys.admin }, 400, "WEIR_QUERY_INVALID", "limit");
    await refuses("/v1/dead-letters?code=toString", { key: keys.admin }, 400, "WEIR_QUERY_INVALID", "code");
  });

  test("by subscription: unknown metrics, windows and ids", async () => {
    const reader = await connectSocket(keys.read);
    for (const [frame, code, path] of [
      [{ t: "sub", id: 1, channel: "nothing" }, "WEIR_METRIC_UNKNOWN", "channel"],
      [{ t: "sub", id: 1, channel: "__proto__" }, "WEIR_METRIC_UNKNOWN", "channel"],
      [{ t: "sub", id: 1, channel: "events@2m" }, "WEIR_CHANNEL_INVALID", "channel"],
      [{ t: "sub", id: 1, channel: "events@toString" }, "WEIR_CHANNEL_INVALID", "channel"],
      [{ t: "sub", id: 1, channel: "events@5m@5m" }, "WEIR_CHANNEL_INVALID", "channel"],
      [{ t: "sub", id: 1 }, "WEIR_FRAME_FIELD_INVALID", "channel"],
      [{ t: "sub", id: 1, channel: "events", since: { epoch: 5 } }, "WEIR_FRAME_FIELD_INVALID", "since.epoch"],
      [{ t: "unsub", id: 9 }, "WEIR_SUBSCRIPTION_UNKNOWN", "id"],
    ] as const) {
      const answer = await reader.ask(frame);
      assert.deepEqual([answer["code"], answer["id"], answer["path"]], [code, frame.id, path], JSON.stringify(frame));
    }
    // An epoch that never was is answered with a snapshot.
    assert.equal((await reader.ask({ t: "sub", id: 2, channel: "events", since: { epoch: "never", seq: 7 } }))["t"], "snap");
    reader.terminate();
  });
});

describe("a metric", () => {
  const define = (definition: unknown) => ({ key: keys.admin, body: definition });
  const cases: readonly (readonly [name: string, definition: unknown, path: string])[] = [
    ["named toString", { name: "toString", aggregates: ["count"] }, "name"],
    ["named __proto__", { name: "__proto__", aggregates: ["count"] }, "name"],
    ["with an unknown aggregate", { name: "m", aggregates: ["median"] }, "aggregates[0]"],
    ["with the aggregate constructor", { name: "m", aggregates: ["constructor"] }, "aggregates[0]"],
    ["with a dimension that is no field", { name: "m", aggregates: ["count"], dimensions: ["planet"] }, "dimensions[0]"],
    ["without what it sums up", { name: "m", aggregates: ["sum"] }, "value"],
    ["with an unknown setting", { name: "m", aggregates: ["count"], colour: "red" }, "colour"],
    [
      "with a filter of another shape",
      { name: "m", aggregates: ["count"], filter: { all: [{ field: "eventType", op: "like", value: "x" }] } },
      "filter.all[0].op",
    ],
  ];
  for (const [name, definition, path] of cases) {
    test(`${name}: WEIR_METRIC_INVALID`, () =>
      refuses("/v1/metrics-catalog", define(definition), 422, "WEIR_METRIC_INVALID", path));
  }

  test("that differs from the one of its name: WEIR_METRIC_EXISTS; an unknown one cannot be removed", async () => {
    await refuses("/v1/metrics-catalog", define({ name: "events", aggregates: ["rate"] }), 409, "WEIR_METRIC_EXISTS", "name");
    await refuses("/v1/metrics-catalog/nothing", { key: keys.admin, method: "DELETE" }, 404, "WEIR_METRIC_UNKNOWN", "name");
  });
});

describe("a request", () => {
  test("whose body is not JSON: WEIR_FRAME_MALFORMED for events, kept as dead letter; WEIR_QUERY_INVALID for a query", async () => {
    await refuses("/v1/events", { key: keys.write, body: "{not json" }, 400, "WEIR_FRAME_MALFORMED");
    expected.invalid++;
    refused.push({ eventId: "", code: "WEIR_FRAME_MALFORMED", path: null });
    await refuses("/v1/query", { key: keys.read, body: "{not json" }, 400, "WEIR_QUERY_INVALID");
    await refuses("/v1/metrics-catalog", { key: keys.admin, body: "" }, 422, "WEIR_METRIC_INVALID");
  });

  test("of NDJSON with a broken line: that line is refused, its neighbours count", async () => {
    const body = `${JSON.stringify(event())}\n{"eventId": "e\n${JSON.stringify(event())}\n`;
    const { status, body: answer } = await request("/v1/events", { key: keys.write, type: "application/x-ndjson", body });
    assert.deepEqual([status, answer["successfulEvents"], answer["failedEvents"]], [200, 2, 1]);
    expected.accepted += 2;
    expected.invalid++;
    refused.push({ eventId: "", code: "WEIR_FRAME_MALFORMED", path: null });
    assert.deepEqual(
      (answer["results"] as Frame[]).map((each) => each["code"]),
      [undefined, "WEIR_FRAME_MALFORMED", undefined],
    );
  });

  test("of a type or encoding that we do not read: WEIR_BODY_TYPE_UNSUPPORTED", async () => {
    await refuses(
      "/v1/events",
      { key: keys.write, type: "text/xml", body: "<event/>" },
      415,
      "WEIR_BODY_TYPE_UNSUPPORTED",
      "content-type",
    );
    await refuses(
      "/v1/query",
      { key: keys.read, type: "application/msgpack", body: packr.pack({}) },
      415,
      "WEIR_BODY_TYPE_UNSUPPORTED",
      "content-type",
    );
  });

  test("that inflates past the limit, or is no gzip at all", async () => {
    const bomb = gzipSync(Buffer.alloc(2 * limits.requestBodyBytesMax, " "));
    assert.ok(bomb.length < 64 * 1024);
    await refuses("/v1/events", { key: keys.write, gzip: true, body: bomb }, 413, "WEIR_FRAME_TOO_LARGE");
    await refuses("/v1/events", { key: keys.write, gzip: true, body: "no gzip" }, 400, "WEIR_FRAME_MALFORMED");
  });

  test("of more bytes than the limit: WEIR_FRAME_TOO_LARGE", () =>
    refuses("/v1/query", { key: keys.read, body: " ".repeat(limits.queryBodyBytesMax + 1) }, 413, "WEIR_FRAME_TOO_LARGE"));

  test("for no route, or with a method that the route lacks", async () => {
    await refuses("/v1/nothing", { key: keys.read }, 404, "WEIR_HTTP_NOT_FOUND");
    await refuses("/v1/sessions/%ff", { key: keys.read }, 404, "WEIR_HTTP_NOT_FOUND");
    await refuses("/v1/query", { key: keys.read }, 405, "WEIR_HTTP_METHOD");
    await refuses("/v1/events", { key: keys.write, method: "PUT", body: "x" }, 405, "WEIR_HTTP_METHOD");
    await refuses("/v1/stream", { key: keys.write }, 400, "WEIR_FRAME_FIELD_INVALID", "upgrade");
  });
});

test("in the end every refused event is a dead letter with its code and path, and the ledger balances", async () => {
  const { deadLetters, ledger } = await good.deadLetters({ limit: 1_000 });
  const sorted = (letters: readonly { eventId: string; code: string; path: string | null }[]) =>
    letters.map(({ eventId, code, path }) => `${eventId} ${code} ${path}`).toSorted();
  assert.deepEqual(sorted(deadLetters), sorted(refused));
  const received = expected.accepted + expected.duplicate + expected.late + expected.invalid;
  assert.deepEqual(ledger, { received, ...expected, imbalance: 0 });
  for (const code of ["WEIR_EVENT_LATE", "WEIR_EVENT_NUMBER_INVALID"] as const) {
    const some = await good.deadLetters({ limit: 1_000, code });
    assert.equal(some.deadLetters.length, refused.filter((each) => each.code === code).length);
  }
});
