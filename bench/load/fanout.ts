/**
 * One channel, many subscribers, each with a WebSocket of its own in another process, while events come: how old an event is
 * when a subscriber sees it, counted from its commit and from its planned sending. Each contender has a server of its own.
 *
 *   publisher ─ frames at a fixed rate ─> server ─ one delta, encoded once ─> 1 .. 10,000 sockets
 *
 * Every subscriber must end with exactly the number that was sent, and no number may ever go down.
 */
import { alternate, reportOf, type BenchOptions, type BenchReport, type Contender, type Figures } from "../harness.ts";
import { FanoutDriver, requireOpenFiles } from "../fanout-driver.ts";
import { LoadDriver } from "../load-driver.ts";
import { PacedPublisher } from "../paced-publisher.ts";
import { WeirServer } from "../servers.ts";
import { cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: { rounds: 1, seconds: 0.5, subscribers: [50], eventsPerSecond: 4_000, templates: 20, calibrationFrames: 0 },
  normal: {
    rounds: 1,
    seconds: 8,
    subscribers: [1, 100, 1_000, 10_000],
    eventsPerSecond: 10_000,
    templates: 500,
    calibrationFrames: 3_000,
  },
  full: {
    rounds: 3,
    seconds: 30,
    subscribers: [1, 100, 1_000, 10_000],
    eventsPerSecond: 10_000,
    templates: 500,
    calibrationFrames: 10_000,
  },
} as const;
const CHANNEL = "events@day";
const EVERY_MS = 100;
const WARMUP_SECONDS_SHARE = 0.25;

interface Variant {
  readonly subscribers: number;
  readonly eventsPerSecond: number;
}

export async function fanout(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const most = Math.max(...size.subscribers);
  requireOpenFiles(most);
  const { eventsPerSecond } = size;
  const variants: Record<string, Variant> = {
    ...Object.fromEntries(
      size.subscribers.toReversed().map((subscribers) => [subscribers.toLocaleString("en-US"), { eventsPerSecond, subscribers }]),
    ),
    ...(size.calibrationFrames > 0 ? await harder(most, size, progress) : {}),
  };
  const answers: unknown[] = [];
  const contenders = Object.entries(variants).map(([name, variant]): Contender => ({
    name,
    run: async (round) => {
      const { figures, answer } = await measure(variant, size, round);
      // Only what does not depend on the machine's speed.
      if (variant.eventsPerSecond === size.eventsPerSecond) answers[round] ??= answer;
      return figures;
    },
  }));
  const { results } = await alternate(contenders, size.rounds, progress);
  return reportOf("fanout", { ...size, channel: CHANNEL, everyMs: EVERY_MS }, results, {}, answers);
}

type Size = (typeof sizes)[BenchOptions["size"]];

/** The largest number of subscribers at half of what the server can take. */
async function harder(subscribers: number, size: Size, progress: (line: string) => void): Promise<Record<string, Variant>> {
  progress("half of what the server can take");
  const eventsPerSecond = Math.round((await fullLoad(size.calibrationFrames)) / 2);
  return { [`${subscribers.toLocaleString("en-US")}, half load`]: { subscribers, eventsPerSecond } };
}

/** Events a second of a closed loop without subscribers. */
async function fullLoad(frames: number): Promise<number> {
  const server = await WeirServer.start({ codec: "records", settings: { WEIR_QUESTDB: "off" } });
  const target = { url: server.streamUrl, key: server.key, codec: server.codec, connections: 4 };
  const { driver } = await LoadDriver.start(target, { ...cleanWorkload, nowMs: Date.now() });
  try {
    await driver.run(Math.ceil(frames / 4), { kind: "closed", inFlight: 32 });
    const { durationMs } = await driver.run(frames, { kind: "closed", inFlight: 32 });
    return (frames * cleanWorkload.batch * 1_000) / durationMs;
  } finally {
    driver.stop();
    await server.stop();
  }
}

async function measure(
  { subscribers, eventsPerSecond }: Variant,
  { seconds, templates }: Size,
  round: number,
): Promise<{ figures: Figures; answer: unknown }> {
  const seed = cleanWorkload.seed + round;
  const workload: WorkloadParameters = { ...cleanWorkload, templates, seed, duplicatesPer100: 0, nowMs: Date.now() };
  const server = await WeirServer.start({ codec: "records", settings: { WEIR_QUESTDB: "off" } });
  const stops: (() => void)[] = [];
  try {
    const publisher = await PacedPublisher.connect(server.streamUrl, server.key, workload);
    stops.push(() => publisher.close());
    const framesPerSecond = eventsPerSecond / workload.batch;
    await publisher.run(Math.ceil(seconds * WARMUP_SECONDS_SHARE * framesPerSecond), framesPerSecond);
    const before = publisher.frames;
    const target = { url: server.streamUrl, key: server.key, subscribers, channel: CHANNEL, everyMs: EVERY_MS };
    const driver = await FanoutDriver.start(target);
    stops.push(() => driver.stop());
    const cpuBeforeUs = server.cpuUs();
    const frames = Math.ceil(seconds * framesPerSecond);
    const { plannedMs, ackedMs, durationMs } = await publisher.run(frames, framesPerSecond);
    const counts = Array.from({ length: frames }, (_, frame) => (before + frame + 1) * workload.batch);
    const { deltas, clientCpuUs, ...seen } = await driver.figures({ plannedMs, ackedMs, counts });
    const serverCpuUs = server.cpuUs() - cpuBeforeUs;
    const acks = ackedMs.map((atMs, frame) => atMs - (plannedMs[frame] ?? 0)).toSorted((left, right) => left - right);
    const figures = {
      eventsPerSecond: (frames * workload.batch * 1_000) / durationMs,
      deltasPerSecond: (deltas * 1_000) / durationMs,
      ...seen,
      ackP99Ms: acks[Math.ceil(acks.length * 0.99) - 1] ?? Number.NaN,
      serverCpuCores: serverCpuUs / (durationMs * 1_000),
      subscribersCpuCores: clientCpuUs / (durationMs * 1_000),
    };
    return { figures, answer: await verify(server, publisher.frames, workload) };
  } finally {
    for (const stop of stops) stop();
    await server.stop();
  }
}
