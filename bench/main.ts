/**
 * `npm run bench -- NAME [--small | --full] [--json] [--questdb] [--micro]`: runs a bench, prints its report and keeps it in
 * `bench/results/`. `report` writes docs/benchmarks.md from what is kept, `compare OLD NEW` compares two of those files.
 * See README.md here.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join, relative } from "node:path";
import { projectRoot } from "../test/support/project.ts";
import { renderComparison } from "./compare.ts";
import type { BenchOptions, BenchReport, BenchSize } from "./harness.ts";
import { fairness } from "./load/fairness.ts";
import { fanout } from "./load/fanout.ts";
import { hostile } from "./load/hostile.ts";
import { ingestBatches } from "./load/ingest-batches.ts";
import { ingest, ingestClean, naiveIngest } from "./load/ingest.ts";
import { latency } from "./load/latency.ts";
import { overload } from "./load/overload.ts";
import { peers } from "./load/peers.ts";
import { query } from "./load/query.ts";
import { recovery } from "./load/recovery.ts";
import { scale } from "./load/scale.ts";
import { memory } from "./micro/memory.ts";
import { soak } from "./load/soak.ts";
import { warehouse } from "./load/warehouse.ts";
import { micro } from "./micro/micro.ts";
import { path } from "./micro/path.ts";
import { renderReport } from "./render.ts";
import { stopAll } from "./servers.ts";
import { fileNameOf, readReport, readReports, saveReport, savedReportOf } from "./results.ts";

type Bench = (options: BenchOptions, progress: (line: string) => void) => Promise<BenchReport>;

const benches: Readonly<Record<string, { readonly about: string; readonly run: Bench }>> = {
  ingest: { about: "durable events/s, CPU and ack latency, against the naive server", run: ingest },
  "ingest-clean": { about: "the same with one tenant, and nothing to refuse but duplicates", run: ingestClean },
  "ingest-batches": { about: "the same with frames of 1, 10, 100 and 1,000 events", run: ingestBatches },
  "naive-ingest": { about: "the naive server alone", run: naiveIngest },
  latency: { about: "age of a number at 10,000 events/s: ack, subscriber, with --questdb the warehouse", run: latency },
  fairness: { about: "what a noisy tenant does to a quiet one's ack latency", run: fairness },
  overload: { about: "three times what it can take, and thousands of clients at once", run: overload },
  peers: { about: "what a team would take instead, of those installed here, on the same events", run: peers },
  fanout: { about: "age of an event at each of up to 10,000 subscribers", run: fanout },
  memory: { about: "bytes for each id, session, series and pane, and where they go", run: memory },
  scale: { about: "CPU of an event over sessions, series, partitions and threads; --micro: the actors alone", run: scale },
  hostile: { about: "frames made to be slow, and what they do to a quiet tenant", run: hostile },
  query: { about: "the HTTP questions, alone and beside ingest", run: query },
  recovery: { about: "restart after kill -9 with a long journal", run: recovery },
  soak: { about: "memory, latency and CPU over a long steady load", run: soak },
  warehouse: { about: "how soon and how fast rows are in QuestDB, and after it was away", run: warehouse },
  micro: { about: "each piece of an event's path alone: ns/event", run: micro },
  path: { about: "where the time of an event goes, stage by stage in one thread", run: path },
};
const knownFlags: ReadonlySet<string> = new Set(["--small", "--full", "--json", "--questdb", "--micro"]);

function usage(problem: string): never {
  const list = Object.entries(benches).map(([name, { about }]) => `  ${name.padEnd(14)} ${about}`);
  const lines = [
    problem,
    "usage: npm run bench -- NAME [--small | --full] [--json] [--questdb] [--micro]",
    ...list,
    "       npm run bench -- report                       docs/benchmarks.md from bench/results/",
    "       npm run bench -- compare OLD.json NEW.json    two of those results",
  ];
  console.error(lines.join("\n"));
  process.exit(2);
}

async function runBench(bench: Bench, flags: ReadonlySet<string>): Promise<void> {
  const size: BenchSize = flags.has("small") ? "small" : flags.has("full") ? "full" : "normal";
  const options = { size, flags };
  const loadBefore = loadavg()[0] ?? 0;
  const report = await bench(options, (line) => console.error(line));
  const saved = savedReportOf(report, options, { date: new Date(), loadBefore });
  if (size !== "small") console.error(`kept in ${relative(process.cwd(), saveReport(saved, fileNameOf(report.bench, flags)))}`);
  console.log(flags.has("json") ? JSON.stringify(saved, null, 2) : renderReport(report));
}

async function writePage(): Promise<void> {
  // Vega is only loaded where it is needed: benches must not share their memory with it.
  const { PICTURES, renderPage } = await import("./report/page.ts");
  const { markdown, pictures } = await renderPage(readReports());
  const docs = join(projectRoot, "docs");
  const folder = join(docs, PICTURES);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) if (!pictures.has(name)) rmSync(join(folder, name));
  for (const [name, svg] of pictures) writeFileSync(join(folder, name), svg);
  writeFileSync(join(docs, "benchmarks.md"), markdown);
  console.error(`docs/benchmarks.md and ${pictures.size} pictures are written`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stopAll().finally(() => process.exit(130)));

const args = process.argv.slice(2);
const names = args.filter((argument) => !argument.startsWith("-"));
const flags = args.filter((argument) => argument.startsWith("-"));
const unknown = flags.find((flag) => !knownFlags.has(flag));
if (unknown !== undefined) usage(`unknown option ${unknown}`);
const [name, ...more] = names;
const bench = name === undefined ? undefined : benches[name];
if (name === "report" && more.length === 0) await writePage();
else if (name === "compare" && more.length === 2) {
  const [older = "", newer = ""] = more;
  console.log(renderComparison(readReport(older), readReport(newer)));
} else if (bench === undefined || more.length > 0) {
  usage(name === undefined ? "which bench?" : `not understood: ${names.join(" ")}`);
} else await runBench(bench.run, new Set(flags.map((flag) => flag.slice(2))));
