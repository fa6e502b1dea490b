/** One round of a server under load, from the first frame to the checked answers: what `ingest` and `ingest-batches` share. */
import { isDeepStrictEqual } from "node:util";
import type { Figures } from "../harness.ts";
import { LoadDriver } from "../load-driver.ts";
import type { BenchServer } from "../servers.ts";
import { expectedAnswers, generateTemplates, type WorkloadParameters } from "../workload.ts";

export interface IngestSize {
  readonly rounds: number;
  readonly warmupFrames: number;
  readonly closedFrames: number;
  readonly connections: number;
  /** Frames in flight on each connection, as far as its credit goes. */
  readonly inFlight: number;
  readonly templates: number;
}

/** Shares of the closed loop's rate at which the open loops run, each for about as long as the closed one. */
export const LOADS = [0.1, 0.5, 0.8] as const;

/** The figure at that load: `at10AckP50Ms`. */
export function atLoad(share: number, figure: string): string {
  return `at${Math.round(share * 100)}${figure}`;
}

export async function measureServer(
  server: BenchServer,
  size: IngestSize,
  workload: WorkloadParameters,
  loads: readonly number[] = LOADS,
): Promise<{ figures: Figures; answer: unknown }> {
  const keys = await server.tenantKeys(workload.tenants);
  const target = { url: server.streamUrl, keys, codec: server.codec, connections: size.connections };
  const { driver, frameBytes } = await LoadDriver.start(target, workload);
  try {
    const closedMode = { kind: "closed", inFlight: size.inFlight } as const;
    await driver.run(size.warmupFrames, closedMode);
    await server.warehouse?.drained();
    const cpuBeforeUs = server.cpuUs();
    const warehouseBeforeUs = server.warehouse?.cpuUs() ?? 0;
    const closed = await driver.run(size.closedFrames, closedMode);
    const closedCpuUs = server.cpuUs() - cpuBeforeUs;
    const events = closed.frames * workload.batch;
    const figures: Record<string, number> = {
      eventsPerSecond: (events / closed.durationMs) * 1_000,
      serverCpuUsPerEvent: closedCpuUs / events,
      ackP50Ms: closed.ackP50Ms,
      ackP99Ms: closed.ackP99Ms,
    };
    if (server.warehouse !== undefined) {
      const drainMs = await server.warehouse.drained();
      figures["warehouseEventsPerSecond"] = (events / (closed.durationMs + drainMs)) * 1_000;
      figures["serverCpuUsPerEventUntilStored"] = (server.cpuUs() - cpuBeforeUs) / events;
      figures["questdbCpuUsPerEvent"] = (server.warehouse.cpuUs() - warehouseBeforeUs) / events;
    }
    let frames = size.warmupFrames + closed.frames;
    for (const share of loads) {
      const openFrames = Math.ceil(closed.frames * share);
      Object.assign(figures, await openLoop(server, driver, openFrames, workload.batch, share, frameRate(closed)));
      frames += openFrames;
    }
    figures["bytesPerEvent"] = frameBytes / workload.batch;
    figures["clientCpuUsPerEvent"] = closed.clientCpuUs / events;
    return { figures, answer: await verify(server, frames, workload) };
  } finally {
    driver.stop();
  }
}

/** Frames a second. */
function frameRate({ frames, durationMs }: { readonly frames: number; readonly durationMs: number }): number {
  return (frames / durationMs) * 1_000;
}

async function openLoop(
  server: BenchServer,
  driver: LoadDriver,
  frames: number,
  batch: number,
  share: number,
  fullFramesPerSecond: number,
): Promise<Figures> {
  const cpuBeforeUs = server.cpuUs();
  const run = await driver.run(frames, { kind: "open", framesPerSecond: fullFramesPerSecond * share });
  const events = frames * batch;
  return {
    [atLoad(share, "EventsPerSecond")]: (events * 1_000) / run.durationMs,
    [atLoad(share, "ServerCpuUsPerEvent")]: (server.cpuUs() - cpuBeforeUs) / events,
    [atLoad(share, "AckP50Ms")]: run.ackP50Ms,
    [atLoad(share, "AckP99Ms")]: run.ackP99Ms,
  };
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
