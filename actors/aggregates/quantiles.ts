/**
 * Quantiles by nearest rank on a DDSketch: an output is within 1% of the value at rank ceil(q * n), for values between 1e-9 and
 * 1e15 on either side of zero (`log-buckets.ts` says what becomes of others), and never outside the exact minimum and maximum.
 * null when there were no numbers. Buckets are counts, so any order of adds and merges gives the same state.
 */
import type { Aggregate } from "./aggregate.ts";
import { BucketCounts } from "./bucket-counts.ts";
import { bucketKeyOf, bucketValueOf, RELATIVE_ERROR } from "./log-buckets.ts";

const percents = [50, 75, 90, 95, 99];

export interface QuantileSketch {
  numbers: number;
  min: number;
  max: number;
  readonly buckets: BucketCounts;
}

function emptySketch(): QuantileSketch {
  return { numbers: 0, min: Infinity, max: -Infinity, buckets: new BucketCounts() };
}

export const quantiles: Aggregate<QuantileSketch> = {
  name: "quantiles",
  outputs: percents.map((percent) => `p${percent}`),
  bound: { kind: "relative", value: RELATIVE_ERROR },
  reads: "number",
  empty: emptySketch,
  add(state, value) {
    if (typeof value !== "number" || !Number.isFinite(value)) return;
    state.numbers++;
    // Adding 0 makes -0 a plain 0.
    if (value < state.min) state.min = value + 0;
    if (value > state.max) state.max = value + 0;
    state.buckets.add(bucketKeyOf(value), 1);
  },
  merge(into, from) {
    into.numbers += from.numbers;
    if (from.min < into.min) into.min = from.min;
    if (from.max > into.max) into.max = from.max;
    into.buckets.merge(from.buckets);
  },
  finish(state) {
    if (state.numbers === 0) return percents.map(() => null);
    // (percent * n) / 100 is exact when it is whole, and far from whole otherwise: no rank is off by one through rounding.
    return valuesAtRanks(
      state,
      percents.map((percent) => Math.ceil((percent * state.numbers) / 100)),
    );
  },
  write(state, writer) {
    writer.varint(state.numbers);
    if (state.numbers === 0) return;
    writer.f64(state.min);
    writer.f64(state.max);
    state.buckets.write(writer);
  },
  read(reader) {
    const numbers = reader.varint();
    if (numbers === 0) return emptySketch();
    return { numbers, min: reader.f64(), max: reader.f64(), buckets: BucketCounts.read(reader) };
  },
  sizeBytes: (state) => 88 + state.buckets.sizeBytes(),
};

/** The estimates at rising ranks, counted from 1. */
function valuesAtRanks(state: QuantileSketch, ranks: readonly number[]): number[] {
  const values: number[] = [];
  let seen = 0;
  state.buckets.forEach((key, count) => {
    seen += count;
    for (let rank = ranks[values.length]; rank !== undefined && rank <= seen; rank = ranks[values.length]) {
      values.push(estimateAt(state, rank, key));
    }
  });
  return values;
}

function estimateAt(state: QuantileSketch, rank: number, key: number): number {
  if (rank === 1) return state.min;
  if (rank === state.numbers) return state.max;
  return Math.min(state.max, Math.max(state.min, bucketValueOf(key)));
}
