/**
 * Durable ingest against the naive server: same events, same batch size, fresh processes in every round.
 * A round: warm up, closed loop at full load, open loop at half of the rate that the closed loop reached, then compare the
 * server's answer with what the frames must add up to; a wrong answer fails the run.
 * Weir's ack means "on disk and aggregated"; the naive server's means "aggregated in memory".
 */
import { isDeepStrictEqual } from "node:util";
import { alternate, reportOf, type BenchOptions, type BenchReport, type Contender, type Figures } from "../harness.ts";
import { LoadDriver } from "../load-driver.ts";
import { startNaive, WeirServer, type BenchServer } from "../servers.ts";
import { canonicalWorkload, expectedAnswers, generateTemplates, type WorkloadParameters } from "../workload.ts";

export interface IngestSize {
  readonly rounds: number;
  readonly warmupFrames: number;
  readonly closedFrames: number;
  /** At half the rate of the closed loop. */
  readonly openFrames: number;
  readonly connections: number;
  /** Frames in flight on each connection. */
  readonly inFlight: number;
}

const sizes: Record<BenchOptions["size"], IngestSize> = {
  small: { rounds: 1, warmupFrames: 20, closedFrames: 100, openFrames: 50, connections: 4, inFlight: 4 },
  normal: { rounds: 3, warmupFrames: 1_000, closedFrames: 10_000, openFrames: 5_000, connections: 16, inFlight: 32 },
  full: { rounds: 5, warmupFrames: 2_000, closedFrames: 30_000, openFrames: 15_000, connections: 16, inFlight: 32 },
};

export async function ingest(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const settings = { WEIR_QUESTDB: options.flags.has("questdb") ? "managed" : "off" };
  const weir = (codec: "records" | "maps") => () => WeirServer.start({ codec, settings });
  return compareServers(
    "ingest",
    size,
    settings,
    { weir: weir("records"), "weir, maps": weir("maps"), naive: startNaive },
    progress,
  );
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
): Promise<BenchReport> {
  const workload = (round: number): WorkloadParameters => ({
    ...canonicalWorkload,
    seed: canonicalWorkload.seed + round,
    nowMs: Date.now(),
  });
  const answers: unknown[] = [];
  const contenders = Object.entries(servers).map(([name, start]): Contender => ({
    name,
    run: async (round) => {
      const server = await start();
      try {
        const { figures, answer } = await measure(server, size, workload(round));
        answers[round] ??= answer;
        return figures;
      } finally {
        await server.stop();
      }
    },
  }));
  const { results, ratios } = await alternate(contenders, size.rounds, progress);
  return reportOf(bench, { ...size, ...canonicalWorkload, ...settings }, results, ratios, answers);
}

async function measure(
  server: BenchServer,
  size: IngestSize,
  workload: WorkloadParameters,
): Promise<{ figures: Figures; answer: unknown }> {
  const keys = await server.tenantKeys(workload.tenants);
  const target = { url: server.streamUrl, keys, codec: server.codec, connections: size.connections };
  const { driver, frameBytes } = await LoadDriver.start(target, workload);
  try {
    const closedMode = { kind: "closed", inFlight: size.inFlight } as const;
    await driver.run(size.warmupFrames, closedMode);
    const cpuBeforeUs = server.cpuUs();
    const closed = await driver.run(size.closedFrames, closedMode);
    const closedCpuUs = server.cpuUs() - cpuBeforeUs;
    const framesPerSecond = (closed.frames / closed.durationMs) * 500;
    const openCpuBeforeUs = server.cpuUs();
    const open = await driver.run(size.openFrames, { kind: "open", framesPerSecond });
    const openCpuUs = server.cpuUs() - openCpuBeforeUs;
    const frames = size.warmupFrames + closed.frames + open.frames;
    const answer = await verify(server, frames, workload);
    const closedEvents = closed.frames * workload.batch;
    const figures = {
      eventsPerSecond: (closedEvents / closed.durationMs) * 1_000,
      serverCpuUsPerEvent: closedCpuUs / closedEvents,
      ackP50Ms: closed.ackP50Ms,
      ackP99Ms: closed.ackP99Ms,
      halfLoadEventsPerSecond: (open.frames * workload.batch * 1_000) / open.durationMs,
      halfLoadServerCpuUsPerEvent: openCpuUs / (open.frames * workload.batch),
      halfLoadAckP50Ms: open.ackP50Ms,
      halfLoadAckP99Ms: open.ackP99Ms,
      bytesPerEvent: frameBytes / workload.batch,
      clientCpuUsPerEvent: closed.clientCpuUs / closedEvents,
    };
    return { figures, answer };
  } finally {
    driver.stop();
  }
}

/** Throws unless the server counted each acceptable event once, under the right tenant, type and country. */
export async function verify(server: BenchServer, frames: number, workload: WorkloadParameters): Promise<unknown> {
  const expected = expectedAnswers(generateTemplates(workload), frames, workload);
  const keys = await server.tenantKeys(workload.tenants);
  for (const [tenant, key] of keys.entries()) {
    const answered = await server.answer(key);
    if (isDeepStrictEqual(answered, expected[tenant])) continue;
    const total = (rows: readonly { count: number }[] = []): string =>
      `${rows.reduce((sum, { count }) => sum + count, 0)} events in ${rows.length} series`;
    throw new Error(
      `wrong answer to tenant ${tenant} after ${frames} frames: ${total(answered)}, expected ${total(expected[tenant])}`,
    );
  }
  return expected.length === 1 ? expected[0] : expected;
}
