/** `npm run bench -- NAME [--small | --full] [--json] [--questdb]`: runs one bench and prints its report. See README.md here. */
import type { BenchOptions, BenchReport, BenchSize } from "./harness.ts";
import { fairness } from "./load/fairness.ts";
import { ingest, naiveIngest } from "./load/ingest.ts";
import { latency } from "./load/latency.ts";
import { overload } from "./load/overload.ts";
import { peers } from "./load/peers.ts";
import { recovery } from "./load/recovery.ts";
import { soak } from "./load/soak.ts";
import { warehouse } from "./load/warehouse.ts";
import { micro } from "./micro/micro.ts";
import { path } from "./micro/path.ts";
import { renderReport } from "./render.ts";

type Bench = (options: BenchOptions, progress: (line: string) => void) => Promise<BenchReport>;

const benches: Readonly<Record<string, { readonly about: string; readonly run: Bench }>> = {
  ingest: { about: "durable events/s, CPU and ack latency, against the naive server", run: ingest },
  "naive-ingest": { about: "the naive server alone", run: naiveIngest },
  latency: { about: "age of a number at 10,000 events/s: ack, subscriber, with --questdb the warehouse", run: latency },
  fairness: { about: "what a noisy tenant does to a quiet one's ack latency", run: fairness },
  overload: { about: "three times what it can take, and thousands of clients at once", run: overload },
  peers: { about: "what a team would take instead, of those installed here, on the same events", run: peers },
  recovery: { about: "restart after kill -9 with a long journal", run: recovery },
  soak: { about: "memory, latency and CPU over a long steady load", run: soak },
  warehouse: { about: "how soon and how fast rows are in QuestDB, and after it was away", run: warehouse },
  micro: { about: "each piece of an event's path alone: ns/event", run: micro },
  path: { about: "where the time of an event goes, stage by stage in one thread", run: path },
};
const knownFlags: ReadonlySet<string> = new Set(["--small", "--full", "--json", "--questdb"]);

function usage(problem: string): never {
  const list = Object.entries(benches).map(([name, { about }]) => `  ${name.padEnd(14)} ${about}`);
  console.error([problem, "usage: npm run bench -- NAME [--small | --full] [--json] [--questdb]", ...list].join("\n"));
  process.exit(2);
}

const args = process.argv.slice(2);
const names = args.filter((argument) => !argument.startsWith("-"));
const flags = args.filter((argument) => argument.startsWith("-"));
const unknown = flags.find((flag) => !knownFlags.has(flag));
if (unknown !== undefined) usage(`unknown option ${unknown}`);
const [name, ...more] = names;
const bench = name === undefined ? undefined : benches[name];
if (bench === undefined || more.length > 0)
  usage(name === undefined ? "which bench?" : `no bench has the name ${names.join(" ")}`);

const size: BenchSize = flags.includes("--small") ? "small" : flags.includes("--full") ? "full" : "normal";
const report = await bench.run({ size, flags: new Set(flags.map((flag) => flag.slice(2))) }, (line) => console.error(line));
console.log(flags.includes("--json") ? JSON.stringify(report, null, 2) : renderReport(report));
