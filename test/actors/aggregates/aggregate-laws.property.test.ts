/**
 * Laws of every aggregate in the registry, to the byte of the written state:
 * - any order of adds, any split into parts and any tree of merges of the same values writes the same bytes;
 * - merge is associative and commutative, the empty state is neutral, and what is merged from stays as it was;
 * - write(read(bytes)) = bytes, and a state that was read goes on like one that was not;
 * - equal bytes finish equal.
 * topK keeps them while its keys fit its counters, as the keys here do (`top-k.property.test.ts` goes beyond).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Aggregate } from "../../../actors/aggregates/aggregate.ts";
import type { EventValue } from "../../../actors/aggregates/key-text.ts";
import { aggregates, outputsOf } from "../../../actors/aggregates/registry.ts";
import { ByteReader, ByteWriter } from "../../../protocol/bytes.ts";
import { aggregateNames, metricDefinition } from "../../../protocol/metric-definition.ts";

const hardNumbers = [
  0,
  -0,
  1,
  -1,
  0.1,
  0.2,
  0.3,
  -0.1,
  1e308,
  -1e308,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  5e-324,
  -5e-324,
  2 ** 53,
  -(2 ** 53),
  2 ** 53 - 1,
  1 - 2 ** 53,
  2.2250738585072014e-308,
  1e-9,
  -1e-9,
  9.99e-10,
  1e15,
  1e16,
  -1e16,
  1.5,
  NaN,
  Infinity,
  -Infinity,
];
const hardTexts = ["", "0", "1", "a", "é", "日本", "\ufeffmark", "\ud800", "\udc00x", "x".repeat(300), "y".repeat(255) + "é"];

const eventValue: fc.Arbitrary<EventValue> = fc.oneof(
  { weight: 4, arbitrary: fc.double() },
  { weight: 3, arbitrary: fc.double({ min: -1000, max: 1000, noNaN: true }) },
  { weight: 4, arbitrary: fc.integer() },
  { weight: 3, arbitrary: fc.constantFrom(...hardNumbers) },
  { weight: 3, arbitrary: fc.string() },
  { weight: 2, arbitrary: fc.constantFrom(...hardTexts) },
  { weight: 1, arbitrary: fc.constantFrom(true, false, null, undefined) },
);
/** Up to 600 values: past the point where distinct and quantiles turn dense. */
const eventValues = fc.array(eventValue, { maxLength: 600, size: "max" });
const SPAN_MS = 60_000;

function bytesOf<State>(aggregate: Aggregate<State>, state: State): Buffer {
  const writer = new ByteWriter();
  aggregate.write(state, writer);
  return Buffer.from(writer.finish());
}

function readBack<State>(aggregate: Aggregate<State>, bytes: Uint8Array): State {
  const reader = new ByteReader(bytes);
  const state = aggregate.read(reader);
  assert.ok(reader.done, "a state is read to its end");
  return state;
}

function stateOf<State>(aggregate: Aggregate<State>, values: readonly EventValue[]): State {
  const state = aggregate.empty();
  for (const value of values) aggregate.add(state, value);
  return state;
}

function merged<State>(aggregate: Aggregate<State>, ...parts: readonly State[]): State {
  const into = aggregate.empty();
  for (const part of parts) aggregate.merge(into, part);
  return into;
}

for (const name of aggregateNames) {
  const aggregate = aggregates[name] as Aggregate<unknown>;

  test(`${name}: any order, any split and any merges write the same bytes`, () => {
    const cuts = fc.array(fc.nat(600), { maxLength: 6 });
    fc.assert(
      fc.property(eventValues, fc.infiniteStream(fc.nat()), cuts, fc.boolean(), (values, keys, cutAt, backwards) => {
        const expected = stateOf(aggregate, values);
        const bytes = bytesOf(aggregate, expected);
        const shuffled = values
          .map((value) => ({ value, key: keys.next().value }))
          .toSorted((a, b) => a.key - b.key)
          .map(({ value }) => value);
        const borders = [0, ...cutAt.map((cut) => cut % (values.length + 1)).toSorted((a, b) => a - b), values.length];
        const parts = borders.slice(1).map((end, index) => stateOf(aggregate, shuffled.slice(borders[index], end)));
        if (backwards) parts.reverse();
        assert.deepEqual(bytesOf(aggregate, stateOf(aggregate, shuffled)), bytes, "shuffled");
        assert.deepEqual(bytesOf(aggregate, merged(aggregate, ...parts)), bytes, "in parts");
        assert.deepEqual(aggregate.finish(merged(aggregate, ...parts), SPAN_MS), aggregate.finish(expected, SPAN_MS));
      }),
      { numRuns: 60 },
    );
  });

  test(`${name}: merge is associative and commutative, the empty state is neutral`, () => {
    fc.assert(
      fc.property(eventValues, eventValues, eventValues, (first, second, third) => {
        const [a, b, c] = [first, second, third].map((values) => stateOf(aggregate, values));
        const bytes = bytesOf(aggregate, b);
        const left = merged(aggregate, merged(aggregate, a, b), c);
        const right = merged(aggregate, a, merged(aggregate, b, c));
        assert.deepEqual(bytesOf(aggregate, left), bytesOf(aggregate, right), "associative");
        assert.deepEqual(bytesOf(aggregate, merged(aggregate, b, a)), bytesOf(aggregate, merged(aggregate, a, b)), "commutative");
        aggregate.merge(b, aggregate.empty());
        assert.deepEqual(bytesOf(aggregate, b), bytes, "the empty state adds nothing");
        aggregate.merge(a, b);
        assert.deepEqual(bytesOf(aggregate, b), bytes, "what is merged from stays");
        for (const value of third) aggregate.add(a, value);
        assert.deepEqual(bytesOf(aggregate, b), bytes, "and is not shared");
      }),
      { numRuns: 40 },
    );
  });

  test(`${name}: a state that was written and read is the same and goes on the same`, () => {
    fc.assert(
      fc.property(eventValues, eventValues, (before, after) => {
        const state = stateOf(aggregate, before);
        const bytes = bytesOf(aggregate, state);
        const copy = readBack(aggregate, bytes);
        assert.deepEqual(bytesOf(aggregate, copy), bytes);
        assert.deepEqual(aggregate.finish(copy, SPAN_MS), aggregate.finish(state, SPAN_MS));
        for (const value of after) {
          aggregate.add(state, value);
          aggregate.add(copy, value);
        }
        assert.deepEqual(bytesOf(aggregate, copy), bytesOf(aggregate, state));
      }),
      { numRuns: 40 },
    );
  });

  test(`${name}: finishes to one value for each output, none of them NaN, infinite or -0`, () => {
    fc.assert(
      fc.property(eventValues, (values) => {
        const finished = aggregate.finish(stateOf(aggregate, values), SPAN_MS);
        assert.equal(finished.length, aggregate.outputs.length);
        for (const value of finished) {
          if (typeof value === "number") assert.ok(Number.isFinite(value) && !Object.is(value, -0), String(value));
        }
      }),
      { numRuns: 40 },
    );
  });

  test(`${name}: its size is stated, and grows with what it holds at most`, () => {
    const empty = aggregate.sizeBytes(aggregate.empty());
    const full = aggregate.sizeBytes(
      stateOf(
        aggregate,
        Array.from({ length: 5000 }, (_, index) => index + 0.5),
      ),
    );
    assert.ok(empty > 0 && full >= empty && full < 300_000, `${empty} ${full}`);
  });
}

test("the registry has each aggregate under its own name, and outputs in the order asked for", () => {
  for (const name of aggregateNames) assert.equal(aggregates[name].name, name);
  assert.deepEqual(outputsOf(["sum", "quantiles", "count"]), ["sum", "p50", "p75", "p90", "p95", "p99", "count"]);
  const all = metricDefinition.parse({ name: "all", value: "properties.value", aggregates: [...aggregateNames] });
  assert.equal(new Set(outputsOf(all.aggregates)).size, 13);
});
