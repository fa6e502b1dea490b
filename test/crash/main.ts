/**
 * `npm run test:crash -- [--kills N] [--seed N] [--no-questdb] [--host-threads N|vary] [--json]`: kills a real server N times at
 * named points and random instants and says what was lost. Exit code 1 when anything was lost, doubled or out of balance.
 * Ctrl-C ends it early, with its verification and its report.
 */
import { parseArgs } from "node:util";
import { randomFrom } from "../../bench/workload.ts";
import { crashRun, type CrashReport } from "./crash-run.ts";
import { kindsOf } from "./kill-plan.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    "no-questdb": { type: "boolean", default: false },
    "host-threads": { type: "string", default: "2" },
    json: { type: "boolean", default: false },
  },
});

function wholeNumber(name: string, text: string): number {
  if (/^[0-9]+$/.test(text)) return Number(text);
  throw new Error(`--${name} must be a whole number, not ${text}`);
}

const hostThreads = values["host-threads"];
const seed = wholeNumber("seed", values.seed);
const questdb = !values["no-questdb"];
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());

const report = await crashRun({
  kinds: kindsOf(wholeNumber("kills", values.kills), questdb, randomFrom(seed)),
  seed,
  questdb,
  signal: stop.signal,
  hostThreads: hostThreads === "vary" ? "vary" : wholeNumber("host-threads", hostThreads),
  progress: (line) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`),
});
console.log(values.json ? JSON.stringify(report, null, 2) : render(report));
process.exitCode = report.problems.length === 0 ? 0 : 1;

function render(done: CrashReport): string {
  const list = (counts: object): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  return [
    `${done.kills} kills: ${list(done.killsByPoint)}`,
    `acked    ${done.acked} of ${done.sent} sent; sent again and recognised: ${done.duplicates}`,
    `lost     ${list(done.lost)}`,
    `doubled  ${list(done.doubled)}`,
    `unsent   ${done.unsent}`,
    `restart  median ${done.restartMs.median} ms, max ${done.restartMs.max} ms; ${done.comparisons} comparisons after a restart`,
    `took     ${done.seconds} s with seed ${done.seed}`,
    ...(done.problems.length === 0 ? ["passed"] : ["FAILED", ...done.problems.slice(0, 20).map((problem) => `  ${problem}`)]),
  ].join("\n");
}
