/** The plain reader: what it gives up on, one thing at a time, and what it keeps from frame to frame. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Packr } from "msgpackr";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { Interner } from "../../protocol/interner.ts";
import { limits } from "../../protocol/limits.ts";
import { readFrame, readPlainFrame } from "../../workers/frame-reader.ts";
import { INGEST_MS, nested, type Event } from "./event-arbitraries.ts";

const wanted: readonly string[] = ["properties.value", "properties.list.0", "context.location.country", "eventCategory"];
const maps = new Packr({ useRecords: false, variableMapSize: true });

function event(changes: Event = {}): Event {
  return {
    eventId: "e-1",
    sessionId: "s-1",
    userId: "u-1",
    eventType: "click",
    eventCategory: "web",
    timestamp: INGEST_MS,
    properties: { value: 1.5 },
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "", location: { country: "CH" } },
    source: "shop",
    version: "1",
    environment: "test",
    ...changes,
  };
}

function context(changes: Event): Event {
  return { context: { ...(event()["context"] as Event), ...changes } };
}

function read(bytes: Uint8Array, paths = wanted) {
  return readPlainFrame({
    format: FRAME_FORMATS.msgpack,
    bytes,
    tenant: "demo",
    ingestTimeMs: INGEST_MS,
    partitionCount: 16,
    wanted: paths,
  });
}

function bothWays(events: readonly Event[]): Uint8Array[] {
  return [encodePublish(1, events), Uint8Array.from(maps.pack({ events }))];
}

test("plain events are read, as records and as maps", () => {
  for (const bytes of bothWays([event(), event({ eventId: "e-2", userId: undefined })])) {
    const columns = read(bytes);
    assert.ok(columns !== undefined);
    assert.deepEqual(columns.eventIds.texts(), ["e-1", "e-2"]);
    assert.deepEqual(columns.userIds, ["u-1", undefined]);
    assert.deepEqual(columns.field("properties.value"), [1.5, 1.5]);
    assert.deepEqual(columns.field("context.location.country"), ["CH", "CH"]);
    assert.deepEqual(columns.field("source"), ["shop", "shop"]);
  }
});

const without = (name: string): Event => Object.fromEntries(Object.entries(event()).filter(([key]) => key !== name));
const unusual: readonly (readonly [what: string, event: Event])[] = [
  ...[
    "eventId",
    "sessionId",
    "eventType",
    "eventCategory",
    "timestamp",
    "properties",
    "context",
    "source",
    "version",
    "environment",
  ].map((name) => [`no ${name}`, without(name)] as const),
  ["an empty id", event({ eventId: "" })],
  ["a long id", event({ sessionId: "x".repeat(257) })],
  ["an id that is not ASCII", event({ sessionId: "é" })],
  ["an event id that is not ASCII", event({ eventId: "eventé" })],
  ["a user that is null", event({ userId: null })],
  ["a label that may be too long", event({ source: "\uFFFD".repeat(86) })],
  ["a time ahead", event({ timestamp: INGEST_MS + 300_001 })],
  ["a time before 2000", event({ timestamp: Date.UTC(2000) - 1 })],
  ["a date that does not exist", event({ timestamp: "2023-02-30T00:00:00.000Z" })],
  ["a time of day that does not exist", event({ timestamp: "2023-02-20T24:00:00Z" })],
  ["NaN", event({ properties: { value: Number.NaN } })],
  ["an unsafe integer", event({ properties: { other: 2 ** 53 } })],
  ["a big integer", event({ properties: { other: 2n ** 63n } })],
  ["nine levels", event({ properties: { deep: nested(8) } })],
  ["nine levels of maps", event({ properties: { a: { a: { a: { a: { a: { a: { a: { a: {} } } } } } } } } })],
  ["many long keys", event({ properties: { list2: Array.from({ length: 100 }, () => ({ ["k".repeat(200)]: 1 })) } })],
  ["many keys", event({ properties: Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`k${index}`, 1])) })],
  ["a large value", event({ properties: { text: "x".repeat(6_000) } })],
  ["a large unknown value", event({ extra: "x".repeat(6_000) })],
  ["a list where a wanted path leads", event({ properties: { list: ["a"] } })],
  ["properties that are a list", event({ properties: [] })],
  ["a context without a platform", event(context({ platform: undefined }))],
  ["a country that is a number", event(context({ location: { country: 1 } }))],
  ["a location that is null", event(context({ location: null }))],
  ["a location that is a text", event(context({ location: "CH" }))],
  ["a referrer that is null", event(context({ referrer: null }))],
  ["bytes", event({ properties: { bytes: new Uint8Array(3) } })],
  ["a date among the properties", event({ properties: { when: new Date(0) } })],
  ["a list with undefined", event({ properties: { list2: [undefined] } })],
  ["a key beyond ASCII at the start of a map", event({ properties: { é: 1 } })],
];

for (const [what, value] of unusual) {
  test(`gives up on ${what}`, () => {
    for (const bytes of bothWays([event(), value])) assert.equal(read(bytes), undefined);
  });
}

test("texts that nobody wants may be anything, also broken", () => {
  const odd = event({ source: "\uFEFF", version: "\uFFFD".repeat(28), properties: { note: "\uFEFFé", value: "\u{1F600}" } });
  for (const good of bothWays([odd])) {
    const broken = Buffer.from(good);
    // One byte of the version is no UTF-8 any more, and one of the note.
    broken[broken.indexOf("\uFFFD")] = 0xff;
    broken[broken.indexOf("é")] = 0x41;
    for (const bytes of [good, broken]) {
      const columns = read(bytes);
      const request = { format: FRAME_FORMATS.msgpack, bytes, tenant: "demo", ingestTimeMs: INGEST_MS, partitionCount: 16 };
      assert.deepEqual(columns?.field("properties.value"), ["\u{1F600}"]);
      assert.deepEqual(columns?.events, readEvents(request).events);
      assert.deepEqual(columns?.verdicts, readEvents(request).verdicts);
      assert.equal(read(bytes, ["properties.note"]), undefined);
    }
  }
});

test("gives up on doubled keys, other forms and other formats", () => {
  const good = Uint8Array.from(maps.pack([event()]));
  assert.ok(read(good) !== undefined);
  assert.equal(read(Uint8Array.of(...good, 0)), undefined);
  for (const bytes of bothWays([event()])) {
    for (let length = 0; length < bytes.length; length++) assert.equal(read(bytes.subarray(0, length)), undefined);
  }
  // `version` written as `eventId` is an event id too many.
  const text = Buffer.from(good).toString("latin1").replace("\xa7version", "\xa7eventId");
  assert.equal(read(Buffer.from(text, "latin1")), undefined);
  assert.equal(read(maps.pack(event())), undefined);
  assert.equal(read(maps.pack({ events: {} })), undefined);
  assert.equal(
    read(new Packr({ useRecords: true, bundleStrings: true } as ConstructorParameters<typeof Packr>[0]).pack([event()])),
    undefined,
  );
  const json = {
    format: FRAME_FORMATS.json,
    bytes: Buffer.from(JSON.stringify([event()])),
    tenant: "t",
    ingestTimeMs: INGEST_MS,
  };
  assert.equal(readPlainFrame({ ...json, partitionCount: 1, wanted }), undefined);
  assert.deepEqual(readFrame({ ...json, partitionCount: 1, wanted }).eventIds.texts(), ["e-1"]);
});

/** A map with these entries, also when a key stands twice. */
function mapOf(entries: readonly (readonly [key: string, value: unknown])[]): Uint8Array {
  const head = Uint8Array.of(0xde, 0, entries.length);
  return Buffer.concat([
    head,
    ...entries.flatMap(([key, value]) => [maps.pack(key), value instanceof Uint8Array ? value : maps.pack(value)]),
  ]);
}

test("gives up on keys that stand twice where it would matter", () => {
  const entries = Object.entries(event());
  const list = (bytes: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(0x91), bytes]);
  assert.ok(read(list(mapOf(entries))) !== undefined);
  for (const entry of entries) assert.equal(read(list(mapOf([...entries, entry]))), undefined);
  const withProperties = (...properties: (readonly [string, unknown])[]): Uint8Array =>
    list(mapOf(entries.map(([key, value]) => [key, key === "properties" ? mapOf(properties) : value])));
  assert.equal(read(withProperties(["value", 1], ["value", [2]])), undefined);
  assert.deepEqual(read(withProperties(["value", 1], ["other", 1], ["other", 2]))?.field("properties.value"), [1]);
});

test("gives up on shapes with a key twice", () => {
  const bytes = encodePublish(1, [event({ properties: { value: 1, valuX: [2] } })]);
  assert.deepEqual(read(bytes)?.field("properties.value"), [1]);
  const text = Buffer.from(bytes).toString("latin1").replace("valuX", "value");
  assert.equal(read(Buffer.from(text, "latin1")), undefined);
});

test("gives up on too many events", () => {
  const events = new Array<Event>(limits.frameEventsMax).fill(event());
  assert.ok(read(encodePublish(1, events)) !== undefined);
  assert.equal(read(encodePublish(1, [...events, event()])), undefined);
});

test("a record id that is defined anew means the new shape", () => {
  const frame = (events: readonly Event[]): Uint8Array => {
    // Each event defines its shapes itself, with the same ids.
    const bodies = events.map((one) => new Packr({ useRecords: true, maxSharedStructures: 0 }).pack(one));
    return Buffer.concat([Uint8Array.of(0x90 + events.length), ...bodies]);
  };
  const { userId: _userId, ...anonymous } = event({ eventId: "e-2", properties: { other: 1, value: "two" } });
  const columns = read(frame([event(), anonymous, event({ eventId: "e-3" })]));
  assert.deepEqual(columns?.eventIds.texts(), ["e-1", "e-2", "e-3"]);
  assert.deepEqual(columns?.userIds, ["u-1", undefined, "u-1"]);
  assert.deepEqual(columns?.field("properties.value"), [1.5, "two", 1.5]);
});

test("every list of wanted paths has its own columns, and more shapes than are kept do no harm", () => {
  const other: readonly string[] = ["properties.p7", "eventCategory"];
  for (let index = 1; index < 2_500; index++) {
    const bytes = encodePublish(1, [event({ properties: { [`p${index % 1_300}`]: index, value: -index } })]);
    const columns = read(bytes, index % 2 === 0 ? wanted : other);
    // When its memory is full, one frame may be left to the reference.
    if (columns === undefined) continue;
    if (index % 2 === 0) assert.deepEqual(columns.field("properties.value"), [-index]);
    else assert.deepEqual(columns.field("properties.p7"), [index % 1_300 === 7 ? index : undefined]);
  }
  assert.ok(read(encodePublish(1, [event()])) !== undefined);
});

test("a large frame is read like a small one", () => {
  const events = Array.from({ length: 1_000 }, (_, index) =>
    event({
      eventId: `event-${index}`.padEnd(1 + (index % 256), "x"),
      sessionId: `s-${index}`,
      userId: index % 3 === 0 ? `u-${index}` : undefined,
    }),
  );
  for (const bytes of bothWays(events)) {
    const request = { format: FRAME_FORMATS.msgpack, bytes, tenant: "demo", ingestTimeMs: INGEST_MS, partitionCount: 16 };
    const columns = read(bytes);
    const reference = readEvents(request);
    assert.deepEqual(columns?.eventIds.texts(), reference.eventIds.texts());
    assert.deepEqual(columns?.userIds, reference.userIds);
    assert.deepEqual(columns?.partitions, reference.partitions);
  }
});

function intern(interner: Interner, text: string): string | undefined {
  const bytes = new TextEncoder().encode(`..${text}`);
  return interner.text({ bytes, view: new DataView(bytes.buffer) }, 2, bytes.length - 2);
}

test("an interner gives back the text, also when it has room for few", () => {
  const interner = new Interner(8);
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 200; index++) {
      const text = `text ${index % 40}`.padEnd(index % 120, "é\0");
      assert.equal(intern(interner, text), text);
    }
  }
  assert.equal(intern(interner, ""), "");
});
