/** Some seeds that between them meet every fault: each must come to rest with every promise kept, and replay step by step. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { kinds } from "./faults.ts";
import { simulate } from "./simulation.ts";

const FIRST = 1;
const COUNT = 25;

test("a seed replays exactly: the same trace, to the last step", async () => {
  const [one, other, different] = [await simulate(FIRST), await simulate(FIRST), await simulate(FIRST + 1)];
  assert.deepEqual(other.trace, one.trace);
  assert.equal(other.hash, one.hash);
  assert.notEqual(different.hash, one.hash);
  assert.ok(one.steps > 1_000 && one.acks > 10, "something happened");
});

const faults = new Set<string>();
const faultNames = [...kinds.map(({ name }) => name), "questdb loses an answer", "questdb refuses", "questdb stalls"];

for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
  test(`seed ${seed}`, async () => {
    const result = await simulate(seed);
    for (const kind of result.faults.keys()) faults.add(kind);
    assert.equal(result.violation, undefined, `${result.violation}\n${result.trace.slice(-40).join("\n")}`);
  });
}

test("the pinned seeds meet every kind of fault", () => {
  assert.deepEqual([...faults].sort(), [...faultNames].sort());
});
