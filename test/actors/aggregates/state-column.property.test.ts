/**
 * Law of every aggregate in the registry: what its column holds at a place writes the same bytes as the aggregate's own state of the
 * same values, after any adds, merges, growth and reads, and whatever is at other places. The same where a metric has several
 * aggregates, of which some share a column, in any order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashValue } from "../../../actors/aggregates/key-text.ts";
import type { RowValues, StateColumn } from "../../../actors/aggregates/state-column.ts";
import { MetricPlan, type PaneStates } from "../../../actors/metric-plan.ts";
import { ByteReader, ByteWriter } from "../../../protocol/bytes.ts";
import type { FieldValue } from "../../../protocol/field-path.ts";
import { aggregateNames, metricDefinition } from "../../../protocol/metric-definition.ts";

const PLACES = 5;
const place = fc.nat(PLACES - 1);
const hard = [0, -0, 0.1, -0.1, 1e308, -1e308, 5e-324, 2 ** 53, -(2 ** 53), 2 ** 53 - 1, 1 - 2 ** 53, NaN, Infinity, -Infinity];
const value: fc.Arbitrary<FieldValue> = fc.oneof(
  { weight: 3, arbitrary: fc.integer() },
  { weight: 2, arbitrary: fc.double() },
  { weight: 2, arbitrary: fc.constantFrom(...hard) },
  { weight: 1, arbitrary: fc.constantFrom("", "a", "b", true, null, undefined) },
);
/** What is done to one of two columns. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("add" as const), rows: fc.array(fc.tuple(place, value)), into: fc.nat(1) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("merge" as const), to: place, from: place, into: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("read" as const), to: place, from: place, into: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("grow" as const, "clear" as const), into: fc.nat(1) }) },
);

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  write(writer);
  return writer.finish();
}

/** Each value in all the forms in which it may be read. */
function rowsOf(values: readonly FieldValue[]): RowValues {
  const hashes = new Uint32Array(2 * values.length);
  values.forEach((each, index) => hashValue(each, hashes, 2 * index));
  return { numbers: Float64Array.from(values, (each) => (typeof each === "number" ? each : NaN)), hashes, values };
}

class Both {
  readonly #plan: MetricPlan;
  readonly #columns: readonly StateColumn[];
  readonly #states: PaneStates[];
  #capacity = PLACES;

  constructor(plan: MetricPlan) {
    this.#plan = plan;
    this.#columns = plan.newColumns();
    this.#states = Array.from({ length: PLACES }, () => plan.emptyStates());
    for (const column of this.#columns) column.grow(PLACES);
  }

  add(rows: readonly (readonly [number, FieldValue])[]): void {
    for (const [at, each] of rows) this.#plan.add(this.#states[at] ?? [], each);
    // Values lie the other way round, and not all of what is handed over is to be taken.
    const indexes = Int32Array.from([...rows.map((_, index) => rows.length - 1 - index), 0]);
    const places = Int32Array.from([...rows.map(([at]) => at), 0]);
    const values = rows.map(([, each]) => each).toReversed();
    for (const column of this.#columns) column.addRows(places, rowsOf(values), indexes, 0, rows.length);
  }

  merge(to: number, from: Both, fromPlace: number): void {
    if (from === this && to === fromPlace) return;
    this.#plan.merge(this.#states[to] ?? [], from.#states[fromPlace] ?? []);
    this.#columns.forEach((column, at) => column.merge(to, from.#columns[at] as StateColumn, fromPlace));
  }

  read(to: number, from: Both, fromPlace: number): void {
    const bytes = from.#written(fromPlace);
    this.#states[to] = this.#plan.read(new ByteReader(bytes));
    const reader = new ByteReader(bytes);
    for (const column of this.#columns) column.read(to, reader);
    assert.ok(reader.done, "a state is read to its end");
  }

  clear(): void {
    this.#states[1] = this.#plan.emptyStates();
    for (const column of this.#columns) column.clear(1);
  }

  grow(): void {
    this.#capacity += 3;
    for (const column of this.#columns) column.grow(this.#capacity);
  }

  check(): void {
    for (let at = 0; at < PLACES; at++) {
      const plain = this.#plan.encode(this.#states[at] ?? []);
      assert.deepEqual(this.#written(at), plain);
      assert.deepEqual(this.#plan.encode(this.#columns.map((column) => column.stateAt(at))), plain);
    }
  }

  #written(place: number): Uint8Array {
    return written((writer) => {
      for (const column of this.#columns) column.write(place, writer);
    });
  }
}

const several = [
  ["count", "rate"],
  ["rate", "sum", "count"],
  ["sum", "mean", "quantiles"],
  ["mean", "min", "sum"],
] as const;

for (const names of [...aggregateNames.map((name) => [name] as const), ...several]) {
  test(`${names.join(", ")}: a column holds what states would`, () => {
    const plan = new MetricPlan(metricDefinition.parse({ name: "m", value: "properties.value", aggregates: names }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const pair = [new Both(plan), new Both(plan)] as const;
        for (const each of steps) {
          const [into, other] = each.into === 0 ? pair : [pair[1], pair[0]];
          if (each.do === "add") into.add(each.rows);
          else if (each.do === "merge") into.merge(each.to, other, each.from);
          else if (each.do === "read") into.read(each.to, other, each.from);
          else into[each.do]();
        }
        for (const both of pair) both.check();
      }),
      { numRuns: 150 },
    );
  });
}
