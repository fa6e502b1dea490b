/**
 * Durable ingest against the naive server: same events, same batch size, fresh processes in every round.
 * A round: warm up, closed loop at full load, open loops at 10, 50 and 80% of the rate that the closed loop reached, then
 * compare the server's answers with what the frames must add up to; a wrong answer or verdict fails the run.
 * Weir's ack means "on disk and aggregated"; the naive server's means "aggregated in memory".
 *
 * With `--questdb` there is a third Weir, whose warehouse writer runs beside it. The writer is a thread of the server's process,
 * so its share of the CPU is the difference to the Weir without one: over the whole time until the warehouse has all events.
 */
import { alternate, reportOf, type BenchOptions, type BenchReport, type BenchResult, type Contender } from "../harness.ts";
import { barsOf, linesThrough, type BenchPlot } from "../plot.ts";
import { startNaive, WeirServer, type BenchServer } from "../servers.ts";
import { canonicalWorkload, cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { atLoad, LOADS, measureServer, type IngestSize } from "./measure-server.ts";

const sizes: Record<BenchOptions["size"], IngestSize> = {
  small: { rounds: 1, warmupFrames: 20, closedFrames: 100, connections: 4, inFlight: 4, templates: 50 },
  normal: { rounds: 3, warmupFrames: 2_500, closedFrames: 10_000, connections: 16, inFlight: 32, templates: 500 },
  full: { rounds: 5, warmupFrames: 2_000, closedFrames: 30_000, connections: 16, inFlight: 32, templates: 500 },
};

export async function ingest(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const weir = (codec: "records" | "maps", questdb = "off") => {
    return () => WeirServer.start({ codec, settings: { WEIR_QUESTDB: questdb } });
  };
  const withWarehouse = options.flags.has("questdb") ? { "weir, QuestDB": weir("records", "managed") } : {};
  const servers = { weir: weir("records"), "weir, maps": weir("maps"), ...withWarehouse, naive: startNaive };
  const report = await compareServers("ingest", size, {}, servers, progress);
  return { ...report, plots: plotsOf(report.results) };
}

/** The same with one tenant and nothing to refuse: the events of one service that has no bugs. */
export async function ingestClean(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const weir = (codec: "records" | "maps") => () => WeirServer.start({ codec, settings: { WEIR_QUESTDB: "off" } });
  const servers = { weir: weir("records"), "weir, maps": weir("maps"), naive: startNaive };
  const report = await compareServers("ingest-clean", size, {}, servers, progress, cleanWorkload);
  return { ...report, plots: plotsOf(report.results) };
}

/** The naive server alone: shows that the generator and the naive server agree, and how fast the two are here. */
export function naiveIngest(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  return compareServers("naive-ingest", sizes[options.size], {}, { naive: startNaive }, progress);
}

export async function compareServers(
  bench: string,
  size: IngestSize,
  settings: Readonly<Record<string, string>>,
  servers: Readonly<Record<string, () => Promise<BenchServer>>>,
  progress: (line: string) => void,
  events: Omit<WorkloadParameters, "nowMs"> = canonicalWorkload,
): Promise<BenchReport> {
  const base = { ...events, templates: size.templates };
  const workload = (round: number): WorkloadParameters => ({ ...base, seed: base.seed + round, nowMs: Date.now() });
  const answers: unknown[] = [];
  const contenders = Object.entries(servers).map(([name, start]): Contender => ({
    name,
    run: async (round) => {
      const server = await start();
      try {
        const { figures, answer } = await measureServer(server, size, workload(round));
        answers[round] ??= answer;
        return figures;
      } finally {
        await server.stop();
      }
    },
  }));
  const { results, ratios } = await alternate(contenders, size.rounds, progress);
  return reportOf(bench, { ...size, ...base, ...settings }, results, ratios, answers);
}

function plotsOf(results: readonly BenchResult[]): BenchPlot[] {
  const load = { title: "load, % of the rate of the closed loop" };
  const through = (figure: string): (readonly [string, number])[] => LOADS.map((share) => [atLoad(share, figure), share * 100]);
  return [
    barsOf("Events acknowledged at full load", "events/s", results, "eventsPerSecond"),
    barsOf("CPU time of the server at full load", "us/event", results, "serverCpuUsPerEvent"),
    linesThrough({ title: "Ack latency, p50", x: load, y: { title: "ms", log: true } }, results, through("AckP50Ms")),
    linesThrough({ title: "Ack latency, p99", x: load, y: { title: "ms", log: true } }, results, through("AckP99Ms")),
  ];
}
