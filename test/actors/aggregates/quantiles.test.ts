/**
 * Every output is within 1% of the value at the nearest rank, on values of many shapes; values nearer to zero than 1e-9 count as
 * zero and those past 1e15 are held by the minimum and maximum only. Beside it, another implementation of DDSketch.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DDSketch } from "@datadog/sketches-js";
import fc from "fast-check";
import {
  BUCKET_KEY_MAX,
  bucketKeyOf,
  bucketValueOf,
  OUTERMOST,
  RELATIVE_ERROR,
  ZERO_BELOW,
} from "../../../actors/aggregates/log-buckets.ts";
import { quantiles } from "../../../actors/aggregates/quantiles.ts";
import { ByteWriter } from "../../../protocol/bytes.ts";

const shares = [0.5, 0.75, 0.9, 0.95, 0.99];
/** Borders come from some 2,800 rounded multiplications; this is far more than they and the estimate's own rounding add. */
const ROUNDING = 1e-12;

function outputsOf(values: readonly number[]): number[] {
  const state = quantiles.empty();
  for (const value of values) quantiles.add(state, value);
  return quantiles.finish(state, 1).map(Number);
}

/** Ranks in whole numbers, so that the oracle has no rounding of its own. */
function nearestRanks(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return shares.map((share) => sorted[Number((BigInt(Math.round(share * 100)) * BigInt(sorted.length) + 99n) / 100n) - 1] ?? NaN);
}

function assertWithin(values: readonly number[], error: number, reason: string): void {
  const outputs = outputsOf(values);
  nearestRanks(values).forEach((exact, at) => {
    const estimate = outputs[at] ?? NaN;
    const allowed = Math.max(Math.abs(exact) * error, Math.abs(exact) < ZERO_BELOW ? ZERO_BELOW : 0);
    assert.ok(Math.abs(estimate - exact) <= allowed, `${reason} p${(shares[at] ?? 0) * 100}: ${estimate} for ${exact}`);
  });
}

/** Numbers in [0, 1) from a fixed seed. */
function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
}

const shapes: Record<string, (next: () => number) => number> = {
  uniform: (next) => next() * 1000,
  "both signs": (next) => (next() - 0.5) * 1e6,
  negative: (next) => -next() * 100 - 1,
  exponential: (next) => -Math.log(next()) * 0.02,
  "heavy tail": (next) => next() ** -1.5,
  "very heavy tail": (next) => next() ** -3,
  "log-normal": (next) => Math.exp(4 * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next())),
  "all decades": (next) => (next() < 0.5 ? -1 : 1) * 10 ** (next() * 24 - 9),
  "mostly zero": (next) => (next() < 0.8 ? 0 : next() * 10),
  "few values": (next) => Math.floor(next() * 3),
  prices: (next) => Math.round(next() * 10_000) / 100,
};

for (const [shape, draw] of Object.entries(shapes)) {
  test(`${shape}: within 1% of the nearest rank, and beside another DDSketch`, () => {
    for (const size of [1, 2, 3, 10, 20, 99, 100, 101, 1000, 20_000]) {
      const next = uniform(size);
      const values = Array.from({ length: size }, () => draw(next));
      assertWithin(values, RELATIVE_ERROR + ROUNDING, `${shape} of ${size}`);
      if (size < 1000) continue;
      const other = new DDSketch({ relativeAccuracy: RELATIVE_ERROR });
      for (const value of values) other.accept(value);
      outputsOf(values).forEach((estimate, at) => {
        // Its rank is floor(q * (n - 1)), so look at what it gives around ours as well.
        const rank = Math.ceil((shares[at] ?? 0) * size);
        const around = [-1, 0, 1].map((step) =>
          other.getValueAtQuantile(Math.min(1, Math.max(0, (rank - 1 + step) / (size - 1)))),
        );
        const allowed = 2.1 * RELATIVE_ERROR * Math.abs(estimate) + ZERO_BELOW;
        const [low = NaN, , high = NaN] = around;
        assert.ok(
          estimate >= low - allowed && estimate <= high + allowed,
          `${shape}: ${estimate}, the other ${around.join(" ")}`,
        );
      });
    }
  });
}

test("states its error: 1%", () => {
  assert.deepEqual(quantiles.bound, { kind: "relative", value: 0.01 });
  assert.equal(RELATIVE_ERROR, 0.01);
});

test("any values between the bounds, drawn at random, are within 1%", () => {
  const value = fc.oneof(
    fc.double({ min: ZERO_BELOW, max: OUTERMOST, noNaN: true }),
    fc.double({ min: -OUTERMOST, max: -ZERO_BELOW, noNaN: true }),
    fc.integer(),
    fc.constant(0),
  );
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 300, size: "max" }), (values) => {
      assertWithin(values, RELATIVE_ERROR + ROUNDING, "random");
    }),
    { numRuns: 300 },
  );
});

test("every bucket's value is within 1% of both its borders, and borders fall into their own bucket", () => {
  let border = ZERO_BELOW;
  assert.equal(bucketKeyOf(border), 1);
  for (let key = 1; key <= BUCKET_KEY_MAX; key++) {
    const last = border;
    border *= (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
    assert.equal(bucketKeyOf(Math.min(border, OUTERMOST)), key);
    assert.equal(bucketKeyOf(-Math.min(border, OUTERMOST)), -key);
    assert.equal(bucketKeyOf(last * (1 + 2 ** -51)), key, "just past the border below");
    const value = bucketValueOf(key);
    assert.ok(Math.abs(value - last) <= last * (RELATIVE_ERROR + ROUNDING), `low border of ${key}`);
    assert.ok(Math.abs(value - border) <= border * (RELATIVE_ERROR + ROUNDING), `high border of ${key}`);
    assert.equal(bucketValueOf(-key), -value);
  }
  assert.ok(border >= OUTERMOST);
});

test("keys rise with values over the whole range", () => {
  let last = bucketKeyOf(-Number.MAX_VALUE);
  assert.equal(last, -BUCKET_KEY_MAX);
  const next = uniform(7);
  const values = Array.from({ length: 20_000 }, () => (next() < 0.5 ? -1 : 1) * 10 ** (next() * 30 - 12)).toSorted(
    (a, b) => a - b,
  );
  for (const value of [...values, Number.MAX_VALUE]) {
    const key = bucketKeyOf(value);
    assert.ok(key >= last, `${value}`);
    last = key;
  }
  assert.equal(last, BUCKET_KEY_MAX);
});

test("outside the bounds: tiny values are zero, huge ones lie between the outermost bucket and the exact maximum", () => {
  assert.deepEqual(outputsOf([1e-12, 1e-12, -1e-12]), [0, 1e-12, 1e-12, 1e-12, 1e-12]);
  assert.deepEqual(
    outputsOf([1e-300]),
    Array.from({ length: 5 }, () => 1e-300),
  );
  assert.deepEqual(
    outputsOf([1e300, 1e300, 1e300]),
    Array.from({ length: 5 }, () => 1e300),
  );
  const [p50 = 0, , , , p99] = outputsOf([1, 1e16, 1e17, 1e18]);
  assert.ok(p50 > 0.98e15 && p50 < 1.03e15, `${p50}`);
  assert.equal(p99, 1e18);
});

test("a state takes what it must: a few numbers little, the widest mix a bounded amount", () => {
  const few = quantiles.empty();
  for (const value of [1, 1000, 1e9, -5]) quantiles.add(few, value);
  assert.ok(quantiles.sizeBytes(few) < 350, `${quantiles.sizeBytes(few)}`);
  const writer = new ByteWriter();
  quantiles.write(few, writer);
  assert.ok(writer.length < 32, `${writer.length}`);
  const widest = quantiles.empty();
  const next = uniform(3);
  for (let index = 0; index < 200_000; index++) quantiles.add(widest, (next() < 0.5 ? -1 : 1) * 10 ** (next() * 26 - 10));
  assert.ok(quantiles.sizeBytes(widest) < 50_000, `${quantiles.sizeBytes(widest)}`);
});

test("no numbers: null everywhere", () => {
  const state = quantiles.empty();
  for (const value of ["1", null, undefined, true, NaN, Infinity]) quantiles.add(state, value);
  assert.deepEqual(quantiles.finish(state, 1), [null, null, null, null, null]);
});
