/** All aggregates on a few values, and what they store; their laws are in `aggregate-laws.property.test.ts`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Aggregate } from "../../../actors/aggregates/aggregate.ts";
import type { EventValue } from "../../../actors/aggregates/key-text.ts";
import { aggregates } from "../../../actors/aggregates/registry.ts";
import { ByteWriter } from "../../../protocol/bytes.ts";
import { aggregateNames, type AggregateName } from "../../../protocol/metric-definition.ts";

function finish(name: AggregateName, values: readonly EventValue[], spanMs = 60_000): unknown {
  const aggregate = aggregates[name] as Aggregate<unknown>;
  const state = aggregate.empty();
  for (const value of values) aggregate.add(state, value);
  return aggregate.finish(state, spanMs)[0];
}

test("count counts events, with and without a value", () => {
  assert.equal(finish("count", []), 0);
  assert.equal(finish("count", [undefined, null, 1, "x"]), 4);
});

test("rate is per second of the window", () => {
  assert.equal(finish("rate", []), 0);
  assert.equal(finish("rate", Array.from({ length: 90 }), 60_000), 1.5);
  assert.equal(finish("rate", [1], 10_000), 0.1);
});

test("min and max take finite numbers only, and -0 as 0", () => {
  const values = [3, -2.5, NaN, Infinity, -Infinity, "-9", true, null, undefined, 7];
  assert.equal(finish("min", values), -2.5);
  assert.equal(finish("max", values), 7);
  assert.equal(finish("min", ["1"]), null);
  assert.equal(finish("max", []), null);
  assert.ok(Object.is(finish("min", [-0, 0]), 0) && Object.is(finish("max", [-0]), 0) && Object.is(finish("min", [5, -0]), 0));
  assert.equal(finish("max", [-Number.MAX_VALUE]), -Number.MAX_VALUE);
  assert.equal(finish("min", [5e-324, Number.MAX_VALUE]), 5e-324);
});

test("mean divides by the numbers alone", () => {
  assert.equal(finish("mean", [1, 2, "30", null, undefined, 6]), 3);
  assert.equal(finish("mean", ["x"]), null);
  assert.equal(
    finish(
      "mean",
      Array.from({ length: 10 }, () => 0.1),
    ),
    0.1,
  );
});

test("keyed aggregates take numbers and booleans as their text and ignore nothing but null and undefined", () => {
  const values = [1, "1", true, "true", -0, 0, "", null, undefined];
  assert.equal(finish("distinct", values), 4);
  assert.deepEqual(finish("topK", values), [
    { key: "0", count: 2, error: 0 },
    { key: "1", count: 2, error: 0 },
    { key: "true", count: 2, error: 0 },
    { key: "", count: 1, error: 0 },
  ]);
});

/** Of 1, 2.5, "a", -3, "a", null, 0, 100. Snapshots hold such bytes: a change here needs a new format version and a migration. */
const stored: Record<AggregateName, string> = {
  count: "08",
  rate: "08",
  // 100.5 is one limb, number 33: 100.5 * 2^18.
  sum: "02 21 01 00009201",
  min: "00000000000008c0",
  max: "0000000000005940",
  mean: "05 02 21 01 00009201",
  distinct: "06 f834eba59e40b20a f9ed6357787dea4a 6860bf637c77815b 1bb056553c9394a7 d926694fcb3bc3c8 d5b16bd9fbf4f2e0",
  quantiles: "05 00000000000008c0 0000000000005940 05 880d01 c40801 8d0801 2d01 b90101",
  topK: "00 06 022d33 01 00 0130 01 00 0131 01 00 03313030 01 00 03322e35 01 00 0161 02 00",
};

test("what is stored stays as it is", () => {
  for (const name of aggregateNames) {
    const aggregate = aggregates[name] as Aggregate<unknown>;
    const state = aggregate.empty();
    for (const value of [1, 2.5, "a", -3, "a", null, 0, 100]) aggregate.add(state, value);
    const writer = new ByteWriter();
    aggregate.write(state, writer);
    assert.equal(Buffer.from(writer.finish()).toString("hex"), stored[name].replaceAll(" ", ""), name);
  }
});
