/** The corpus against a server that splits frames over two hosts: each case has the same answer as from one. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { families } from "./corpus/families.ts";
import { FuzzTarget } from "./fuzz-target.ts";
import { runCase } from "./run-case.ts";

let target: FuzzTarget;
before(async () => {
  target = await FuzzTarget.start({ hostThreads: 2 });
});
after(() => target.close());

for (const [family, cases] of Object.entries(families)) {
  // What goes wrong in HTTP goes wrong before anything is split.
  if (family === "http") continue;
  test(family, async () => {
    for (const each of cases) {
      const answer = await runCase(target, each);
      if (each.or?.includes(answer) !== true) assert.equal(answer, each.answer, each.name);
    }
    await target.checkNeighbour();
    await target.checkLedger();
  });
}
