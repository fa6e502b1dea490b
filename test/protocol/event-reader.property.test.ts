/**
 * Laws: readEvents throws nothing but WeirError, whatever the bytes; it accepts no event that the zod schema refuses; bytes,
 * records or JSON make no difference to what is read; the careful decoder and msgpackr read the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { analyticsEventAt } from "../../protocol/event.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { decodeMsgpack } from "../../protocol/msgpack-decode.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { assertSameValues } from "../support/same-values.ts";
import { goodEvent, INGEST_MS, spoiledEvent } from "./event-arbitraries.ts";

const schema = analyticsEventAt(INGEST_MS);
const maps = new Packr({ useRecords: false, variableMapSize: true });
const rich = new Packr({ useRecords: true, moreTypes: true } as ConstructorParameters<typeof Packr>[0]);

function read(bytes: Uint8Array, format: FrameFormat): EventColumns {
  return readEvents({ format, bytes, tenant: "demo", ingestTimeMs: INGEST_MS, partitionCount: 16 });
}

function assertSound(bytes: Uint8Array, format: FrameFormat): void {
  let columns: EventColumns;
  try {
    columns = read(bytes, format);
  } catch (error) {
    assert.ok(error instanceof WeirError, String(error));
    return;
  }
  for (let row = 0; row < columns.count; row++) {
    if (columns.verdicts[row] === ACCEPTED) assert.ok(schema.safeParse(columns.events[row]).success);
    columns.raw(row);
  }
}

const mutation = fc.record({
  at: fc.nat(),
  // Bytes that mean something to msgpack stand beside any others.
  byte: fc.oneof(
    fc.integer({ min: 0, max: 255 }),
    fc.constantFrom(0x40, 0x41, 0x72, 0x91, 0xc1, 0xc7, 0xcf, 0xd4, 0xd5, 0xd6, 0xdd, 0xdf, 0x62, 0x69, 0x70),
  ),
  kind: fc.constantFrom("set", "insert", "remove", "cut"),
});

function mutate(bytes: Uint8Array, mutations: readonly { at: number; byte: number; kind: string }[]): Uint8Array {
  let current = Array.from(bytes);
  for (const { at, byte, kind } of mutations) {
    const place = at % (current.length + 1);
    if (kind === "set") current[Math.min(place, current.length - 1)] = byte;
    else if (kind === "insert") current.splice(place, 0, byte);
    else if (kind === "remove") current.splice(place, 1);
    else if (at % 16 === 0) current = current.slice(0, place);
  }
  return Uint8Array.from(current);
}

const batch = fc.array(fc.oneof(goodEvent, spoiledEvent), { minLength: 1, maxLength: 3 });
const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 });

test("mutated msgpack frames are read soundly or refused with a code", () => {
  let read = 0;
  fc.assert(
    fc.property(batch, fc.boolean(), mutations, (events, asRecords, changes) => {
      let bytes: Uint8Array;
      try {
        bytes = asRecords ? encodePublish(1, events) : rich.pack({ events });
      } catch {
        return;
      }
      assertSound(bytes, FRAME_FORMATS.msgpack);
      assertSound(mutate(bytes, changes), FRAME_FORMATS.msgpack);
      read++;
    }),
    { numRuns: 3_000 },
  );
  assert.ok(read > 1_000);
});

test("mutated JSON bodies are read soundly or refused with a code", () => {
  fc.assert(
    fc.property(batch, fc.boolean(), mutations, (events, asLines, changes) => {
      const plain = (_key: string, value: unknown) => (typeof value === "bigint" ? String(value) : value);
      const texts = events.map((event) => JSON.stringify(event, plain));
      const bytes = Buffer.from(asLines ? texts.join("\n") : `{"events":[${texts.join(",")}]}`);
      const format = asLines ? FRAME_FORMATS.ndjson : FRAME_FORMATS.json;
      assertSound(bytes, format);
      assertSound(mutate(bytes, changes), format);
    }),
    { numRuns: 1_000 },
  );
});

test("maps, records and JSON of good events are read alike, and events stand alone in their own bytes", () => {
  const onlyJson = (text: unknown) => typeof text !== "string" || text.isWellFormed();
  fc.assert(
    fc.property(fc.array(goodEvent, { maxLength: 5 }), (events) => {
      // -0 has no JSON.
      const expected = JSON.parse(JSON.stringify(events)) as typeof events;
      fc.pre(onlyJson(JSON.stringify(events)));
      const frames: [FrameFormat, Uint8Array][] = [
        [FRAME_FORMATS.msgpack, Uint8Array.from(maps.pack(expected))],
        [FRAME_FORMATS.msgpack, encodePublish(7, expected)],
        [FRAME_FORMATS.json, Buffer.from(JSON.stringify(expected))],
        [FRAME_FORMATS.ndjson, Buffer.from(expected.map((event) => JSON.stringify(event)).join("\n"))],
      ];
      for (const [format, bytes] of frames) {
        const columns = read(bytes, format);
        const times = expected.map((event) => ({
          ...event,
          timestamp: new Date(event["timestamp"] as string | number).getTime(),
        }));
        assert.deepEqual(columns.events, times);
        assert.ok(columns.verdicts.every((verdict) => verdict === ACCEPTED));
        for (let row = 0; row < columns.count; row++) assert.deepEqual(read(columns.raw(row), format).events, [times[row]]);
      }
    }),
    { numRuns: 500 },
  );
});

test("the careful decoder reads what msgpackr reads", () => {
  const options = { useRecords: true, mapsAsObjects: true, structuredClone: false, int64AsType: "auto" };
  const unpackr = new Unpackr(options as ConstructorParameters<typeof Unpackr>[0]);
  const value = fc.oneof(
    fc
      .anything({ withBigInt: false, withDate: true, withNullPrototype: false, maxDepth: 5 })
      // No invalid date equals another one.
      .filter((each) => !inspect(each, { depth: null }).includes("Invalid Date")),
    fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    fc.array(goodEvent, { maxLength: 4 }),
  );
  fc.assert(
    fc.property(value, fc.constantFrom(0, 32, 200), (original, shared) => {
      const packr = new Packr({ useRecords: true, maxOwnStructures: 64 + shared });
      let bytes: Uint8Array;
      try {
        bytes = Uint8Array.from(packr.pack(original));
      } catch {
        return;
      }
      assertSameValues(decodeMsgpack(bytes), unpackr.unpack(bytes));
    }),
    { numRuns: 2_000 },
  );
});
