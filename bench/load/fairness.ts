/**
 * What a noisy tenant does to a quiet one: the quiet tenant's ack latency at a fixed rate while the other sends its own share,
 * a hundred times its share, and as much as its credit lets it. Each round has all three, on one server, in turns.
 */
import { alternate, reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { LoadDriver, type RunMode } from "../load-driver.ts";
import { WeirServer } from "../servers.ts";
import { cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: { rounds: 1, seconds: 0.5, noisyTimes: 10, noisyConnections: 2 },
  normal: { rounds: 5, seconds: 10, noisyTimes: 100, noisyConnections: 16 },
  full: { rounds: 9, seconds: 30, noisyTimes: 100, noisyConnections: 16 },
} as const;
/** The quiet tenant sends small frames often, so that there are enough of them for a p99. */
const QUIET = { framesPerSecond: 100, batch: 10 };
const NOISY_SHARE = { framesPerSecond: 10, batch: 100 };
const IN_FLIGHT_MAX = 64;

export async function fairness(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  progress("starting the server");
  const server = await WeirServer.start({ codec: "records", settings: { WEIR_QUESTDB: "off" } });
  const nowMs = Date.now();
  const quietWorkload = { ...cleanWorkload, batch: QUIET.batch, nowMs };
  const quiet = await startTenant(server, server.key, 1, quietWorkload);
  let quietFrames = 0;
  const noisyKey = await server.createKey("noisy");
  const noisy = await startTenant(server, noisyKey, size.noisyConnections, { ...cleanWorkload, nowMs });
  try {
    const round = async (noisyMode: RunMode, noisyFramesPerSecond: number): Promise<Figures> => {
      const frames = Math.ceil(size.seconds * QUIET.framesPerSecond);
      quietFrames += frames;
      const [own, other] = await Promise.all([
        quiet.run(frames, { kind: "open", framesPerSecond: QUIET.framesPerSecond }),
        noisy.run(Math.ceil(size.seconds * noisyFramesPerSecond), noisyMode),
      ]);
      const events = other.successfulEvents + other.failedEvents;
      if (events !== other.frames * NOISY_SHARE.batch) throw new Error(`the noisy tenant has ${events} answers`);
      return {
        ackP50Ms: own.ackP50Ms,
        ackP99Ms: own.ackP99Ms,
        noisyEventsPerSecond: (events / other.durationMs) * 1_000,
        noisyAckP99Ms: other.ackP99Ms,
      };
    };
    const manyTimes = NOISY_SHARE.framesPerSecond * size.noisyTimes;
    await round({ kind: "open", framesPerSecond: manyTimes }, manyTimes);
    const contenders = [
      { name: `beside ${size.noisyTimes}x`, run: () => round({ kind: "open", framesPerSecond: manyTimes }, manyTimes) },
      {
        name: "beside 1x",
        run: () => round({ kind: "open", framesPerSecond: NOISY_SHARE.framesPerSecond }, NOISY_SHARE.framesPerSecond),
      },
      // Three times what it could take: a closed loop at full credit, for as long as the quiet tenant sends or longer.
      { name: "beside all it can", run: () => round({ kind: "closed", inFlight: IN_FLIGHT_MAX }, 3 * manyTimes) },
    ];
    const { results, ratios } = await alternate(contenders, size.rounds, progress);
    const answer = await verify(server, quietFrames, quietWorkload);
    return reportOf("fairness", { ...size, quiet: { ...QUIET }, noisyShare: { ...NOISY_SHARE } }, results, ratios, answer);
  } finally {
    quiet.stop();
    noisy.stop();
    await server.stop();
  }
}

async function startTenant(
  server: WeirServer,
  key: string,
  connections: number,
  workload: WorkloadParameters,
): Promise<LoadDriver> {
  const target = { url: server.streamUrl, key, codec: server.codec, connections };
  return (await LoadDriver.start(target, workload)).driver;
}
