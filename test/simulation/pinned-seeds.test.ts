/** Some seeds that between them meet every fault: each must come to rest with every promise kept, and replay step by step. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds } from "./faults.ts";
import { simulate } from "./simulation.ts";

/** Short runs with many kinds of faults. */
const SEEDS = [1, 2, 4, 6, 7, 11, 12, 13, 16, 17, 21, 23, 26, 27, 28, 29, 30, 35, 36, 38, 39, 40, 47, 48, 52];

test("a seed replays exactly: the same trace, to the last step", async () => {
  const [one, again, other] = [await simulate(2), await simulate(2), await simulate(7)];
  assert.deepEqual(again.trace, one.trace);
  assert.equal(again.hash, one.hash);
  assert.notEqual(other.hash, one.hash);
  assert.ok(one.steps > 1_000 && one.acks > 10, "something happened");
});

const met = new Set<string>();

for (const seed of SEEDS) {
  test(`seed ${seed}`, async () => {
    const { violation, faults, trace } = await simulate(seed);
    for (const kind of faults.keys()) met.add(kind);
    assert.equal(violation, undefined, `${violation}\n${trace.slice(-40).join("\n")}`);
  });
}

test("the pinned seeds meet every kind of fault", () => {
  const expected = [
    ...kinds.map(({ name }) => name),
    "host restart",
    "questdb loses an answer",
    "questdb refuses",
    "questdb stalls",
  ];
  assert.deepEqual(met, new Set(expected));
});
