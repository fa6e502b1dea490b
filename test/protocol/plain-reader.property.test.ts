/**
 * Laws: a frame of ordinary good events is read the plain way, and its columns equal the reference's; whatever the bytes, the
 * plain reader gives up or its columns equal the reference's, and it throws nothing; what it knows of earlier frames makes no
 * difference.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { FRAME_FORMATS, type EventColumns } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { readPlainFrame } from "../../workers/frame-reader.ts";
import { assertSameValues } from "../support/same-values.ts";
import { goodEvent, INGEST_MS, spoiledEvent, type Event } from "./event-arbitraries.ts";
import { KnownTexts } from "../support/known-fields.ts";

const wanted: readonly string[] = [
  "eventType",
  "userId",
  "eventCategory",
  "source",
  "campaign",
  "campaign.a",
  "properties.value",
  "properties.x",
  "properties.x.y",
  "properties.list.0",
  "properties.constructor",
  "properties.constructor.name",
  "properties.__proto__",
  "properties.é",
  "properties.0",
  "properties.",
  "properties",
  "context.location",
  "context.location.country",
  "context.deviceType",
  "context.referrer",
  "context.extra",
];
const unwanted = ["eventId", "sessionId", "timestamp", "version", "context.userAgent", "context.location.region", "properties.y"];
const tenants = ["demo", "t", "acme", "größer", "abcdefg"];

const maps = new Packr({ useRecords: false, variableMapSize: true });
const rich = new Packr({ useRecords: true, moreTypes: true } as ConstructorParameters<typeof Packr>[0]);

const known = new KnownTexts();

function assertEqual(plain: EventColumns, reference: EventColumns): void {
  assert.equal(plain.count, reference.count);
  assert.deepEqual(plain.verdicts, reference.verdicts);
  assert.deepEqual(plain.wrongPaths, reference.wrongPaths);
  assert.deepEqual(plain.eventIds.texts(), reference.eventIds.texts());
  assert.deepEqual(plain.sessionIds, reference.sessionIds);
  assert.deepEqual(plain.userIds, reference.userIds);
  assert.deepEqual(plain.eventTypes, reference.eventTypes);
  assert.deepEqual(plain.eventTimesMs, reference.eventTimesMs);
  assert.deepEqual(plain.partitions, reference.partitions);
  assert.equal(plain.derived.size, 0);
  for (const path of [...wanted, ...unwanted]) {
    assertSameValues(plain.field(path), reference.field(path), path);
    known.check(plain, path);
  }
  assertSameValues(plain.events, reference.events);
  for (let row = 0; row < plain.count; row++) assert.deepEqual(plain.raw(row), reference.raw(row));
}

/** Whether it was read the plain way; then it was read right. */
function isPlain(bytes: Uint8Array, tenant = "demo", partitionCount = 16): boolean {
  // Bytes around the frame would be seen by who reads past its end.
  const padded = new Uint8Array(bytes.length + 64).fill(0x01);
  padded.set(bytes, 32);
  const frame = padded.subarray(32, 32 + bytes.length);
  const request = { format: FRAME_FORMATS.msgpack, bytes: frame, tenant, ingestTimeMs: INGEST_MS, partitionCount };
  const plain = readPlainFrame({ ...request, wanted });
  if (plain === undefined) return false;
  assertEqual(plain, readEvents(request));
  // The next frames get them, and must find nothing of this one there.
  plain.release();
  return true;
}

const ascii = fc.string({ minLength: 1, maxLength: 70 });
const text = fc.oneof(
  ascii,
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.constantFrom("", "São Paulo", "a\uFFFDb", "\uFEFFx"),
);
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
  fc.constantFrom(0, -0, 127, 128, -1, -32, -33, -128, -129, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32, -(2 ** 31) - 1, 1.5),
);
const scalar = fc.oneof(text, number, fc.boolean(), fc.constant(null));
const timeMs = fc.integer({ min: Date.UTC(2000, 0, 1), max: INGEST_MS + 300_000 });

/** What a producer in its right mind sends, with the keys that are wanted among others. */
const ordinaryEvent: fc.Arbitrary<Event> = fc
  .tuple(
    goodEvent,
    fc.record(
      { eventId: ascii, sessionId: ascii, userId: ascii },
      { requiredKeys: ["eventId", "sessionId"], noNullPrototype: true },
    ),
    fc.oneof(
      timeMs,
      timeMs.map((ms) => new Date(ms)),
      timeMs.map((ms) => new Date(ms).toISOString()),
      timeMs.map((ms) => new Date(ms).toISOString().replace(/\.\d+Z/, "Z")),
      timeMs.map((ms) => new Date(ms).toISOString().replace("Z", "+02:00")).filter((value) => Date.parse(value) > Date.UTC(2000)),
    ),
    fc.record(
      {
        value: scalar,
        x: fc.oneof(scalar, fc.record({ y: scalar, z: scalar }, { noNullPrototype: true })),
        y: fc.array(scalar),
        z: scalar,
      },
      { requiredKeys: [], noNullPrototype: true },
    ),
    fc.option(
      fc.record(
        { extra: scalar, location: fc.record({ country: text, city: text }, { noNullPrototype: true }) },
        { noNullPrototype: true },
      ),
    ),
    fc.option(fc.oneof(scalar, fc.record({ a: scalar }, { noNullPrototype: true }))),
  )
  .map(([event, ids, timestamp, properties, extra, campaign]) => {
    const { userId: _userId, campaign: _campaign, ...rest } = event;
    const context = { ...(event["context"] as Event), ...extra };
    return { ...rest, ...ids, timestamp, properties, context, ...(campaign === null ? {} : { campaign }) };
  });

const encoders: readonly ((events: readonly Event[]) => Uint8Array)[] = [
  (events) => encodePublish(1, events),
  (events) => maps.pack(events),
  (events) => maps.pack({ events }),
  (events) => maps.pack({ t: "pub", seq: 1, events, more: [1, { a: "b" }] }),
  (events) => maps.pack({ events, seq: 1, t: "pub" }),
  (events) => new Packr({ useRecords: true, maxSharedStructures: 0 }).pack({ t: "pub", seq: 70, events }),
];

test("frames of ordinary good events are read the plain way", () => {
  fc.assert(
    fc.property(
      fc.array(ordinaryEvent, { maxLength: 6 }),
      fc.constantFrom(...encoders),
      fc.constantFrom(...tenants),
      fc.integer({ min: 1, max: 4_096 }),
      (events, encode, tenant, partitionCount) => {
        const hasMark = JSON.stringify(events).includes("\uFEFF");
        const plain = isPlain(encode(events), tenant, partitionCount);
        // A text with a byte order mark is left to the reference where it is wanted.
        assert.ok(plain || hasMark);
      },
    ),
    { numRuns: 2_000 },
  );
});

/** undefined: there are values that the encoder does not take. */
function tryEncode(encode: (events: readonly Event[]) => Uint8Array, events: readonly Event[]): Uint8Array | undefined {
  try {
    return encode(events);
  } catch {
    return undefined;
  }
}

/** Few among many: these are cut out. */
const fewSpoiled = fc
  .tuple(
    fc.array(ordinaryEvent, { minLength: 8, maxLength: 14 }),
    fc.array(fc.tuple(fc.nat(), spoiledEvent), { minLength: 1, maxLength: 2 }),
  )
  .map(([events, spoiled]) => {
    const all: unknown[] = [...events];
    for (const [place, event] of spoiled) all.splice(place % (all.length + 1), 0, event);
    return all as Event[];
  });

test("a frame with few events that are not plain is read the plain way, and these as the reference reads them", () => {
  let plain = 0;
  const runs = 200;
  fc.assert(
    fc.property(
      fewSpoiled,
      fc.constantFrom(...encoders, (events) => rich.pack(events)),
      (events, encode) => {
        const bytes = tryEncode(encode, events);
        if (bytes !== undefined && isPlain(bytes)) plain++;
      },
    ),
    { numRuns: runs },
  );
  assert.ok(plain > runs / 4, `${plain} of ${runs} were read the plain way`);
});

test("an invalid event that defines the shapes of those behind it is cut out", () => {
  const event = (index: number, timestamp: unknown): Event => ({
    eventId: `event-${index}`,
    sessionId: "s",
    eventType: "page_view",
    eventCategory: "web",
    timestamp,
    properties: { value: index, x: { y: index } },
    context: { userAgent: "a", ipAddress: "b", deviceType: "c", platform: "d" },
    source: "web",
    version: "1",
    environment: "test",
  });
  const events = Array.from({ length: 12 }, (_, index) => event(index, index === 0 || index === 7 ? "no time" : INGEST_MS));
  for (const encode of encoders) assert.ok(isPlain(encode(events)));
  const half = events.map((each, index) => (index % 2 === 0 ? { ...each, eventType: "" } : each));
  for (const encode of encoders) assert.ok(!isPlain(encode(half)), "many of them are left to the reference");
});

test("any other events are left to the reference or read as it reads them", () => {
  let read = 0;
  let plain = 0;
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 3, arbitrary: ordinaryEvent }, goodEvent, spoiledEvent), { minLength: 1, maxLength: 3 }),
      fc.constantFrom(...encoders, (events: readonly Event[]) => rich.pack({ events })),
      (events, encode) => {
        const bytes = tryEncode(encode, events);
        if (bytes === undefined) return;
        read++;
        if (isPlain(bytes)) plain++;
      },
    ),
    { numRuns: 2_000 },
  );
  assert.ok(read > 1_500 && plain > 100, `${plain} of ${read} were plain`);
});

const mutation = fc.record({
  at: fc.nat(),
  byte: fc.oneof(
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom(
      0x00,
      0x40,
      0x41,
      0x72,
      0x80,
      0x81,
      0x90,
      0x91,
      0xa0,
      0xa1,
      0xc0,
      0xc1,
      0xc3,
      0xc4,
      0xc7,
      0xca,
      0xcb,
      0xcc,
      0xcf,
    ),
    fc.constantFrom(0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xef, 0xbb, 0xbf, 0xff),
  ),
  kind: fc.constantFrom("set", "insert", "remove", "cut"),
});

function mutate(bytes: Uint8Array, mutations: readonly { at: number; byte: number; kind: string }[]): Uint8Array {
  let current = Array.from(bytes);
  for (const { at, byte, kind } of mutations) {
    const place = at % (current.length + 1);
    if (kind === "set") current[Math.min(place, Math.max(0, current.length - 1))] = byte;
    else if (kind === "insert") current.splice(place, 0, byte);
    else if (kind === "remove") current.splice(place, 1);
    else if (at % 8 === 0) current = current.slice(0, place);
  }
  return Uint8Array.from(current);
}

test("mutated frames are given up or read as the reference reads them", () => {
  let plain = 0;
  fc.assert(
    fc.property(
      fc.array(ordinaryEvent, { minLength: 1, maxLength: 3 }),
      fc.constantFrom(...encoders),
      fc.array(fc.array(mutation, { minLength: 1, maxLength: 3 }), { minLength: 8, maxLength: 8 }),
      (events, encode, variants) => {
        const bytes = encode(events);
        for (const mutations of variants) if (isPlain(mutate(bytes, mutations))) plain++;
      },
    ),
    { numRuns: 1_500 },
  );
  assert.ok(plain > 500, `${plain} were plain`);
});

test("random bytes are given up or read as the reference reads them", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .array(fc.constantFrom(0x01, 0x40, 0x72, 0x81, 0x90, 0x91, 0x92, 0xa0, 0xa1, 0x65, 0xd4, 0xdc, 0xde))
      .map((list) => Uint8Array.from(list)),
  );
  fc.assert(
    fc.property(bytes, (random) => {
      isPlain(random);
    }),
    { numRuns: 5_000 },
  );
});
