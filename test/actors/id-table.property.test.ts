/**
 * Law: whatever was put, died, was swept and marked in whatever order, `find` gives the byte of every live entry and no live byte
 * for any other; the marked ones come out in one order, that of their values; and a table that has been swept is no larger than
 * what it holds asks for.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ID_BYTES, IdTable, MARK } from "../../actors/id-table.ts";

interface Entry {
  readonly low: number;
  readonly high: number;
  byte: number;
}

/** Entries of each kind that a step puts; a segment has some 6,000 at most. */
const COUNTS = { few: 40, many: 5_000 } as const;
const BYTES = 6;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("put"),
      byte: fc.integer({ min: 1, max: BYTES }),
      seed: fc.integer(),
      size: fc.constantFrom("few", "many"),
      spread: fc.constantFrom("even", "left", "last", "equal"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("kill"), byte: fc.integer({ min: 1, max: BYTES }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sweep"), places: fc.integer({ min: 1, max: 20_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("take"), byte: fc.integer({ min: 1, max: BYTES }) }) },
) as fc.Arbitrary<Step>;

type Step =
  | { kind: "put"; byte: number; seed: number; size: keyof typeof COUNTS; spread: "even" | "left" | "last" | "equal" }
  | { kind: "kill"; byte: number }
  | { kind: "sweep"; places: number }
  | { kind: "take"; byte: number };

/** Marsaglia's xorshift: the same entries for the same seed. */
function* words(seed: number): Generator<number, never> {
  for (let word = seed | 1; ;) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    yield word | 0;
  }
}

class Compared {
  readonly #isLive = new Uint8Array(2 * MARK);
  readonly table = new IdTable(this.#isLive);
  /** By both halves; dead ones too. */
  readonly #model = new Map<string, Entry & { marked: boolean }>();

  #dead = 0;

  constructor() {
    for (let byte = 1; byte <= BYTES; byte++) this.#isLive[byte] = this.#isLive[byte | MARK] = 1;
  }

  run(each: Step): void {
    if (each.kind === "put") this.#put(each);
    else if (each.kind === "kill") this.#kill(each.byte);
    else if (each.kind === "sweep") this.table.sweep(each.places);
    else this.#take(each.byte);
  }

  #put({ byte: wanted, seed, size, spread }: Extract<Step, { kind: "put" }>): void {
    const byte = wanted === this.#dead ? (wanted % BYTES) + 1 : wanted;
    const random = words(seed);
    for (let index = 0; index < COUNTS[size]; index++) {
      // Some lie at the end of their segment, where there may be no room, and some want the same place; not thousands.
      const crowded = index < COUNTS.few || spread === "left" ? spread : "even";
      const word = random.next().value;
      const low = crowded === "even" ? word : crowded === "left" ? word >>> 1 : crowded === "last" ? -1 - (word & 0xff) : seed;
      const high = random.next().value;
      const known = this.table.find(low, high);
      const model = this.#model.get(`${low} ${high}`);
      assert.equal(this.#isLive[known] === 1, model !== undefined);
      if (model !== undefined) continue;
      this.table.put(low, high, byte | MARK);
      this.#model.set(`${low} ${high}`, { low, high, byte, marked: true });
    }
  }

  /** The byte's entries die. The one that died before may be used again, as slots of time are, once all of it is swept. */
  #kill(byte: number): void {
    this.table.sweep(Number.POSITIVE_INFINITY);
    if (this.#dead > 0) this.#isLive[this.#dead] = this.#isLive[this.#dead | MARK] = 1;
    this.#dead = byte;
    this.#isLive[byte] = this.#isLive[byte | MARK] = 0;
    for (const [id, entry] of this.#model) if (entry.byte === byte) this.#model.delete(id);
    this.table.beginSweep();
    this.#check();
  }

  #take(byte: number): void {
    if (byte === this.#dead) return;
    const expected = [...this.#model.values()].filter((entry) => entry.byte === byte && entry.marked);
    expected.sort((a, b) => (a.low >>> 0) - (b.low >>> 0) || a.high - b.high);
    const list = new Int32Array(2 * expected.length);
    this.table.takeMarked(byte, list);
    assert.deepEqual(
      [...list],
      expected.flatMap(({ low, high }) => [low, high]),
    );
    for (const entry of expected) entry.marked = false;
  }

  #check(): void {
    const random = words(-7);
    for (let index = 0; index < 100; index++) {
      const [low, high] = [random.next().value, random.next().value];
      assert.ok(this.#isLive[this.table.find(low, high)] !== 1 || this.#model.has(`${low} ${high}`));
    }
    for (const { low, high, byte, marked } of this.#model.values()) {
      assert.equal(this.table.find(low, high), marked ? byte | MARK : byte);
      this.table.touch(low);
    }
    let count = 0;
    this.table.forEach((low, high, byte) => {
      count++;
      assert.equal(byte & ~MARK, this.#model.get(`${low} ${high}`)?.byte);
    });
    assert.equal(count, this.#model.size);
  }

  finish(): void {
    for (let byte = 1; byte <= BYTES; byte++) this.#take(byte);
    this.#check();
    this.table.sweep(Number.POSITIVE_INFINITY);
    this.#check();
  }
}

test("law: every live entry is found with its byte, no other is, and the marked ones come out in order", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const compared = new Compared();
      for (const each of steps) compared.run(each);
      compared.finish();
    }),
    { numRuns: 60 },
  );
});

test("a table takes at most 17 bytes an entry while it grows, once there are some, and shrinks as entries die", () => {
  const isLive = new Uint8Array(2 * MARK).fill(1, 1);
  const table = new IdTable(isLive);
  const random = words(11);
  const put = (count: number, byte: number): void => {
    for (let index = 0; index < count; index++) {
      const [low, high] = [random.next().value, random.next().value];
      assert.equal(table.find(low, high), 0);
      table.put(low, high, byte);
    }
  };
  for (let thousands = 1; thousands <= 300; thousands++) {
    put(1_000, thousands <= 290 ? 1 : 2);
    if (thousands >= 100) assert.ok(table.sizeBytes <= 17 * 1_000 * thousands, `${table.sizeBytes} at ${thousands},000`);
  }
  isLive[1] = 0;
  table.beginSweep();
  let sweeps = 0;
  for (; table.isSweeping; sweeps++) table.sweep(10_000);
  assert.ok(sweeps >= 30, "little by little");
  assert.ok(table.sizeBytes <= 10_000 * 4 * ID_BYTES, `${table.sizeBytes} for 10,000`);
  isLive[2] = 0;
  table.beginSweep();
  while (table.isSweeping) table.sweep(10_000);
  assert.ok(table.sizeBytes <= 2_048, `${table.sizeBytes} for none`);
});
