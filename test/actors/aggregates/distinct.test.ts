/** distinct is exact up to 256 texts; beyond, its error and bias over many sets of texts are those of HyperLogLog with p = 12. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { distinct } from "../../../actors/aggregates/distinct.ts";
import { HyperLogLog, STANDARD_ERROR } from "../../../actors/aggregates/hyperloglog.ts";
import { ByteReader, ByteWriter } from "../../../protocol/bytes.ts";

function estimateOf(state: HyperLogLog): number {
  const [estimate] = distinct.finish(state, 1);
  assert.ok(typeof estimate === "number");
  return estimate;
}

function storedBytes(state: HyperLogLog): Uint8Array {
  const writer = new ByteWriter();
  distinct.write(state, writer);
  return writer.finish();
}

test("is exact up to 256 texts, however often they come, and turns dense with the next", () => {
  const state = distinct.empty();
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 256; index++) {
      distinct.add(state, `user-${index}`);
      if (round === 0) assert.equal(estimateOf(state), index + 1);
    }
  }
  assert.equal(estimateOf(state), 256);
  assert.equal(storedBytes(state).length, 2 + 256 * 8);
  distinct.add(state, "user-256");
  assert.equal(storedBytes(state).length, 2 + 4096);
  assert.ok(Math.abs(estimateOf(state) - 257) < 10, `${estimateOf(state)}`);
});

test("a text that is a number, and the hash that looks like a free slot, count once each", () => {
  const state = new HyperLogLog();
  for (const low of [0, 1, 0, 2]) state.addHash(0, low);
  // (0, 0) counts as (0, 1): the one pair of hashes that are told apart no more.
  assert.equal(state.estimate(), 2);
  const other = new HyperLogLog();
  for (let index = 0; index < 300; index++) other.addHash(index * 7919, index);
  const direct = new HyperLogLog();
  for (let index = 299; index >= 0; index--) direct.addHash(index * 7919, index);
  other.merge(state);
  direct.addHash(0, 2);
  assert.equal(other.estimate(), direct.estimate());
});

/** Texts at these counts are looked at on the way; each seed has its own texts. */
const cardinalities = [300, 1_000, 3_000, 10_000, 20_000];

test("bias and error at several cardinalities, over 60 sets of texts, stay within the stated error", () => {
  const seeds = 60;
  const errors = cardinalities.map((): number[] => []);
  for (let seed = 0; seed < seeds; seed++) {
    const state = distinct.empty();
    let added = 0;
    cardinalities.forEach((cardinality, at) => {
      for (; added < cardinality; added++) distinct.add(state, `${seed}/user-${added}`);
      errors[at]?.push(estimateOf(state) / cardinality - 1);
    });
  }
  errors.forEach((all, at) => {
    const bias = all.reduce((sum, error) => sum + error, 0) / seeds;
    const root = Math.sqrt(all.reduce((sum, error) => sum + error * error, 0) / seeds);
    const reason = `n=${cardinalities[at]} bias=${(bias * 100).toFixed(2)}% error=${(root * 100).toFixed(2)}%`;
    // The spread of a mean of 60, and of a standard deviation from 60, at three and four of their own deviations.
    assert.ok(Math.abs(bias) < (3 * STANDARD_ERROR) / Math.sqrt(seeds), reason);
    assert.ok(root < STANDARD_ERROR * (1 + 4 / Math.sqrt(2 * seeds)), reason);
    assert.ok(Math.max(...all.map(Math.abs)) < 5 * STANDARD_ERROR, reason);
  });
});

test("states its error", () => {
  assert.deepEqual(distinct.bound, { kind: "standardError", value: 0.01625 });
});

test("a register holds the leading zeros of the 52 bits past its 12, plus one", () => {
  for (let rank = 1; rank <= 53; rank++) {
    const state = new HyperLogLog();
    // Dense from here on; register 5 is still untouched.
    for (let index = 0; index < 300; index++) state.addHash(0x80000000 + index * 7919, index);
    const low = rank >= 21 && rank <= 52 ? 2 ** (52 - rank) : 0;
    state.addHash((5 << 20) + (rank <= 20 ? 2 ** (20 - rank) : 0), low);
    assert.equal(storedBytes(state)[2 + 5], rank);
  }
});

test("the estimator holds where registers are near their highest rank, up to 10^18", () => {
  let seed = 1;
  for (const cardinality of [1e6, 1e9, 1e12, 1e15, 1e18, 1e20]) {
    const writer = new ByteWriter(8192);
    writer.varint(257);
    for (let register = 0; register < 4096; register++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      // P(rank <= r) of n / 4096 hashes is (1 - 2^-r)^(n / 4096), and every rank past 52 is 53.
      let rank = 0;
      const draw = Math.log((seed + 0.5) / 2 ** 32);
      while (rank < 53 && (cardinality / 4096) * Math.log1p(-(2 ** -rank)) < draw) rank++;
      writer.u8(rank);
    }
    const estimate = HyperLogLog.read(new ByteReader(writer.finish())).estimate();
    const allowed = cardinality < 1e19 ? 4 * STANDARD_ERROR : 0.2;
    assert.ok(Math.abs(estimate / cardinality - 1) < allowed, `${cardinality}: ${estimate}`);
  }
});

test("holds at cardinalities that only hashes reach quickly, up to ten million", () => {
  // A full-period 64-bit counter through two invertible mixers: distinct hashes for distinct indexes.
  const state = new HyperLogLog();
  let checkAt = 100_000;
  for (let index = 1; index <= 10_000_000; index++) {
    state.addHash(mix(index ^ 0x5bd1e995), mix(index));
    if (index < checkAt) continue;
    checkAt *= 10;
    assert.ok(Math.abs(state.estimate() / index - 1) < 4 * STANDARD_ERROR, `${index}: ${state.estimate()}`);
  }
});

function mix(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
