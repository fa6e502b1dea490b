/**
 * A short run of the crash test with a managed QuestDB (promises 1, 2, 4, 10; `npm run test:crash` is the long one): kills between
 * the answer to rows and their position, of QuestDB itself, and in a drain. In the end every event is one raw row, and once in the
 * metric rows and the session rows.
 */
import { test } from "node:test";
import { crashRun, assertPassed } from "../crash/crash-run.ts";

test("kills with a warehouse, and of the warehouse", { timeout: 290_000 }, async (t) => {
  const kinds = ["after-rows", "questdb", "in-drain"] as const;
  const seed = Date.now() % 100_000;
  const report = await crashRun({ kinds, seed, questdb: true, hostThreads: 2, progress: (line) => t.diagnostic(line) });
  assertPassed(report, kinds);
});
