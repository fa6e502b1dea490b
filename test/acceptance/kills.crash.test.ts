/**
 * A short run of the crash test (promises 1, 2, 3, 4, 8, 10; `npm run test:crash` is the long one): the real server is killed at
 * every named point once and at random instants, with its QuestDB and without, while two services send; nothing that was
 * acknowledged is lost, nothing is counted twice, nothing appears that was never sent.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { crashPoints } from "../../workers/crash-points.ts";
import { crashRun, type CrashReport } from "../crash/crash-run.ts";

function check(t: TestContext, report: CrashReport, kinds: readonly string[]): void {
  t.diagnostic(
    `${report.kills} kills, ${report.acked} acked, ${report.duplicates} recognised, restart ${report.restartMs.median} ms`,
  );
  assert.deepEqual(report.problems, []);
  assert.deepEqual([report.acked, report.unsent], [report.sent, 0]);
  for (const count of [...Object.values(report.lost), ...Object.values(report.doubled)]) assert.equal(count, 0);
  assert.ok(report.duplicates > 0, "events were sent again");
  assert.ok(report.comparisons > 0, "answers were compared between the kills");
  for (const kind of kinds) assert.ok((report.killsByPoint[kind] ?? 0) > 0, `no kill at ${kind}`);
}

const seed = Date.now() % 100_000;

test("kills at every point, without a warehouse", { timeout: 290_000 }, async (t) => {
  const points = crashPoints.filter((point) => point !== "after-rows");
  const kinds = [...points, "random", "start"] as const;
  const report = await crashRun({ kinds, seed, questdb: false, hostThreads: 2, progress: (line) => t.diagnostic(line) });
  check(t, report, kinds);
});

test("kills with a warehouse, and of the warehouse", { timeout: 290_000 }, async (t) => {
  const kinds = ["after-rows", "questdb", "in-drain"] as const;
  const report = await crashRun({ kinds, seed, questdb: true, hostThreads: 2, progress: (line) => t.diagnostic(line) });
  check(t, report, kinds);
});
