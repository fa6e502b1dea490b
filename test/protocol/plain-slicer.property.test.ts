/**
 * Laws: what the plain slicer cuts out of a frame is, byte for byte, what the scanner of all of msgpack cuts out; where the event
 * ends and what it defines is the same; and it leaves nothing to the scanner that ordinary encoders write.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { scanMsgpackBatch } from "../../protocol/event-batch.ts";
import { eventAlone } from "../../protocol/msgpack-slices.ts";
import { FrameShapes, plainListOfOne, walkPlainEvent } from "../../protocol/plain-slicer.ts";
import { readPlainFrame } from "../../workers/frame-reader.ts";
import { bytes, extension, list, pack, publish, repeat } from "../fuzz/msgpack-bytes.ts";
import { Random } from "../fuzz/random.ts";

const scalars = [
  ...[0, 1, 63, 64, 100, 127, 128, 70_000, -1, -40, 1.5, 2 ** 40, null, true, "", "a", "x".repeat(40), "é".repeat(200)].map(pack),
  bytes("d6ff 00000001"),
  bytes("d7ff 0000000000000001"),
  bytes("c70cff 00000001 0000000000000002"),
  bytes("d4ff 00"),
  bytes("d40000"),
  bytes("c403 010203"),
];
/** What decoders have ways of their own with, or is broken. */
const oddities = [
  bytes("d9 04 efbbbf 41"),
  bytes("d90b efbbbf 4142434445464748"),
  extension(0x69, bytes(1)),
  bytes("c70cff ffffffff 0000000000000002"),
  bytes("d501 0102"),
  bytes("c1"),
  bytes("df00"),
];
const keyLists = [["a"], ["a", "b"], ["b", "a"], ["sessionId", "k".repeat(30)], ["k".repeat(100), "c", "d"], []];

/** A list of events that define few shapes again and again, as the same and as others, and use those of others. */
class Forge {
  readonly #random: Random;
  readonly #isOdd: boolean;
  readonly #shapes = new Map<number, readonly string[]>();

  constructor(random: Random, isOdd: boolean) {
    this.#random = random;
    this.#isOdd = isOdd;
  }

  frame(): Uint8Array {
    return list(Array.from({ length: 1 + this.#random.below(6) }, () => this.#value(4)));
  }

  #value(depth: number): Uint8Array {
    const random = this.#random;
    if (this.#isOdd && random.chance(0.02)) return random.pick(oddities);
    const kind = depth === 0 ? 0 : random.below(8);
    if (kind < 3) return random.pick(scalars.filter((scalar) => !this.#shapes.has(scalar[0] ?? 0)));
    if (kind === 3) return list(Array.from({ length: random.below(3) }, () => this.#value(depth - 1)));
    if (kind === 4) return bytes(0x81, pack("m"), this.#value(depth - 1));
    const id = 0x40 + random.pick([0, 1, 63, 36]);
    const known = this.#shapes.get(id);
    if (known !== undefined && random.chance(0.7)) return this.#record(bytes(id), known, depth);
    const keys = random.pick(keyLists);
    this.#shapes.set(id, keys);
    const head = bytes(0xd4, 0x72, id, keys.length < 16 && random.chance(0.5) ? 0x90 + keys.length : bytes(0xdc, 0, keys.length));
    return this.#record(bytes(head, ...keys.map(pack)), keys, depth);
  }

  #record(head: Uint8Array, keys: readonly string[], depth: number): Uint8Array {
    return bytes(head, ...keys.map(() => this.#value(depth - 1)));
  }
}

/** How many of the events were cut the plain way. */
function compare(content: Uint8Array): { plain: number; events: number } {
  // Bytes around the frame would be seen by who reads past its end.
  const padded = bytes(repeat(16, 0x01), content, repeat(16, 0x01));
  const frame = padded.subarray(16, 16 + content.length);
  const scanned = scanOf(frame);
  if (scanned === undefined) return { plain: 0, events: 0 };
  const isDefinition = (at: number): boolean => frame[at] === 0xd4 && frame[at + 1] === 0x72;
  const definitions = [...new Set(scanned.marks.map(({ from }) => from).filter(isDefinition))];
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const shapes = new FrameShapes();
  let plain = 0;
  for (let row = 0; row < scanned.count; row++) {
    const start: number = scanned.starts[row] ?? 0;
    const end: number = scanned.ends[row] ?? 0;
    const within: number[] = definitions.filter((at) => at >= start && at < end);
    // As the reader asks: it knows the definitions up to the event, and as a dead letter's keeper asks: those behind it too.
    for (const known of [definitions.filter((at) => at < start), definitions]) {
      shapes.take(frame, known);
      const walked = walkPlainEvent({ bytes: frame, view }, shapes, start);
      if (walked === undefined) continue;
      assert.deepEqual(walked, { end, definitions: within });
      const alone = plainListOfOne({ bytes: frame, view }, shapes, start);
      assert.deepEqual(alone?.subarray(1), eventAlone(frame, scanned, row));
      plain++;
    }
  }
  return { plain: plain / 2, events: scanned.count };
}

function scanOf(frame: Uint8Array): ReturnType<typeof scanMsgpackBatch> | undefined {
  try {
    return scanMsgpackBatch(frame, true);
  } catch {
    return undefined;
  }
}

test("an event is cut out as the scanner cuts it out", () => {
  for (let seed = 0; seed < 3_000; seed++) {
    const { plain, events } = compare(new Forge(new Random(seed), false).frame());
    assert.equal(plain, events, `seed ${seed}`);
    compare(new Forge(new Random(seed), true).frame());
  }
});

test("shapes that would be many times the event's size are left out, and a large event has memory of its own", () => {
  const keys = Array.from({ length: 20 }, (_, key) => `${key}-`.padEnd(250, "x"));
  const definition = bytes(0xd4, 0x72, 0x40, bytes(0xdc, 0, keys.length), ...keys.map(pack), repeat(keys.length, 1));
  const tiny = bytes(0x40, repeat(keys.length, 1));
  const large = list([pack("y".repeat(60_000)), tiny, bytes(0x40, repeat(keys.length, 2))]);
  const { plain, events } = compare(list([definition, tiny, large]));
  assert.deepEqual({ plain, events }, { plain: 3, events: 3 });
});

test("odd events behind many definitions cost the time of their own bytes", () => {
  const keys = Array.from({ length: 30 }, (_, key) => `${key}-`.padEnd(200, "x"));
  const definitions = Array.from({ length: 450 }, (_, number) =>
    bytes(0xd4, 0x72, 0x40 + (number % 64), 0xdc, 0, 30, ...keys.map((key) => pack(`${number}-${key}`)), repeat(30, 1)),
  );
  const label = { source: "s", version: "1", environment: "e", eventType: "t", eventCategory: "c" };
  const context = { userAgent: "", ipAddress: "", deviceType: "", platform: "" };
  const good = { eventId: "e", sessionId: "s", timestamp: Date.UTC(2024, 1), ...label, properties: {}, context };
  const odd = pack({ ...good, eventType: "" });
  const EVENTS = 4_000;
  const timeOf = (oddEvents: number): number => {
    const events = Array.from({ length: EVENTS }, (_, row) => (row < oddEvents ? odd : pack(good)));
    // A list is no event: it is odd as well.
    const frame = publish(list(definitions), ...events);
    const startMs = performance.now();
    const columns = readPlainFrame({
      format: 0,
      bytes: frame,
      tenant: "t",
      ingestTimeMs: Date.UTC(2024, 2),
      partitionCount: 16,
      wanted: [],
    });
    const tookMs = performance.now() - startMs;
    assert.equal(columns?.verdicts.filter((verdict) => verdict !== 0).length, oddEvents + 1);
    return tookMs;
  };
  // The shortest of some: what else the machine does counts in none of them.
  const shortest = (oddEvents: number): number => Math.min(...Array.from({ length: 5 }, () => timeOf(oddEvents)));
  // Scanning every definition for each odd event takes ten times as long.
  assert.ok(shortest(900) < 6 * Math.max(1, shortest(0)));
});
