/**
 * Law: within a generation two rows have the same number exactly when they have the same text, whichever number the reader gave it,
 * whatever came before; what has no number says UNKNOWN, and what is no text is left alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FieldColumn, NUMBER, UNKNOWN } from "../../protocol/field-column.ts";
import type { FieldValue } from "../../protocol/field-path.ts";
import { beginTextGeneration } from "../../protocol/text-numbers.ts";
import { ValueNumbers } from "../../actors/value-numbers.ts";
import { newTextNumber } from "../support/text-number.ts";
import { rules } from "./event-fixture.ts";

const TEXTS_MAX = 20;
const text = fc.oneof(
  { weight: 8, arbitrary: fc.nat(30).map((number) => `text ${"*".repeat(number % 7)}${number}`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("", "a".repeat(171), "\u00e9".repeat(170), "\u20ac", "\ud83d\ude00", "\ud83d", "\ufffd"),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
);
interface Row {
  readonly value: FieldValue;
  /** The reader has given the text a new number. */
  readonly isNew: boolean;
  readonly isTaken: boolean;
}
const row = fc.record<Row>({
  value: fc.oneof({ weight: 9, arbitrary: text }, { weight: 1, arbitrary: fc.constantFrom(7, true, null) }),
  isNew: fc.boolean(),
  isTaken: fc.integer({ min: 0, max: 4 }).map((number) => number > 0),
});
const step = fc.oneof(
  { weight: 9, arbitrary: fc.array(row, { maxLength: 30 }) },
  { weight: 1, arbitrary: fc.constant("generation" as const) },
);

class Checked {
  readonly #numbers = new ValueNumbers(TEXTS_MAX);
  readonly #readers = new Map<FieldValue, number>();
  #texts = new Map<number, string>();
  #generation = 0;

  take(rows: readonly Row[]): void {
    const column = FieldColumn.of(rows.map(({ value }) => value));
    const before = Int32Array.from(rows, (each) => this.#readersNumber(each));
    const after = Int32Array.from(before);
    const flags = Uint8Array.from(rows, ({ isTaken }) => (isTaken ? 1 : 0));
    const rowOf = Int32Array.from(rows, (_, index) => index);
    this.#numbers.begin();
    if (this.#numbers.generation !== this.#generation) this.#texts = new Map();
    this.#generation = this.#numbers.generation;
    const middle = rows.length >> 1;
    this.#numbers.read(column, rowOf, 0, middle, flags, after);
    this.#numbers.read(column, rowOf, middle, rows.length, flags, after);
    this.#numbers.settle(rules.dedupKey, after);
    rows.forEach(({ value, isTaken }, index) => this.#check(value, isTaken, before[index] ?? 0, after[index] ?? 0));
    assert.ok(this.#numbers.count <= TEXTS_MAX);
  }

  forgetReaders(): void {
    beginTextGeneration();
    this.#readers.clear();
  }

  #readersNumber({ value, isNew }: Row): number {
    if (typeof value === "number") return NUMBER;
    if (typeof value !== "string" || value === "") return UNKNOWN;
    const number = isNew ? undefined : this.#readers.get(value);
    if (number !== undefined) return number;
    const made = newTextNumber();
    this.#readers.set(value, made);
    return made;
  }

  #check(value: FieldValue, isTaken: boolean, before: number, after: number): void {
    if (!isTaken || before < 0) return assert.equal(after, before);
    const canHave = typeof value === "string" && value !== "" && value.length <= 170 && value.isWellFormed();
    if (!canHave) return assert.equal(after, UNKNOWN);
    const known = [...this.#texts].find(([, each]) => each === value)?.[0];
    if (known !== undefined) assert.equal(after, known, "it keeps its number");
    else if (this.#texts.size === TEXTS_MAX) assert.equal(after, UNKNOWN, "there is no room");
    else {
      assert.ok(after > 0 && !this.#texts.has(after), "the number is nobody else's");
      this.#texts.set(after, value);
    }
  }
}

test("texts keep their numbers, and no two have the same", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30, size: "max" }), (steps) => {
      const checked = new Checked();
      for (const each of steps) {
        if (each === "generation") checked.forgetReaders();
        else checked.take(each);
      }
    }),
    { numRuns: 200 },
  );
});
