/**
 * How long a server is away after a kill -9 with a long journal behind its last snapshot: from the start of the process
 * until it takes events again, with all of them counted once.
 */
import { performance } from "node:perf_hooks";
import { medianFigures } from "../statistics.ts";
import { reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { LoadDriver } from "../load-driver.ts";
import { WeirServer } from "../servers.ts";
import { cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: { frames: 100, rounds: 1 },
  normal: { frames: 10_000, rounds: 3 },
  full: { frames: 100_000, rounds: 3 },
} as const;

/** No snapshot comes in between, so that the whole journal is replayed. */
const settings = { WEIR_QUESTDB: "off", WEIR_SNAPSHOT_EVERY_MS: "3600000" };

export async function recovery(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const { frames, rounds } = sizes[options.size];
  const figures: Figures[] = [];
  const answers: unknown[] = [];
  for (let round = 0; round < rounds; round++) {
    progress(`round ${round + 1}/${rounds}: ${frames * cleanWorkload.batch} events, kill -9, start`);
    const workload: WorkloadParameters = { ...cleanWorkload, seed: cleanWorkload.seed + round, nowMs: Date.now() };
    const server = await WeirServer.start({ codec: "records", settings });
    try {
      await fill(server, frames, workload);
      await server.kill9();
      const startMs = performance.now();
      await server.start();
      const restartMs = performance.now() - startMs;
      answers.push(await verify(server, frames, workload));
      figures.push({ restartMs, replayedEventsPerSecond: (frames * workload.batch * 1_000) / restartMs });
    } finally {
      await server.stop();
    }
  }
  const results = [{ name: "weir", rounds, figures: medianFigures(figures) }];
  return reportOf("recovery", { frames, ...cleanWorkload, ...settings }, results, {}, answers);
}

async function fill(server: WeirServer, frames: number, workload: WorkloadParameters): Promise<void> {
  const target = { url: server.streamUrl, key: server.key, codec: server.codec, connections: 4 };
  const { driver } = await LoadDriver.start(target, workload);
  try {
    await driver.run(frames, { kind: "closed", inFlight: 16 });
  } finally {
    driver.stop();
  }
}
