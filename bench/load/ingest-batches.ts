/**
 * What the batch size costs: frames of 1, 10, 100 and 1,000 events, to Weir and to the naive server, the same events in about the
 * same number. Each frame is a turn of the socket, an ack and, for Weir, a record in the journal; the smaller the frame, the more
 * of the cost is that. Single events go over more connections, so that there are enough of them on the way.
 */
import { alternate, reportOf, type BenchOptions, type BenchReport, type Contender, type Pair } from "../harness.ts";
import type { BenchPlot, PlotPoint } from "../plot.ts";
import { startNaive, WeirServer, type BenchServer } from "../servers.ts";
import { canonicalWorkload } from "../workload.ts";
import { atLoad, measureServer, type IngestSize } from "./measure-server.ts";

interface BatchSize {
  readonly batch: number;
  readonly connections: number;
  /** Of the closed loop, in all frames together. */
  readonly events: number;
}

const POOL_EVENTS = 50_000;
const IN_FLIGHT = 32;
const HALF = 0.5;
const normal: readonly BatchSize[] = [
  // Fewer would be over before all code is compiled.
  { batch: 1, connections: 64, events: 200_000 },
  { batch: 10, connections: 64, events: 600_000 },
  { batch: 100, connections: 16, events: 600_000 },
  { batch: 1_000, connections: 16, events: 600_000 },
];
const sizes = {
  small: { rounds: 1, batches: [1, 1_000].map((batch) => ({ batch, connections: 4, events: 2_000 })), poolEvents: 4_000 },
  normal: { rounds: 2, batches: normal, poolEvents: POOL_EVENTS },
  full: { rounds: 5, batches: normal.map((each) => ({ ...each, events: 4 * each.events })), poolEvents: POOL_EVENTS },
} as const;

export async function ingestBatches(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const settings = { WEIR_QUESTDB: "off" };
  const records = (): Promise<BenchServer> => WeirServer.start({ codec: "records", settings });
  const maps = (): Promise<BenchServer> => WeirServer.start({ codec: "maps", settings });
  const servers = { weir: records, ...(options.size === "full" ? { "weir, maps": maps } : {}), naive: startNaive };
  const answers: Record<string, unknown> = {};
  const contenders: Contender[] = [];
  const pairs: Pair[] = [];
  for (const { batch, connections, events } of size.batches) {
    for (const [server, start] of Object.entries(servers)) {
      const name = nameOf(server, batch);
      if (server !== "naive") pairs.push([name, nameOf("naive", batch)]);
      contenders.push({
        name,
        run: async (round) => {
          const base = { ...canonicalWorkload, batch, templates: size.poolEvents / batch };
          const workload = { ...base, seed: base.seed + round, nowMs: Date.now() };
          const { figures, answer } = await measureAt(start, { batch, connections, events }, workload);
          answers[`${batch} ${round}`] ??= answer;
          return figures;
        },
      });
    }
  }
  const { results, ratios } = await alternate(contenders, size.rounds, progress, pairs);
  const parameters = {
    ...size,
    inFlight: IN_FLIGHT,
    ...canonicalWorkload,
    batch: size.batches.map(({ batch }) => batch),
    ...settings,
  };
  const report = reportOf("ingest-batches", parameters, results, ratios, answers);
  return { ...report, plots: plotsOf(report, Object.keys(servers), size.batches) };
}

async function measureAt(
  start: () => Promise<BenchServer>,
  { batch, connections, events }: BatchSize,
  workload: Parameters<typeof measureServer>[2],
): ReturnType<typeof measureServer> {
  const closedFrames = events / batch;
  const size: IngestSize = {
    rounds: 1,
    warmupFrames: Math.ceil(closedFrames / 10),
    closedFrames,
    connections,
    inFlight: IN_FLIGHT,
    templates: workload.templates,
  };
  const server = await start();
  try {
    return await measureServer(server, size, workload, [HALF]);
  } finally {
    await server.stop();
  }
}

function nameOf(server: string, batch: number): string {
  return `${server}, ${batch}`;
}

function plotsOf({ results }: BenchReport, servers: readonly string[], batches: readonly BatchSize[]): BenchPlot[] {
  const draw = (title: string, yTitle: string, figure: string): BenchPlot => {
    const points = servers.flatMap((series) =>
      batches.flatMap(({ batch }): PlotPoint[] => {
        const y = results.find(({ name }) => name === nameOf(series, batch))?.figures[figure];
        return y === undefined ? [] : [{ series, x: batch, y }];
      }),
    );
    return { title, mark: "lines", x: { title: "events in a frame", log: true }, y: { title: yTitle, log: true }, points };
  };
  return [
    draw("Events acknowledged at full load", "events/s", "eventsPerSecond"),
    draw("CPU time of the server at full load", "us/event", "serverCpuUsPerEvent"),
    draw("Ack latency at half of that load, p99", "ms", atLoad(HALF, "AckP99Ms")),
  ];
}
