/**
 * Faults that need no special tools (`npm run test:faults` has all of them): a server that stands still, file descriptors that
 * are used up, files damaged at rest. Nothing that was acknowledged is lost or doubled, and damage is refused with a code.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { faults } from "../faults/all.ts";

async function check(t: TestContext, name: string, tries = 0): Promise<void> {
  const fault = faults.find((each) => each.name === name);
  assert.ok(fault !== undefined, `there is no fault ${name}`);
  const seed = Date.now() % 100_000;
  const found = await fault.run({ seed, tries, progress: (line) => t.diagnostic(line) });
  t.diagnostic(`${found.reaction}; seed ${seed}`);
  assert.deepEqual([found.problems, found.gaps ?? []], [[], []]);
  assert.deepEqual([found.lost, found.doubled], [0, 0]);
  assert.ok(found.acked > 0, "events were acknowledged");
}

test("the server stands still, services send again", { timeout: 290_000 }, (t) => check(t, "server-stopped"));

test("connections use up the file descriptors", { timeout: 290_000 }, (t) => check(t, "files-used-up"));

test("a journal that was cut short", { timeout: 290_000 }, (t) => check(t, "rest-journal", 0));

test("flipped bits in the heads of journal records", { timeout: 290_000 }, (t) => check(t, "rest-journal-versions", 3));
