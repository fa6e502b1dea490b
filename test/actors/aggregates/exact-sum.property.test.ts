/**
 * The law of sums: whatever finite doubles are added in whatever way, `sum` is the nearest double (half to even) to their exact
 * sum, as big whole numbers tell it, and null when that is past the doubles. `mean` is within 1.5 units in the last place.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ExactSum } from "../../../actors/aggregates/exact-sum.ts";
import { mean } from "../../../actors/aggregates/mean.ts";
import { sum } from "../../../actors/aggregates/sum.ts";
import { ByteWriter } from "../../../protocol/bytes.ts";

const bits = new DataView(new ArrayBuffer(8));

/** A double as a number of 2^-1074. */
function unitsOf(value: number): bigint {
  bits.setFloat64(0, value);
  const all = bits.getBigUint64(0);
  const exponent = (all >> 52n) & 0x7ffn;
  const fraction = all & 0xfffffffffffffn;
  const units = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return value < 0 ? -units : units;
}

/** The oracle: `Number` of a bigint rounds half to even, so 64 bits and a sticky bit round as the whole would. */
function nearestDouble(units: bigint): number {
  const magnitude = units < 0n ? -units : units;
  const dropped = BigInt(Math.max(0, magnitude.toString(2).length - 64));
  const sticky = (magnitude & ((1n << dropped) - 1n)) === 0n ? 0n : 1n;
  let rounded = Number((magnitude >> dropped) | sticky);
  // Halving or doubling a normal double is exact; short magnitudes have no more than 64 bits to shift out of.
  for (let exponent = Number(dropped) - 1074; exponent !== 0; exponent += exponent < 0 ? 1 : -1) {
    if (dropped === 0n && magnitude < 1n << 53n) return (units < 0n ? -1 : 1) * Number(magnitude) * Number.MIN_VALUE;
    rounded *= exponent < 0 ? 0.5 : 2;
  }
  return units < 0n ? -rounded : rounded;
}

function exactSumOf(values: readonly number[]): number | null {
  const nearest = nearestDouble(values.reduce((units, value) => units + unitsOf(value), 0n));
  return Number.isFinite(nearest) ? nearest + 0 : null;
}

function sumOf(values: readonly number[]): unknown {
  const state = sum.empty();
  for (const value of values) sum.add(state, value);
  return sum.finish(state, 1)[0];
}

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const near = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const ofEveryExponent = fc
  .record({ exponent: fc.integer({ min: 0, max: 2046 }), high: fc.nat(0xfffff), low: fc.nat(0xffffffff), sign: fc.nat(1) })
  .map(({ exponent, high, low, sign }) => {
    bits.setUint32(0, ((sign << 31) | (exponent << 20) | high) >>> 0);
    bits.setUint32(4, low);
    return bits.getFloat64(0);
  });
const numbers = fc.array(
  fc.oneof(finite, near, ofEveryExponent, fc.maxSafeInteger(), fc.constantFrom(0.1, 2 ** 53, 1e308, 5e-324, 2 ** -1022, 0.5)),
  { maxLength: 200, size: "max" },
);

test("the sum is the nearest double to the exact one", () => {
  fc.assert(
    fc.property(numbers, (values) => assert.equal(sumOf(values), exactSumOf(values))),
    { numRuns: 1000 },
  );
});

test("what cancels leaves exactly the rest, and the bytes of the rest alone", () => {
  fc.assert(
    fc.property(numbers, fc.array(near, { maxLength: 3 }), (noise, rest) => {
      const state = sum.empty();
      for (const value of [...noise, ...rest, ...noise.map((value) => -value)]) sum.add(state, value);
      const alone = sum.empty();
      for (const value of rest) sum.add(alone, value);
      assert.deepEqual(bytesOf(state), bytesOf(alone));
      assert.deepEqual(sum.finish(state, 1), sum.finish(alone, 1));
    }),
    { numRuns: 300 },
  );
});

test("ties go to the even neighbour, anything beyond a tie decides it", () => {
  const big = 2 ** 53;
  assert.equal(sumOf([big, 1]), big);
  assert.equal(sumOf([big + 2, 1]), big + 4);
  assert.equal(sumOf([big, 1, 5e-324]), big + 2);
  assert.equal(sumOf([big + 2, 1, -5e-324]), big + 2);
  assert.equal(sumOf([-big, -1, -5e-324]), -big - 2);
  // Rounding up through all mantissa bits into the next exponent.
  assert.equal(sumOf([2 ** 54 - 2, 1]), 2 ** 54);
});

test("known hard cases", () => {
  assert.equal(sumOf([]), 0);
  assert.equal(Object.is(sumOf([-0, -0]), 0), true);
  assert.equal(sumOf(Array.from({ length: 10 }, () => 0.1)), 1);
  assert.equal(sumOf(Array.from({ length: 1000 }, () => 0.1)), 100);
  assert.equal(sumOf([1e308, 1, -1e308]), 1);
  assert.equal(sumOf([1, 1e100, 1, -1e100]), 2);
  assert.equal(sumOf([5e-324, 5e-324, -5e-324]), 5e-324);
  assert.equal(sumOf([1e16, 1, 1, -1e16]), 2);
});

test("a sum past the doubles is null, and comes back when it fits again", () => {
  assert.equal(sumOf([Number.MAX_VALUE, Number.MAX_VALUE]), null);
  assert.equal(sumOf([-Number.MAX_VALUE, -Number.MAX_VALUE]), null);
  assert.equal(sumOf([Number.MAX_VALUE, 2 ** 969]), Number.MAX_VALUE);
  assert.equal(sumOf([Number.MAX_VALUE, 2 ** 970]), null);
  assert.equal(sumOf([Number.MAX_VALUE, Number.MAX_VALUE, -Number.MAX_VALUE]), Number.MAX_VALUE);
});

test("carries are done in time: millions of the widest mantissas, added and merged", () => {
  // Odd numbers of them: even multiples would still fit a limb past 2^53.
  const widest = 1 - 2 ** -53;
  const added = new ExactSum();
  for (let index = 0; index < 3_600_001; index++) added.add(widest);
  assert.equal(added.rounded(), nearestDouble(unitsOf(widest) * 3_600_001n));
  const part = new ExactSum();
  const negative = new ExactSum();
  for (let index = 0; index < 500_001; index++) {
    part.add(widest);
    negative.add(-widest);
  }
  const whole = new ExactSum();
  for (let index = 0; index < 21; index++) whole.merge(part);
  whole.add(-5_000_000);
  assert.equal(whole.rounded(), nearestDouble(unitsOf(widest) * 21n * 500_001n - unitsOf(5_000_000)));
  whole.add(5_000_000);
  for (let index = 0; index < 21; index++) whole.merge(negative);
  assert.equal(whole.rounded(), 0);
});

test("a sum is stored in few bytes: whole numbers as such, others as the limbs that they need", () => {
  const state = sum.empty();
  for (let index = 0; index < 1000; index++) sum.add(state, index);
  assert.equal(bytesOf(state).length, 4);
  for (let index = 0; index < 1000; index++) sum.add(state, index / 100);
  assert.ok(bytesOf(state).length <= 3 + 4 * 4, `${bytesOf(state).length}`);
});

test("the mean is within 1.5 units in the last place of the exact one, also where the sum overflows", () => {
  fc.assert(
    fc.property(numbers, (values) => {
      fc.pre(values.length > 0);
      const state = mean.empty();
      for (const value of values) mean.add(state, value);
      const found = mean.finish(state, 1)[0];
      assert.ok(typeof found === "number" && Number.isFinite(found));
      const exact = values.reduce((units, value) => units + unitsOf(value), 0n);
      const off = unitsOf(found) * BigInt(values.length) - exact;
      assert.ok(2n * (off < 0n ? -off : off) <= 3n * lastPlaceOf(found) * BigInt(values.length), `${found}`);
    }),
    { numRuns: 500 },
  );
  const state = mean.empty();
  for (const value of [Number.MAX_VALUE, Number.MAX_VALUE, Number.MAX_VALUE]) mean.add(state, value);
  assert.deepEqual(mean.finish(state, 1), [Number.MAX_VALUE]);
});

/** The distance from a double to the next one further from zero, in units. */
function lastPlaceOf(value: number): bigint {
  bits.setFloat64(0, value);
  const exponent = (bits.getBigUint64(0) >> 52n) & 0x7ffn;
  return exponent === 0n ? 1n : 1n << (exponent - 1n);
}

function bytesOf(state: ExactSum): Buffer {
  const writer = new ByteWriter();
  sum.write(state, writer);
  return Buffer.from(writer.finish());
}
