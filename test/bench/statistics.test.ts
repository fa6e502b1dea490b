import assert from "node:assert/strict";
import { test } from "node:test";
import { alternate } from "../../bench/harness.ts";
import { medianFigures, medianOf, quantileOf, slopeOf } from "../../bench/statistics.ts";

test("quantiles are nearest-rank", () => {
  assert.equal(quantileOf([1, 2, 3, 4], 0.5), 2);
  assert.equal(quantileOf([1, 2, 3, 4], 0.99), 4);
  assert.equal(quantileOf([1, 2, 3, 4], 0), 1);
  assert.ok(Number.isNaN(quantileOf([], 0.5)));
});

test("the median of an even number of values is the middle between the middle two", () => {
  assert.equal(medianOf([9, 1, 5]), 5);
  assert.equal(medianOf([9, 1, 5, 6]), 5.5);
  assert.deepEqual(
    medianFigures([
      { a: 1, b: 2 },
      { a: 3, b: 9 },
      { a: 2, b: 4 },
    ]),
    { a: 2, b: 4 },
  );
});

test("contenders run in turns, and ratios are medians of the ratios within rounds", async () => {
  const order: string[] = [];
  const contender = (name: string, speeds: readonly number[]) => ({
    name,
    run: async (round: number) => {
      order.push(`${name}${round}`);
      return { speed: speeds[round] ?? 0 };
    },
  });
  const { results, ratios } = await alternate([contender("a", [10, 30, 20]), contender("b", [5, 10, 20])], 3, () => undefined);
  assert.deepEqual(order, ["a0", "b0", "a1", "b1", "a2", "b2"]);
  assert.deepEqual(
    results.map(({ figures }) => figures["speed"]),
    [20, 10],
  );
  assert.deepEqual(ratios, { "speed: a / b": 2 });
});

test("ratios of pairs that are named, of the figures that both have", async () => {
  const contender = (name: string, figures: Readonly<Record<string, number>>) => ({ name, run: async () => figures });
  const contenders = [contender("a", { x: 1, y: 8 }), contender("b", { y: 2 }), contender("c", { x: 4, y: 4 })];
  const { ratios } = await alternate(contenders, 2, () => undefined, [
    ["a", "b"],
    ["c", "a"],
  ]);
  assert.deepEqual(ratios, { "y: a / b": 4, "x: c / a": 4, "y: c / a": 0.5 });
});

test("the slope is that of the line through the points, whatever scatters around it", () => {
  assert.equal(slopeOf([0, 1, 2, 3], [5, 7, 9, 11]), 2);
  assert.ok(Math.abs(slopeOf([0, 1, 2, 3], [0, 1, -1, 0]) - -0.2) < 1e-12);
  assert.ok(Number.isNaN(slopeOf([1], [1])));
});
