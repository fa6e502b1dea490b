/**
 * How long a server is away after a kill -9 with a long journal behind its last snapshot: from the start of the process
 * until it takes events again, with all of them counted once; and where that time goes, as `/metrics` says.
 */
import { performance } from "node:perf_hooks";
import { medianFigures } from "../statistics.ts";
import { reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { LoadDriver } from "../load-driver.ts";
import { readMetrics } from "../metrics-page.ts";
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
      const cpuUs = server.cpuUs();
      answers.push(await verify(server, frames, workload));
      figures.push(figuresOf(await readMetrics(server.url), restartMs, cpuUs, frames * workload.batch));
    } finally {
      await server.stop();
    }
  }
  const results = [{ name: "weir", rounds, figures: medianFigures(figures) }];
  return reportOf("recovery", { frames, ...cleanWorkload, ...settings }, results, {}, answers);
}

const steps = ["open", "restore", "read", "apply", "collect"] as const;

/** The hosts recover side by side: of each step the mean over them. The rest is the start of the process and the gateway. */
function figuresOf(metrics: ReadonlyMap<string, number>, restartMs: number, cpuUs: number, events: number): Figures {
  const hosts = metrics.get("weir_host_up") ?? Number.NaN;
  const stepMs = steps.map((step) => ((metrics.get(`weir_recovery_seconds:${step}`) ?? Number.NaN) / hosts) * 1_000);
  const recoveryMs = stepMs.reduce((sum, ms) => sum + ms, 0);
  return {
    restartMs,
    processMs: restartMs - recoveryMs,
    ...Object.fromEntries(steps.map((step, index) => [`${step}Ms`, stepMs[index] ?? Number.NaN])),
    replayedEventsPerSecond: (events * 1_000) / restartMs,
    serverCpuUsPerEvent: cpuUs / events,
  };
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
