/**
 * Laws of topK beyond its capacity, over any stream and any tree of merges, with few counters: for every key that has a counter
 * true <= count <= true + error, for every key without one true <= floor, and floor and errors <= events / capacity.
 * Merge is commutative; a state that was written and read, or whose heap was made at another time, goes on the same.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SpaceSaving } from "../../../actors/aggregates/space-saving.ts";
import { topK } from "../../../actors/aggregates/top-k.ts";
import type { TopKEntry } from "../../../actors/aggregates/aggregate.ts";
import { ByteReader, ByteWriter } from "../../../protocol/bytes.ts";
import { limits } from "../../../protocol/limits.ts";

const CAPACITY = 8;

function count(state: SpaceSaving, key: string): void {
  if (!state.countKnown(key)) state.countNew(key);
}

function summaryOf(keys: readonly string[], capacity = CAPACITY): SpaceSaving {
  const state = new SpaceSaving(capacity);
  for (const key of keys) count(state, key);
  return state;
}

function truthOf(keys: readonly string[]): Map<string, number> {
  const truth = new Map<string, number>();
  for (const key of keys) truth.set(key, (truth.get(key) ?? 0) + 1);
  return truth;
}

function assertBounds(state: SpaceSaving, keys: readonly string[]): void {
  const truth = truthOf(keys);
  assert.ok(state.size <= CAPACITY);
  assert.ok(state.floor <= keys.length / CAPACITY, `floor ${state.floor} of ${keys.length} events`);
  for (const { key, count: counted, error } of state.counters()) {
    const actual = truth.get(key) ?? 0;
    assert.ok(
      actual <= counted && counted - error <= actual && error <= state.floor,
      `${key}: ${counted} -${error}, is ${actual}`,
    );
    truth.delete(key);
  }
  for (const [key, actual] of truth) assert.ok(actual <= state.floor, `${key}: ${actual} without a counter`);
}

function contentOf(state: SpaceSaving): unknown {
  const counters = [...state.counters()].map(({ key, count: counted, error }) => ({ key, counted, error }));
  return { floor: state.floor, counters: counters.toSorted((a, b) => (a.key < b.key ? -1 : 1)) };
}

/** A few frequent keys among many rare ones. */
const keyText = fc.oneof(fc.constantFrom("a", "b", "c"), fc.nat(40).map(String));
const stream = fc.oneof(fc.array(keyText, { maxLength: 300, size: "max" }), fc.array(keyText, { maxLength: 12, size: "max" }));

test("counts stay within their error over any stream", () => {
  fc.assert(
    fc.property(stream, (keys) => assertBounds(summaryOf(keys), keys)),
    { numRuns: 300 },
  );
});

test("and over any tree of merges, going on afterwards", () => {
  fc.assert(
    fc.property(fc.array(stream, { minLength: 2, maxLength: 6 }), stream, fc.boolean(), (streams, after, chain) => {
      const parts = streams.map((keys) => summaryOf(keys));
      while (parts.length > 1) {
        const from = parts.pop() ?? new SpaceSaving(CAPACITY);
        (chain ? parts.at(-1) : parts[0])?.merge(from);
      }
      const state = parts[0] ?? new SpaceSaving(CAPACITY);
      assertBounds(state, streams.flat());
      for (const key of after) count(state, key);
      assertBounds(state, [...streams.flat(), ...after]);
    }),
    { numRuns: 300 },
  );
});

test("merge is commutative, leaves what it takes from, and shares nothing with it", () => {
  fc.assert(
    fc.property(stream, stream, (first, second) => {
      const ab = summaryOf(first);
      const b = summaryOf(second);
      const before = contentOf(b);
      ab.merge(b);
      const ba = summaryOf(second);
      ba.merge(summaryOf(first));
      assert.deepEqual(contentOf(ab), contentOf(ba));
      for (const key of [...first, ...second]) count(ab, key);
      assert.deepEqual(contentOf(b), before);
    }),
    { numRuns: 300 },
  );
});

test("the lowest counter is found by count and key alone, not by history", () => {
  fc.assert(
    fc.property(stream, stream, (first, second) => {
      const state = summaryOf(first);
      // The same content, in another order, with a heap that is yet to be made.
      const copy = new SpaceSaving(CAPACITY);
      copy.restoreFloor(state.floor);
      for (const counter of [...state.counters()].reverse()) copy.put(counter.key, counter.count, counter.error);
      for (const key of second) {
        count(state, key);
        count(copy, key);
        const lowestCount = Math.min(...[...state.counters()].map((counter) => counter.count));
        assert.ok(state.size < CAPACITY || state.floor <= lowestCount);
      }
      assert.deepEqual(contentOf(copy), contentOf(state));
    }),
    { numRuns: 300 },
  );
});

test("evicts as a plain search for the lowest (count, key) would", () => {
  fc.assert(
    fc.property(stream, (keys) => {
      const plain = new Map<string, { count: number; error: number }>();
      for (const key of keys) {
        const known = plain.get(key);
        if (known !== undefined) known.count++;
        else if (plain.size < CAPACITY) plain.set(key, { count: 1, error: 0 });
        else {
          const [lowest] = [...plain].toSorted(([a, x], [b, y]) => x.count - y.count || (a < b ? -1 : 1));
          assert.ok(lowest !== undefined);
          plain.delete(lowest[0]);
          plain.set(key, { count: lowest[1].count + 1, error: lowest[1].count });
        }
      }
      const found = new Map(
        [...summaryOf(keys).counters()].map(({ key, count: counted, error }) => [key, { count: counted, error }]),
      );
      assert.deepEqual(found, plain);
    }),
    { numRuns: 300 },
  );
});

test("with all its counters: exact up to 1,024 keys, and the 20 highest sorted", () => {
  const state = topK.empty();
  const truth: TopKEntry[] = [];
  for (let key = 0; key < limits.topKCounters; key++) {
    truth.push({ key: `k${key}`, count: 1 + (key % 37), error: 0 });
    for (let times = 0; times <= key % 37; times++) topK.add(state, `k${key}`);
  }
  const expected = truth.toSorted((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1)).slice(0, 20);
  assert.deepEqual(topK.finish(state, 1), [expected]);
});

test("beyond: the frequent keys of a skewed stream are found, with counts within events / 1,024", () => {
  const state = topK.empty();
  const truth = new Map<string, number>();
  const events = 200_000;
  for (let index = 0; index < events; index++) {
    const draw = ((Math.imul(index, 2654435761) >>> 0) + 1) / 2 ** 32;
    const key = `k${Math.floor(draw ** -2)}`;
    truth.set(key, (truth.get(key) ?? 0) + 1);
    topK.add(state, key);
  }
  assert.ok(truth.size > 5 * limits.topKCounters, `${truth.size} keys`);
  const [found] = topK.finish(state, 1);
  assert.ok(Array.isArray(found));
  const entries: readonly TopKEntry[] = found;
  const highest = [...truth]
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, 10)
    .map(([key]) => key);
  assert.deepEqual(
    entries.slice(0, 10).map(({ key }) => key),
    highest,
  );
  for (const { key, count: counted, error } of entries) {
    const actual = truth.get(key) ?? 0;
    assert.ok(actual <= counted && counted <= actual + error && error <= events / limits.topKCounters, key);
  }
  const bytes = bytesOf(state);
  const copy = topK.read(new ByteReader(bytes));
  for (let index = 0; index < 5_000; index++) {
    topK.add(state, `n${index % 3000}`);
    topK.add(copy, `n${index % 3000}`);
  }
  assert.deepEqual(bytesOf(copy), bytesOf(state), "a restored state goes on the same beyond capacity");
});

test("long keys are cut at a character, a byte order mark stays", () => {
  const state = topK.empty();
  topK.add(state, "x".repeat(300));
  topK.add(state, "x".repeat(256));
  topK.add(state, `${"y".repeat(255)}é`);
  topK.add(state, "\ufeffmark");
  assert.deepEqual(topK.finish(topK.read(new ByteReader(bytesOf(state))), 1), [
    [
      { key: "x".repeat(256), count: 2, error: 0 },
      { key: "y".repeat(255), count: 1, error: 0 },
      { key: "\ufeffmark", count: 1, error: 0 },
    ],
  ]);
});

function bytesOf(state: SpaceSaving): Uint8Array {
  const writer = new ByteWriter();
  topK.write(state, writer);
  return writer.finish();
}
