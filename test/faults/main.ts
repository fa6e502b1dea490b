/**
 * `npm run test:faults -- [--only NAME]... [--tries N] [--seed N] [--json] [--list]`: puts faults upon a real server, one after
 * the other, and says how it took them. `--only` takes a part of a name. Exit code 1 when anything was lost, doubled or not as
 * it should be; a test whose tools are missing here is skipped and says so.
 */
import { parseArgs } from "node:util";
import { faults } from "./all.ts";
import type { Finding } from "./fault.ts";
import { whatIsMissing } from "./tools.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    tries: { type: "string", default: "20" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

interface Row {
  readonly name: string;
  readonly fault: string;
  readonly expected: string;
  readonly skipped?: string;
  readonly finding?: Finding;
  readonly seconds: number;
}

const [seed, tries] = [Number(values.seed), Number(values.tries)];
const chosen = faults.filter(({ name }) => values.only.length === 0 || values.only.some((part) => name.includes(part)));
if (chosen.length === 0) throw new Error(`no fault is called ${values.only.join()}`);
const rows: Row[] = [];
for (const { name, fault, expected, needs = [], run } of values.list ? [] : chosen) {
  const progress = (line: string): void => console.error(`${new Date().toISOString().slice(11, 19)} ${name}: ${line}`);
  const skipped = whatIsMissing(needs);
  const startMs = performance.now();
  const finding = skipped === undefined ? await run({ seed, tries, progress }).catch(brokenOff) : undefined;
  const seconds = Math.round((performance.now() - startMs) / 1_000);
  const row = { name, fault, expected, seconds, ...(skipped !== undefined && { skipped }), ...(finding && { finding }) };
  for (const problem of finding?.problems ?? []) progress(`PROBLEM ${problem}`);
  for (const gap of finding?.gaps ?? []) progress(`known gap: ${gap}`);
  progress(skipped === undefined ? `done in ${seconds} s` : `skipped: ${skipped}`);
  rows.push(row);
}
if (values.list) for (const { name, fault, expected } of chosen) console.log(`${name.padEnd(24)} ${fault} -> ${expected}`);
else console.log(values.json ? JSON.stringify({ seed, tries, rows }, null, 2) : table(rows));
process.exitCode = rows.some(({ finding }) => finding !== undefined && hasFailed(finding)) ? 1 : 0;

/** What is lost by a known gap is shown, and not a failure. */
function hasFailed({ problems }: Finding): boolean {
  return problems.length > 0;
}

function brokenOff(error: unknown): Finding {
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { reaction: "broken off", acked: 0, lost: 0, doubled: 0, problems: [problem] };
}

function table(done: readonly Row[]): string {
  const lines = done.map(({ name, fault, skipped, finding }) => {
    if (finding === undefined) return `| ${name} | ${fault} | skipped: ${skipped ?? ""} | | | | |`;
    const { reaction, recoveryMs, acked, lost, doubled } = finding;
    const recovery = recoveryMs === undefined ? "" : `${recoveryMs} ms`;
    return `| ${name} | ${fault} | ${hasFailed(finding) ? "FAILED: " : ""}${reaction} | ${recovery} | ${acked} | ${lost} | ${doubled} |`;
  });
  return [
    "| name | fault | reaction | recovery time | acked | lost | doubled |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...lines,
  ].join("\n");
}
