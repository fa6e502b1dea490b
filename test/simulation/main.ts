/**
 * `npm run sim -- [--seeds N] [--first N] [--seed N] [--plant NAME] [--json] [--trace] [--keep-going]`: runs seeds, from the first one on,
 * until one breaks a promise.
 * See docs/simulation.md.
 */
import { parseArgs } from "node:util";
import { isPlantName, plants } from "./plants.ts";
import { simulate, type RunResult } from "./simulation.ts";

const TRACE_LINES = 60;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    seed: { type: "string" },
    first: { type: "string", default: "1" },
    plant: { type: "string" },
    json: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
  },
});

const plantName = values.plant;
if (plantName !== undefined && !isPlantName(plantName)) {
  console.error(`There is no plant ${plantName}; there are ${Object.keys(plants).join(", ")}.`);
  process.exit(2);
}
const plant = plantName === undefined ? undefined : plants[plantName];
const first = Number(values.seed ?? values.first);
const count = values.seed === undefined ? Number(values.seeds) : 1;

const startedMs = performance.now();
const faults = new Map<string, number>();
const totals = { runs: 0, virtualMs: 0, steps: 0, acks: 0, events: 0 };
const broken: RunResult[] = [];
for (let seed = first; seed < first + count; seed++) {
  const result = await simulate(seed, plant);
  totals.runs++;
  totals.virtualMs += result.virtualMs;
  totals.steps += result.steps;
  totals.acks += result.acks;
  totals.events += result.events;
  for (const [kind, times] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + times);
  if (values.trace) console.log(result.trace.join("\n"));
  if (result.violation === undefined) continue;
  broken.push(result);
  if (!values.json) report(result);
  if (!values["keep-going"]) break;
}

const seconds = (performance.now() - startedMs) / 1_000;
const summary = {
  runs: totals.runs,
  simulatedHours: Math.round(totals.virtualMs / 36_000) / 100,
  steps: totals.steps,
  acks: totals.acks,
  events: totals.events,
  seconds: Math.round(seconds * 10) / 10,
  faults: Object.fromEntries([...faults].toSorted(([, a], [, b]) => b - a)),
  broken: broken.map(({ seed, violation, hash }) => ({ seed, violation, hash })),
};
if (values.json) console.log(JSON.stringify(summary));
else {
  console.log(`${summary.runs} runs, ${summary.simulatedHours} simulated hours, ${summary.steps} steps in ${summary.seconds} s`);
  console.log(`${summary.events} events, ${summary.acks} acks`);
  for (const [kind, times] of Object.entries(summary.faults)) console.log(`  ${String(times).padStart(7)}  ${kind}`);
  console.log(broken.length === 0 ? "no promise was broken" : `broken in seeds ${broken.map(({ seed }) => seed).join(", ")}`);
}
process.exitCode = broken.length === 0 ? 0 : 1;

function report({ seed, violation, trace, hash }: RunResult): void {
  console.log(`seed ${seed} (trace ${hash}):\n  ${violation}\n\nthe last steps:`);
  console.log(`${trace.slice(-TRACE_LINES).join("\n")}\n`);
  const again = plantName === undefined ? "" : ` --plant ${plantName}`;
  console.log(`again: npm run sim -- --seed ${seed}${again}\n`);
}
