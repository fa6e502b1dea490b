/** The simulation can fail: each planted bug breaks a promise within its number of seeds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { plants, type Plant } from "./plants.ts";
import { simulate } from "./simulation.ts";

test("there are at least eight planted bugs", () => {
  assert.ok(Object.keys(plants).length >= 8);
});

for (const [name, plant] of Object.entries(plants) as [string, Plant][]) {
  test(`found: ${name} (${plant.what})`, async () => {
    for (let seed = 1; seed <= plant.seedsMax; seed++) {
      const { violation } = await simulate(seed, plant);
      if (violation !== undefined) return;
    }
    assert.fail(`not found within ${plant.seedsMax} seeds`);
  });
}
