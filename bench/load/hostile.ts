/**
 * Frames made to be slow: what a hostile tenant does to a quiet one's ack latency and to the server's memory, beside what the same
 * load of ordinary frames does. The hostile tenant keeps to the protocol and its credit; it only chooses well what it sends.
 *
 *   ordinary         100 events a frame, a few types, 20,000 sessions: what the others are held against
 *   one event        the same events, one a frame
 *   storm            1,000 connections, each of which sends one frame, waits for its ack, and connects again
 *   twins            ids, sessions and users that have one hash in h = 31 h + c
 *   numbers as types event types that share a bucket in V8's maps
 *   key orders       each event's keys in another order
 *   twin shapes      long lists of keys that have one hash in h = 31 h + c, and differ at their end
 *   unique texts     no session, user, type or value comes twice
 *   100k types       as many event types
 *
 * Each has a server of its own. Every frame is answered, and the events of both tenants are counted exactly.
 */
import { connect } from "../../client/index.ts";
import { alternate, reportOf, type BenchOptions, type BenchReport, type Contender, type Figures } from "../harness.ts";
import type { ProfileName } from "../frame-profiles.ts";
import { LoadDriver } from "../load-driver.ts";
import { WeirServer } from "../servers.ts";
import { StampedDriver, type StampedFigures } from "../stamped-driver.ts";
import { cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: {
    rounds: 1,
    seconds: 0.3,
    eventsPerSecond: 1_000,
    connections: 2,
    stormConnections: 10,
    templates: 20,
    names: ["storm", "twin shapes"],
  },
  normal: {
    rounds: 1,
    seconds: 6,
    eventsPerSecond: 50_000,
    connections: 16,
    stormConnections: 1_000,
    templates: 200,
    names: undefined,
  },
  full: {
    rounds: 3,
    seconds: 20,
    eventsPerSecond: 50_000,
    connections: 16,
    stormConnections: 1_000,
    templates: 200,
    names: undefined,
  },
} as const;
/** The quiet tenant: small frames often, so that there are enough of them for a p99. */
const QUIET = { framesPerSecond: 100, batch: 10 };
const SESSIONS = 20_000;
const SERIES = 100;
const MEMORY_EVERY_MS = 100;
const MIB = 2 ** 20;

interface Attack {
  readonly profile: ProfileName;
  readonly batch: number;
  readonly isStorm?: true;
}

const attacks: Readonly<Record<string, Attack>> = {
  ordinary: { profile: "ordinary", batch: 100 },
  "one event": { profile: "ordinary", batch: 1 },
  storm: { profile: "ordinary", batch: 1, isStorm: true },
  twins: { profile: "twins", batch: 100 },
  "numbers as types": { profile: "numbersAsTypes", batch: 100 },
  "key orders": { profile: "keyOrders", batch: 100 },
  "twin shapes": { profile: "twinShapes", batch: 100 },
  "unique texts": { profile: "uniqueTexts", batch: 100 },
  "100k types": { profile: "manyTypes", batch: 100 },
};

type Size = (typeof sizes)[BenchOptions["size"]];

export async function hostile(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const names: readonly string[] | undefined = size.names;
  const answers: unknown[] = [];
  const contenders = Object.entries(attacks).flatMap(([name, attack]): Contender[] => {
    if (names !== undefined && !names.includes(name)) return [];
    const run = async (round: number): Promise<Figures> => {
      const { figures, answer } = await measure(attack, size, round);
      answers[round] ??= answer;
      return figures;
    };
    return [{ name, run }];
  });
  const { results, ratios } = await alternate(contenders, size.rounds, progress);
  const quietRatios = Object.entries(ratios).filter(([name]) => name.startsWith("quietAckP99Ms"));
  const parameters = { ...size, quiet: JSON.stringify(QUIET), sessions: SESSIONS };
  return reportOf("hostile", parameters, results, Object.fromEntries(quietRatios), answers);
}

async function measure(attack: Attack, size: Size, round: number): Promise<{ figures: Figures; answer: unknown }> {
  const server = await WeirServer.start({ codec: "records", settings: { WEIR_QUESTDB: "off" } });
  const stops: (() => void)[] = [];
  try {
    const nowMs = Date.now();
    const { templates } = size;
    const workload = { ...cleanWorkload, templates, seed: cleanWorkload.seed + round, batch: QUIET.batch, nowMs };
    const quiet = await startQuiet(server, workload);
    stops.push(() => quiet.stop());
    const noisyKey = await server.createKey("noisy");
    const noisy = await StampedDriver.start({
      url: server.streamUrl,
      key: noisyKey,
      connections: attack.isStorm === true ? size.stormConnections : size.connections,
      profile: attack.profile,
      parameters: { run: round, batch: attack.batch, sessions: SESSIONS, series: SERIES, nowMs },
    });
    stops.push(() => noisy.stop());
    const memory = watchMemory(server);
    stops.push(() => memory.stop());
    const cpuBeforeUs = server.cpuUs();
    const frames = Math.ceil(size.seconds * QUIET.framesPerSecond);
    const { seconds, eventsPerSecond } = size;
    const [own, other] = await Promise.all([
      quiet.run(frames, { kind: "open", framesPerSecond: QUIET.framesPerSecond }),
      noisy.run(
        attack.isStorm === true
          ? { kind: "storm", seconds }
          : { kind: "paced", seconds, framesPerSecond: eventsPerSecond / attack.batch },
      ),
    ]);
    const cpuUs = server.cpuUs() - cpuBeforeUs;
    const { peakBytes, grownBytes } = memory.stop();
    await checkNoisy(server, noisyKey, other);
    const figures = {
      quietAckP50Ms: own.ackP50Ms,
      quietAckP99Ms: own.ackP99Ms,
      quietAckMaxMs: own.ackMaxMs,
      quietEventsPerSecond: (frames * QUIET.batch * 1_000) / own.durationMs,
      hostileEventsPerSecond: (other.events * 1_000) / other.durationMs,
      hostileFramesPerSecond: (other.frames * 1_000) / other.durationMs,
      hostileAckP99Ms: other.ackP99Ms,
      connectionsPerSecond: (other.connected * 1_000) / other.durationMs,
      serverCpuUsPerEvent: cpuUs / (other.events + frames * QUIET.batch),
      serverCpuUsPerFrame: cpuUs / (other.frames + frames),
      memoryMiBMax: peakBytes / MIB,
      memoryBytesPerEvent: grownBytes / other.events,
    };
    return { figures, answer: await verify(server, frames, workload) };
  } finally {
    for (const stop of stops) stop();
    await server.stop();
  }
}

async function startQuiet(server: WeirServer, workload: WorkloadParameters): Promise<LoadDriver> {
  const target = { url: server.streamUrl, key: server.key, codec: server.codec, connections: 1 };
  return (await LoadDriver.start(target, workload)).driver;
}

/** Every event that the hostile tenant sent was good, and is counted once. */
async function checkNoisy(server: WeirServer, key: string, { events, successfulEvents }: StampedFigures): Promise<void> {
  if (successfulEvents !== events) throw new Error(`${successfulEvents} of ${events} hostile events were accepted`);
  const client = connect({ url: server.url, key });
  try {
    const { data } = await client.query({ metrics: ["events.count"], timeRange: { last: "24h" }, cacheTTL: 0 });
    const counted = Number(data[0]?.["events.count"] ?? 0);
    if (counted !== events) throw new Error(`${counted} of ${events} hostile events are counted`);
  } finally {
    await client.close();
  }
}

function watchMemory(server: WeirServer): { stop(): { peakBytes: number; grownBytes: number } } {
  const firstBytes = server.memoryBytes();
  let peakBytes = firstBytes;
  const look = (): void => void (peakBytes = Math.max(peakBytes, server.memoryBytes()));
  const timer = setInterval(look, MEMORY_EVERY_MS);
  return {
    stop() {
      clearInterval(timer);
      return { peakBytes, grownBytes: peakBytes - firstBytes };
    },
  };
}
