/**
 * Weir beside what a team would take instead of it: the same events in the same run, each peer with its own protocol and in
 * the way that suits it best, from a fresh start in every round. What each makes durable at its ack and what it aggregates
 * differs, and stands beside its figures. A peer that is not installed, or does not start here, is left out, with a line
 * that says why: how this machine is set up is not what is tested.
 *
 * A round of a contender: start, warm up, closed loop at full load, then read back its count of events by type and country
 * and compare: distinct events where it deduplicates, else all that were sent. A wrong answer fails the run.
 * A slower contender gets fewer frames of the same run of frames.
 */
import { isDeepStrictEqual } from "node:util";
import { alternate, reportOf, type BenchOptions, type BenchReport, type Contender, type Figures } from "../harness.ts";
import { LoadDriver } from "../load-driver.ts";
import { thisMachine, type PeerMachine } from "../peers/machine.ts";
import { PeerDriver } from "../peers/peer-driver.ts";
import type { Peer, PeerServer } from "../peers/peer.ts";
import { barsOf } from "../plot.ts";
import { findPeers, registry } from "../peers/registry.ts";
import { startNaive, WeirServer, type BenchServer } from "../servers.ts";
import { cleanWorkload, expectedAnswer, generateTemplates, type AnswerRow, type WorkloadParameters } from "../workload.ts";

interface PeersSize {
  readonly rounds: number;
  /** About how long a contender is at full load, by its `eventsPerSecond`. */
  readonly seconds: number;
  readonly framesMin: number;
  /** Of Weir and the naive server; a peer has its own. */
  readonly connections: number;
  readonly inFlight: number;
  readonly templates: number;
}

const sizes: Record<BenchOptions["size"], PeersSize> = {
  small: { rounds: 1, seconds: 0.02, framesMin: 10, connections: 2, inFlight: 4, templates: 20 },
  normal: { rounds: 3, seconds: 1.5, framesMin: 10, connections: 16, inFlight: 32, templates: 500 },
  full: { rounds: 5, seconds: 6, framesMin: 10, connections: 16, inFlight: 32, templates: 500 },
};

/** As a share of the frames that are measured. */
const WARMUP_SHARE = 0.2;
const RATIO_FIGURES = ["eventsPerSecond", "serverCpuUsPerEvent"];
const weirSettings = { WEIR_QUESTDB: "off" };

/** One of those compared, ready for a run: Weir, the naive server or a peer. */
interface Subject {
  readonly version?: string;
  readonly frameBytes: number;
  run(frames: number): Promise<{ durationMs: number; ackP50Ms: number; ackP99Ms: number; clientCpuUs: number }>;
  cpuUs(): number;
  answer(): Promise<AnswerRow[]>;
  stop(): Promise<void>;
}

interface Entry {
  readonly name: string;
  readonly eventsPerSecond: number;
  readonly deduplicates: boolean;
  readonly about: Record<string, string>;
  start(workload: WorkloadParameters, size: PeersSize): Promise<Subject>;
}

/** A peer that is installed and does not start. */
class StartFailure extends Error {
  constructor(cause: unknown) {
    super(`it did not start: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

export function peers(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const candidates = options.size === "small" ? registry.filter(({ inSmallSize }) => inSmallSize) : registry;
  return comparePeers(candidates, thisMachine(), options.size, progress);
}

export async function comparePeers(
  candidates: readonly Peer[],
  machine: PeerMachine,
  sizeName: BenchOptions["size"],
  progress: (line: string) => void,
  references: readonly Entry[] = [weir, naive],
): Promise<BenchReport> {
  const size = sizes[sizeName];
  const { found, skipped } = await findPeers(candidates, machine);
  for (const line of skipped) progress(line);
  const entries = [...references, ...found.map((peer) => entryOf(peer, machine))];
  const answers: unknown[] = [];
  const versions = new Map<string, string>();
  const notStarted = new Map<string, string>();
  const contenders = entries.map((entry): Contender => ({
    name: entry.name,
    run: async (round) => {
      if (notStarted.has(entry.name)) return {};
      const seed = cleanWorkload.seed + round;
      const workload = { ...cleanWorkload, templates: size.templates, seed, nowMs: Date.now() };
      try {
        const { figures, answer, version } = await measure(entry, size, workload);
        versions.set(entry.name, version);
        answers[round] ??= answer;
        return figures;
      } catch (error) {
        if (!(error instanceof StartFailure)) throw error;
        notStarted.set(entry.name, `skipped ${entry.name}: ${error.message}`);
        progress(`skipped ${entry.name}: ${error.message}`);
        return {};
      }
    },
  }));
  const { results, ratios } = await alternate(contenders, size.rounds, progress);
  const described = results.map((result, index) => ({
    ...result,
    about: { version: versions.get(result.name) ?? "-", ...entries[index]?.about },
  }));
  const started = described.filter(({ name }) => !notStarted.has(name));
  const keptNames = started.flatMap(({ name }) => RATIO_FIGURES.map((figure) => `${figure}: ${entries[0]?.name} / ${name}`));
  const keptRatios = Object.fromEntries(Object.entries(ratios).filter(([name]) => keptNames.includes(name)));
  const parameters = { ...size, ...cleanWorkload, templates: size.templates, ...weirSettings };
  const notes = [...skipped, ...notStarted.values()];
  const plots = [
    barsOf("Events acknowledged at full load", "events/s", started, "eventsPerSecond"),
    barsOf("CPU time of the server at full load", "us/event", started, "serverCpuUsPerEvent"),
  ];
  return { ...reportOf("peers", parameters, started, keptRatios, answers), notes, plots };
}

const weir: Entry = {
  name: "weir",
  eventsPerSecond: 500_000,
  deduplicates: true,
  about: {
    durable: "yes: journal, synced before the ack",
    aggregates: "yes: count by type and country; value by type with quantiles; distinct users; sessions",
    deduplicates: "yes",
  },
  start: async (workload, size) =>
    subjectOf(await WeirServer.start({ codec: "records", settings: weirSettings }), workload, size),
};

const naive: Entry = {
  name: "naive",
  eventsPerSecond: 80_000,
  deduplicates: true,
  about: {
    durable: "no",
    aggregates: "yes: count, sum, min, max by minute, type, country; distinct users",
    deduplicates: "yes",
  },
  start: async (workload, size) => subjectOf(await startNaive(), workload, size),
};

async function subjectOf(server: BenchServer, workload: WorkloadParameters, size: PeersSize): Promise<Subject> {
  const target = { url: server.streamUrl, codec: server.codec, connections: size.connections };
  const keyed = server.key === undefined ? target : { ...target, key: server.key };
  return withServer(server, async () => {
    const { driver, frameBytes } = await LoadDriver.start(keyed, workload);
    return {
      frameBytes,
      run: (frames) => driver.run(frames, { kind: "closed", inFlight: size.inFlight }),
      stop: () => driver.stop(),
    };
  });
}

function entryOf(peer: Peer, machine: PeerMachine): Entry {
  const { name, durable, aggregates, deduplicates, load } = peer;
  return {
    name,
    eventsPerSecond: load.eventsPerSecond,
    deduplicates,
    about: { durable, aggregates, deduplicates: deduplicates ? "yes" : "no" },
    start: async (workload) => {
      const server = await peer.start(machine).catch((cause: unknown) => {
        throw new StartFailure(cause);
      });
      return withServer(server, () => generatorOf(peer, server, workload));
    },
  };
}

async function generatorOf(peer: Peer, { address }: PeerServer, workload: WorkloadParameters): Promise<Generator> {
  const { driver, frameBytes } = await PeerDriver.start({ peer: peer.name, address, load: peer.load }, workload);
  return { frameBytes, run: (frames) => driver.run(frames), stop: () => driver.stop() };
}

interface Generator extends Pick<Subject, "frameBytes" | "run"> {
  stop(): void;
}

/** The server and its generator as one; the server does not outlive a generator that cannot start. */
async function withServer(
  server: Pick<PeerServer, "cpuUs" | "answer" | "stop"> & { readonly version?: string },
  startGenerator: () => Promise<Generator>,
): Promise<Subject> {
  try {
    const generator = await startGenerator();
    return {
      ...(server.version === undefined ? {} : { version: server.version }),
      frameBytes: generator.frameBytes,
      run: generator.run,
      cpuUs: () => server.cpuUs(),
      answer: () => server.answer(),
      stop: async () => {
        generator.stop();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function measure(
  entry: Entry,
  size: PeersSize,
  workload: WorkloadParameters,
): Promise<{ figures: Figures; answer: AnswerRow[]; version: string }> {
  const frames = Math.max(size.framesMin, Math.round((entry.eventsPerSecond * size.seconds) / workload.batch));
  const warmupFrames = Math.ceil(frames * WARMUP_SHARE);
  const subject = await entry.start(workload, size);
  try {
    await subject.run(warmupFrames);
    const cpuBeforeUs = subject.cpuUs();
    const ran = await subject.run(frames);
    const cpuUs = subject.cpuUs() - cpuBeforeUs;
    const answer = await verify(entry, subject, warmupFrames + frames, workload);
    const events = frames * workload.batch;
    const figures = {
      eventsPerSecond: (events / ran.durationMs) * 1_000,
      serverCpuUsPerEvent: cpuUs / events,
      clientCpuUsPerEvent: ran.clientCpuUs / events,
      ackP50Ms: ran.ackP50Ms,
      ackP99Ms: ran.ackP99Ms,
      bytesPerEvent: subject.frameBytes / workload.batch,
    };
    return { figures, answer, version: subject.version ?? "this commit" };
  } finally {
    await subject.stop();
  }
}

/** Throws unless the contender counted what it was sent, under the right type and country. */
async function verify(entry: Entry, subject: Subject, frames: number, workload: WorkloadParameters): Promise<AnswerRow[]> {
  // Without deduplication, an event that is sent again is one more.
  const counting = entry.deduplicates ? workload : { ...workload, duplicatesPer100: 0 };
  const expected = expectedAnswer(generateTemplates(workload), frames, counting);
  const answered = await subject.answer();
  if (isDeepStrictEqual(answered, expected)) return expected;
  const total = (rows: readonly AnswerRow[]): number => rows.reduce((sum, { count }) => sum + count, 0);
  throw new Error(
    `${entry.name}: wrong answer after ${frames} frames: ${total(answered)} events in ${answered.length} series, ` +
      `expected ${total(expected)} in ${expected.length}`,
  );
}
