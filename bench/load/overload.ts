/**
 * More than the server can take, and everybody at once:
 *   full       as much as it takes from a few connections
 *   overload   three times that rate is offered, over many connections; a reader asks meanwhile
 *   storm      thousands of clients connect at the same moment, each with a frame
 * Every frame is answered in the end, and the answers are checked.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../client/index.ts";
import { reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { LoadDriver, type RunFigures, type RunMode } from "../load-driver.ts";
import { WeirServer } from "../servers.ts";
import { quantileOf } from "../statistics.ts";
import { cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: { frames: 200, overloadSeconds: 0.5, connections: 16, stormClients: 100 },
  normal: { frames: 15_000, overloadSeconds: 20, connections: 256, stormClients: 5_000 },
  full: { frames: 30_000, overloadSeconds: 120, connections: 256, stormClients: 5_000 },
} as const;
const OVERLOAD = 3;
const FULL = { connections: 16, inFlight: 32 };
const STORM_BATCH = 10;
const ASK_EVERY_MS = 200;
const MIB = 2 ** 20;

export async function overload(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  progress("starting the server");
  const server = await WeirServer.start({ codec: "records", settings: { WEIR_QUESTDB: "off" } });
  try {
    const answers: unknown[] = [];
    const start = (key: string, connections: number, workload: WorkloadParameters): Promise<LoadDriver> =>
      LoadDriver.start({ url: server.streamUrl, key, codec: server.codec, connections }, workload).then(({ driver }) => driver);
    const measured = async (driver: LoadDriver, frames: number, mode: RunMode): Promise<Figures> => {
      const watch = watchServer(server);
      try {
        return figuresOf(await driver.run(frames, mode), await watch.stop());
      } finally {
        await watch.stop();
      }
    };
    const workload = { ...cleanWorkload, nowMs: Date.now() };
    const driver = await start(server.key, FULL.connections, workload);
    progress("full load");
    const full = await measured(driver, size.frames, { kind: "closed", inFlight: FULL.inFlight });
    driver.stop();
    answers.push(await verify(server, size.frames, workload));

    const framesPerSecond = (OVERLOAD * (full["eventsPerSecond"] ?? 0)) / workload.batch;
    progress(`three times that rate over ${size.connections} connections`);
    const many = await start(await server.createKey("many"), size.connections, workload);
    const overloaded = await measured(many, Math.ceil(framesPerSecond * size.overloadSeconds), { kind: "open", framesPerSecond });
    many.stop();

    progress(`${size.stormClients} clients at once`);
    const startedMs = performance.now();
    const crowd = await start(await server.createKey("crowd"), size.stormClients, { ...workload, batch: STORM_BATCH });
    const connectedMs = performance.now() - startedMs;
    const storm = await measured(crowd, size.stormClients, { kind: "closed", inFlight: 1 });
    crowd.stop();
    const results = [
      { name: "full", rounds: 1, figures: full },
      { name: `overload ${OVERLOAD}x`, rounds: 1, figures: overloaded },
      { name: "storm", rounds: 1, figures: { connectedMs, ...storm } },
    ];
    return reportOf("overload", { ...size }, results, {}, answers);
  } finally {
    await server.stop();
  }
}

function figuresOf(run: RunFigures, watched: Figures): Figures {
  const events = run.successfulEvents + run.failedEvents;
  return {
    eventsPerSecond: (events / run.durationMs) * 1_000,
    ackP50Ms: run.ackP50Ms,
    ackP99Ms: run.ackP99Ms,
    refusedFrames: run.refusedFrames,
    ...watched,
  };
}

/** Its memory, and how fast it answers a reader's question, until stopped. */
function watchServer(server: WeirServer): { stop(): Promise<Figures> } {
  const client = connect({ url: server.url, key: server.key });
  const answerMs: number[] = [];
  let memoryBytesMax = 0;
  let running = true;
  const watching = (async () => {
    do {
      memoryBytesMax = Math.max(memoryBytesMax, server.memoryBytes());
      const startedMs = performance.now();
      await client.query({ metrics: ["events.count"], timeRange: { last: "1h" }, cacheTTL: 0 });
      answerMs.push(performance.now() - startedMs);
      await sleep(ASK_EVERY_MS);
    } while (running);
  })();
  return {
    async stop() {
      running = false;
      await watching;
      await client.close();
      const sorted = Float64Array.from(answerMs).sort();
      return {
        memoryMiBMax: memoryBytesMax / MIB,
        queryP50Ms: quantileOf(sorted, 0.5),
        queryMaxMs: quantileOf(sorted, 1),
      };
    },
  };
}
