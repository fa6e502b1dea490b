/**
 * A short run of the crash test without a warehouse (promises 1, 2, 3, 4, 8; `npm run test:crash` is the long one): the real
 * server is killed at every named point and at random instants, while two services send. Nothing that was acknowledged is lost,
 * nothing is counted twice, nothing appears that was never sent.
 */
import { test } from "node:test";
import { crashRun, assertPassed } from "../crash/crash-run.ts";
import { crashPoints } from "../../workers/crash-points.ts";

test("kills at every point", { timeout: 290_000 }, async (t) => {
  const kinds = [...crashPoints.filter((point) => point !== "after-rows"), "random", "start"] as const;
  const seed = Date.now() % 100_000;
  const report = await crashRun({ kinds, seed, questdb: false, hostThreads: 2, progress: (line) => t.diagnostic(line) });
  assertPassed(report, kinds);
});
