/**
 * The plain reader's program has a memory of its own, with tables of fixed size and frames behind them. Whatever fills it or stands
 * at its end, what is read equals what the reference reads, or the frame is given up; it never throws, and no frame finds anything
 * of another.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Packr } from "msgpackr";
import { FRAME_FORMATS, type EventColumns } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import { FrameReader } from "../../protocol/plain-reader.ts";
import { readProgram } from "../../workers/wasm-programs.ts";
import { KnownTexts } from "../support/known-fields.ts";
import { INGEST_MS, type Event } from "./event-arbitraries.ts";

const PAGE_BYTES = 65_536;
const wanted: readonly string[] = ["properties.a", "properties.b", "source"];
const maps = new Packr({ useRecords: false, variableMapSize: true });

function event(index: number, changes: Event = {}): Event {
  return {
    eventId: `event-${index}`,
    sessionId: `session-${index}`,
    userId: `user-${index}`,
    eventType: "click",
    eventCategory: "web",
    timestamp: INGEST_MS,
    properties: {},
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "" },
    source: "shop",
    version: "1",
    environment: "test",
    ...changes,
  };
}

function events(count: number, make: (index: number) => Event): Event[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

const common = { format: FRAME_FORMATS.msgpack, tenant: "demo", ingestTimeMs: INGEST_MS, partitionCount: 16 };

/** undefined: given up. */
function readRight(reader: FrameReader, bytes: Uint8Array, paths = wanted, known?: KnownTexts): EventColumns | undefined {
  const columns = reader.readPlain({ ...common, bytes, wanted: paths });
  if (columns === undefined) return undefined;
  const reference = readEvents({ ...common, bytes });
  assert.equal(columns.count, reference.count);
  assert.deepEqual(columns.eventIds.texts(), reference.eventIds.texts());
  for (const name of ["verdicts", "sessionIds", "userIds", "eventTypes", "eventTimesMs", "partitions"] as const) {
    assert.deepEqual(columns[name], reference[name], name);
  }
  for (const path of paths) {
    assert.deepEqual(columns.field(path), reference.field(path), path);
    known?.check(columns, path);
  }
  return columns;
}

/** Each event defines its shapes itself. */
function selfDefining(all: readonly Event[]): Uint8Array {
  const head = Uint8Array.of(0xdc, all.length >> 8, all.length & 0xff);
  return Buffer.concat([head, ...all.map((one) => new Packr({ useRecords: true, maxSharedStructures: 0 }).pack(one))]);
}

describe("tables", () => {
  test("a frame with more new texts than it may have numbers for, again and again, until all tables overflow", () => {
    const reader = new FrameReader(readProgram());
    const known = new KnownTexts();
    let first = 0;
    for (let round = 0; round < 8; round++) {
      const frame = events(limits.frameEventsMax, (index) => {
        const number = first + index;
        return event(number, { properties: { a: `a-${number}`, b: `b-é-${number % 9_000}` }, source: `source-${number % 50}` });
      });
      // Every second frame sees the ids of the one before again.
      if (round % 2 === 0) first += limits.frameEventsMax;
      assert.ok(readRight(reader, encodePublish(1, frame), wanted, known) !== undefined);
    }
    const { texts, ids } = reader.evictions;
    assert.ok(texts > 10_000 && ids > 10_000, `${texts} texts and ${ids} ids were driven out`);
  });

  test("an id that is driven out by a later row of its own frame stays what it was", () => {
    const reader = new FrameReader(readProgram());
    const known = new KnownTexts();
    const both = ["userId", "sessionId", "properties.a"];
    for (let round = 0; round < 30; round++) {
      // When both tables are full, known ids come in turn with new ones, which drive some of them out.
      const properties = (index: number): Event => (round < 10 ? { a: `${round}-${index}` } : {});
      const frame = events(5_000, (index) =>
        event(index % 2 === 0 && round > 20 ? index : round * 5_000 + index, { properties: properties(index) }),
      );
      assert.ok(readRight(reader, encodePublish(1, frame), both, known) !== undefined);
    }
    assert.ok(reader.evictions.ids > 50_000, `${reader.evictions.ids}`);
  });

  test("texts that are too long for a place, or for one byte of length, are given as they are", () => {
    const reader = new FrameReader(readProgram());
    const sizes = [1, 7, 8, 9, 31, 32, 39, 40, 41, 103, 104, 105, 255, 256];
    const frame = sizes.map((size, index) =>
      event(index, {
        sessionId: "s".repeat(size),
        userId: "u".repeat(size),
        eventType: "é".repeat(size).slice(0, 128),
        properties: { a: "a".repeat(size), b: "\u{1F600}".repeat(size) },
        source: "q".repeat(size),
      }),
    );
    for (let round = 0; round < 2; round++) {
      for (const bytes of [encodePublish(1, frame), Uint8Array.from(maps.pack({ events: frame }))]) {
        const columns = readRight(reader, bytes);
        assert.ok(columns !== undefined);
        columns.release();
      }
    }
  });

  test("shapes that each event defines anew, more than there is room for plans", () => {
    const reader = new FrameReader(readProgram());
    const keys = (index: number): Event => Object.fromEntries(Array.from({ length: 100 }, (_, key) => [`k${index}-${key}`, key]));
    const frame = events(1_500, (index) => event(index, { properties: { ...keys(index), a: index, b: `b${index}` } }));
    assert.ok(readRight(reader, selfDefining(frame)) !== undefined);
  });

  test("more definitions than there is room for are left to the reference, and the next frame is read", () => {
    const reader = new FrameReader(readProgram());
    const deep = (index: number): Event => event(index, { properties: { a: { p: { q: { r: { s: { t: {} } } } } } } });
    const frame = selfDefining(events(9_000, deep));
    assert.equal(readRight(reader, frame), undefined);
    assert.ok(readRight(reader, encodePublish(1, [event(1)])) !== undefined);
  });
});

test("more wanted paths than there is room for, and names that are long, are answered all the same", () => {
  const reader = new FrameReader(readProgram());
  const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
  const long = "x".repeat(104);
  const paths = [
    ...names.flatMap((name) => names.map((inner) => `properties.${name}.${inner}`)),
    ...names.map((name) => `context.${name}`),
    ...names.map((name) => `top${name}.deep.deeper.deepest`),
    `properties.${long}`,
    `properties.${long}y`,
    "properties.",
    "properties..",
  ];
  const properties = { n0: { n0: 1, n39: "a" }, n29: { n5: true }, n30: { n1: 2 }, [long]: "long", [`${long}y`]: "longer" };
  const frame = [event(0, { properties, topn1: { deep: { deeper: { deepest: 7 } } } }), event(1)];
  for (const bytes of [encodePublish(1, frame), Uint8Array.from(maps.pack({ events: frame }))]) {
    assert.ok(readRight(reader, bytes, paths) !== undefined);
    assert.ok(readRight(reader, bytes) !== undefined);
  }
});

test("a wanted text is read the plain way exactly when it is well-formed UTF-8 without a byte order mark", () => {
  const reader = new FrameReader(readProgram());
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const isGood = (bytes: Uint8Array): boolean => {
    try {
      return !decoder.decode(bytes).startsWith("\uFEFF");
    } catch {
      return false;
    }
  };
  const seconds = [0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbb, 0xbf, 0xc0];
  const others = [0x41, 0x80, 0xbf, 0xc0];
  let good = 0;
  const check = (text: readonly number[]): void => {
    const bytes = encodePublish(1, [event(1, { properties: { a: "!".repeat(text.length), b: "b" } })]);
    // Behind it stands the head of the next text, which could be a part of a character.
    bytes.set(text, Buffer.from(bytes).indexOf("!"));
    const isPlain = isGood(Uint8Array.from(text));
    if (isPlain) good++;
    const columns = reader.readPlain({ ...common, bytes, wanted });
    assert.equal(columns !== undefined, isPlain, text.map((byte) => byte.toString(16)).join(" "));
    if (columns !== undefined) assert.deepEqual(columns.field("properties.a"), [decoder.decode(Uint8Array.from(text))]);
  };
  for (let first = 0x7e; first <= 0xff; first++) {
    check([first]);
    for (const second of seconds) {
      check([first, second]);
      for (const third of others) {
        check([first, second, third]);
        for (const fourth of others) check([first, second, third, fourth]);
      }
    }
  }
  assert.ok(good > 500, `${good}`);
});

describe("the end of the memory", () => {
  /** A map of exactly so many bytes that ends with these, which are its last entry. */
  function frameEndingWith(size: number, end: readonly number[]): Uint8Array {
    const frame = Buffer.alloc(size, 0x61);
    const total = size - 3 - end.length;
    const fields = Math.ceil(total / 5_000);
    frame.set([0xde, (fields + 1) >> 8, (fields + 1) & 255]);
    for (let field = 0, at = 3; field < fields; field++) {
      const next = 3 + Math.floor((total * (field + 1)) / fields);
      const length = next - at - 5;
      frame.set([0xa1, 0x70, 0xda, length >> 8, length & 255], at);
      at = next;
    }
    frame.set(end, size - end.length);
    return frame;
  }

  const key = [0xa6, ...Buffer.from("events")];
  const ends: (readonly number[])[] = [
    [...key, 0xdd, 0xff, 0xff, 0xff, 0xff],
    [...key, 0x91, 0xdf, 0xff, 0xff, 0xff, 0xff],
    [...key, 0x91, 0xde, 0xff, 0xff],
    [...key, 0x91, 0xd4, 0x72, 0x40, 0xdc, 0x01, 0x00],
    [...key, 0x91, 0xd4, 0x72, 0x40, 0x91, 0xd9, 0xff],
    [...key, 0x91, 0x81, 0xa9, ...Buffer.from("timestamp"), 0xc7],
    [...key, 0x91, 0x81, 0xa9, ...Buffer.from("sessionId"), 0xda, 0xff, 0xff],
    [...key, 0x91, 0x81, 0xaa, ...Buffer.from("properties"), 0xdd, 0x7f, 0xff, 0xff, 0xff],
    key,
    [0xa1, 0x78, 0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xa1, 0x78, 0xdc, 0xff, 0xff],
    [0xa1, 0x78, 0xde, 0x00, 0xff],
    [0xa1, 0x78, 0xd4, 0x72, 0x40, 0xdc, 0x01, 0x00],
  ];
  for (let token = 0; token < 256; token++) {
    ends.push([...key, 0x91, token], [...key, 0x91, 0x81, token], [0xa1, 0x78, token], [...key, 0x91, 0x81, 0xa1, 0x78, token]);
  }

  test("lengths and tokens there lead nowhere", () => {
    const program = readProgram();
    const reader = new FrameReader(program);
    const room = program.memory.buffer.byteLength - program.frameAt.value;
    // Behind the frame are only the bytes that begin no value.
    const size = room - 64;
    for (const end of ends) assert.equal(reader.readPlain({ ...common, bytes: frameEndingWith(size, end), wanted }), undefined);
    const whole = [...key, 0x91, ...maps.pack(event(1))];
    assert.ok(readRight(reader, frameEndingWith(size, whole)) !== undefined, "a good frame of this size is plain");
  });

  test("it grows with frames and columns, is bounded, and small frames are read as before", () => {
    const program = readProgram();
    const reader = new FrameReader(program);
    const small = encodePublish(1, [event(1), event(2)]);
    const before = program.memory.buffer.byteLength;
    assert.ok(readRight(reader, small) !== undefined);
    for (const size of [1_000, 300]) {
      const text = "x".repeat(size);
      const large = encodePublish(
        1,
        events(limits.frameEventsMax, (index) => event(index, { properties: { a: index, b: "b", other: text } })),
      );
      assert.ok(readRight(reader, large) !== undefined);
      assert.ok(readRight(reader, small) !== undefined);
    }
    const grown = program.memory.buffer.byteLength;
    assert.ok(grown > before && grown < 1_024 * PAGE_BYTES, `${grown}`);
    const huge = new Uint8Array(65 * 2 ** 20);
    assert.equal(reader.readPlain({ ...common, bytes: huge, wanted }), undefined);
    assert.equal(program.memory.buffer.byteLength, grown);
    assert.ok(readRight(reader, small) !== undefined);
  });
});

test("what an earlier frame has left behind is never read: every part of a frame is given up", () => {
  const reader = new FrameReader(readProgram());
  const whole = encodePublish(1, [event(1, { properties: { a: 1.5, b: "b" } }), event(2)]);
  for (let length = 0; length < whole.length; length++) {
    assert.ok(readRight(reader, whole) !== undefined);
    assert.equal(reader.readPlain({ ...common, bytes: whole.subarray(0, length), wanted }), undefined);
  }
});
