/**
 * What an event costs when there is more of everything: sessions, series, partitions, threads. One of them is varied at a time,
 * each point on a server of its own whose state exists before the measurement begins: every session has been seen, and every
 * series in every partition (as far as random choice sees to it).
 *
 * Measured: CPU time of the whole server for each event of a closed loop, in which sessions and series go round in an order far
 * from sequential, with a snapshot before it and none within; and the CPU time of the snapshot after it, for each of its events.
 * `--micro`: the actors alone, in one process without sockets, threads or disk (`micro/scale-process.ts`).
 */
import { connect } from "../../client/index.ts";
import { reportOf, type BenchOptions, type BenchReport, type BenchResult, type Figures } from "../harness.ts";
import { measureActors } from "../micro/scale-actors.ts";
import { WeirServer } from "../servers.ts";
import { StampedDriver } from "../stamped-driver.ts";
import { medianFigures } from "../statistics.ts";

export interface ScalePoint {
  readonly sessions: number;
  readonly series: number;
  readonly partitions: number;
  readonly hostThreads: number;
}

interface ScaleSize {
  readonly rounds: number;
  readonly frames: number;
  /** At least so many come before: code is compiled by then. */
  readonly warmupFramesMin: number;
  readonly base: ScalePoint;
  readonly steps: Readonly<Partial<Record<keyof ScalePoint, readonly number[]>>>;
}

const base: ScalePoint = { sessions: 10_000, series: 100, partitions: 16, hostThreads: 2 };
const steps = {
  sessions: [1_000, 10_000, 100_000, 1_000_000],
  series: [100, 1_000, 10_000, 100_000],
  partitions: [1, 4, 16, 64],
  hostThreads: [0, 1, 2],
};
const sizes: Record<BenchOptions["size"], ScaleSize> = {
  small: {
    rounds: 1,
    frames: 20,
    warmupFramesMin: 20,
    base: { ...base, partitions: 4, sessions: 500, hostThreads: 0 },
    steps: { series: [50] },
  },
  normal: { rounds: 1, frames: 5_000, warmupFramesMin: 2_000, base, steps },
  full: { rounds: 3, frames: 20_000, warmupFramesMin: 2_000, base, steps },
};
const BATCH = 100;
/** Chosen at random, 99.3% of the pairs of series and partition have come after so many events for each. */
const EVENTS_PER_PAIR = 5;
const CONNECTIONS = 8;
const IN_FLIGHT = 16;

export async function scale(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const isMicro = options.flags.has("micro");
  const results: BenchResult[] = [];
  const answers: unknown[] = [];
  for (const [what, values] of Object.entries(size.steps)) {
    if (isMicro && what === "hostThreads") continue;
    const rounds = values.map((): Figures[] => []);
    for (let round = 0; round < size.rounds; round++) {
      for (const [index, value] of values.entries()) {
        progress(`round ${round + 1}/${size.rounds}: ${value} ${what}`);
        const point = { ...size.base, [what]: value };
        const frames = { warmup: Math.max(size.warmupFramesMin, warmupFrames(point)), measured: size.frames };
        rounds[index]?.push(isMicro ? await measureActors(point, frames) : await measureServer(point, frames, round));
        answers.push([point, (frames.warmup + frames.measured) * BATCH]);
      }
      withRatios(rounds, round);
    }
    for (const [index, value] of values.entries()) {
      const name = `${value.toLocaleString("en-US")} ${what}`;
      results.push({ name, rounds: size.rounds, figures: medianFigures(rounds[index] ?? []) });
    }
  }
  const { rounds, frames } = size;
  return reportOf("scale", { rounds, frames, ...size.base }, results, {}, answers);
}

/** The smallest point of the round is 1. */
function withRatios(rounds: Figures[][], round: number): void {
  const smallest = rounds[0]?.[round]?.["cpuUsPerEvent"] ?? Number.NaN;
  for (const figures of rounds) {
    const own = figures[round];
    if (own !== undefined) figures[round] = { ...own, ratioToSmallest: (own["cpuUsPerEvent"] ?? Number.NaN) / smallest };
  }
}

function warmupFrames({ sessions, series, partitions }: ScalePoint): number {
  const events = Math.max(sessions, series * partitions * EVENTS_PER_PAIR);
  return Math.ceil(events / BATCH);
}

/** A metric with as many series as there are shops. */
export const shopMetric = {
  name: "by_shop",
  aggregates: ["count"],
  dimensions: [{ name: "shop", field: "properties.shop" }],
  seriesMax: 1_000_000,
} as const;

export interface ScaleFrames {
  readonly warmup: number;
  readonly measured: number;
}

async function measureServer(point: ScalePoint, frames: ScaleFrames, round: number): Promise<Figures> {
  const settings = {
    WEIR_QUESTDB: "off",
    WEIR_SNAPSHOT_EVERY_MS: "3600000",
    WEIR_PARTITIONS: String(point.partitions),
    WEIR_HOST_THREADS: String(point.hostThreads),
  };
  const server = await WeirServer.start({ codec: "records", settings });
  const client = connect({ url: server.url, key: server.key });
  try {
    await client.defineMetric({ ...shopMetric, aggregates: [...shopMetric.aggregates], dimensions: [...shopMetric.dimensions] });
    const { sessions, series } = point;
    const driver = await StampedDriver.start({
      url: server.streamUrl,
      key: server.key,
      connections: CONNECTIONS,
      profile: "ordinary",
      parameters: { run: round, batch: BATCH, sessions, series, nowMs: Date.now() },
    });
    try {
      await driver.run({ kind: "frames", frames: frames.warmup, inFlight: IN_FLIGHT });
      // An audit takes a snapshot.
      await client.audit();
      const memoryBytes = server.memoryBytes();
      const cpuBeforeUs = server.cpuUs();
      const run = await driver.run({ kind: "frames", frames: frames.measured, inFlight: IN_FLIGHT });
      const cpuUs = server.cpuUs() - cpuBeforeUs;
      await client.audit();
      const auditedUs = server.cpuUs();
      // This one finds nothing to write: what it costs is the looking.
      await client.audit();
      const snapshotUs = Math.max(0, 2 * auditedUs - server.cpuUs() - cpuBeforeUs - cpuUs);
      const { ledger } = await client.deadLetters({ limit: 1 });
      const total = (frames.warmup + frames.measured) * BATCH;
      if (ledger.accepted !== total) throw new Error(`${ledger.accepted} events were accepted of ${total}`);
      await checkCounts(client, total);
      return {
        cpuUsPerEvent: cpuUs / run.events,
        snapshotCpuUsPerEvent: snapshotUs / run.events,
        eventsPerSecond: (run.events * 1_000) / run.durationMs,
        ackP99Ms: run.ackP99Ms,
        memoryMiB: memoryBytes / 2 ** 20,
      };
    } finally {
      driver.stop();
    }
  } finally {
    await client.close();
    await server.stop();
  }
}

/** The metric of everything and the one with many series have each counted each event once. */
async function checkCounts(client: ReturnType<typeof connect>, total: number): Promise<void> {
  const { data } = await client.query({ metrics: ["events.count", "by_shop.count"], timeRange: { last: "24h" }, cacheTTL: 0 });
  const [row] = data;
  if (row?.["events.count"] === total && row["by_shop.count"] === total) return;
  throw new Error(`wrong counts after ${total} events: ${JSON.stringify(row)}`);
}
