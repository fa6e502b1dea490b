/**
 * Where the time of an event goes: all stages of its path, one after the other over the same turns, in this one thread. Each
 * turn has as many frames as a host takes at once. Then whole turns of a partition host as the server runs it, for comparison.
 *
 *   split -> hand-off -> read -> apply -> append -> commit -> outcome
 *                                 apply: ids, sessions and metrics; what each has of it is in `ofApply`, measured apart
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventColumns } from "../../protocol/event-columns.ts";
import { encodeFrame } from "../../protocol/frames.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { defaultMetrics } from "../../protocol/metric-definition.ts";
import { readFrame } from "../../workers/frame-reader.ts";
import { FrameSplitter } from "../../protocol/split-frame.ts";
import { DUPLICATE } from "../../protocol/verdicts.ts";
import { Deduplicator, HASHED_MAX } from "../../actors/deduplicate.ts";
import type { Partition } from "../../actors/partition.ts";
import { Sessions } from "../../actors/sessions.ts";
import { LmdbJournal } from "../../storage/lmdb/journal.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { FrameBatch, unpackFrames, type HandedFrame } from "../../workers/hand-off.ts";
import { PartitionHost } from "../../workers/partition-host.ts";
import { RecordArena } from "../../workers/record-arena.ts";
import { newStageTimes } from "../../workers/stage-times.ts";
import { applyTurn, type FrameInTurn } from "../../workers/turn.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";
import { reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { medianFigures } from "../statistics.ts";
import { cleanWorkload, distinctEvents } from "../workload.ts";
import { check, defaultRules, frameMaker, microInput, PARTITIONS, TENANT, wantedFields, type MicroInput } from "./part.ts";
import { acceptedBy, newPartitions } from "./windows.ts";

const sizes = {
  small: { frames: 64, templates: 50, rounds: 1 },
  normal: { frames: 2_048, templates: 500, rounds: 5 },
  full: { frames: 16_384, templates: 500, rounds: 11 },
} as const;
const HOSTS = 2;
/** One for all rounds, as a server has one. */
const splitter = new FrameSplitter(splitProgram());
const stageNames = ["split", "handOff", "read", "apply", "append", "commit", "outcome"] as const;
const applyNames = ["dedup", "sessions", "withoutMetrics"] as const;
type Stage = (typeof stageNames)[number] | (typeof applyNames)[number];

export async function path(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const { frames, templates, rounds } = sizes[options.size];
  const workload = { ...cleanWorkload, templates, nowMs: Date.now() };
  const input = microInput(workload, frames);
  const stages: Figures[] = [];
  const inApply: Figures[] = [];
  const wholes: Figures[] = [];
  for (let round = -1; round < rounds; round++) {
    progress(round < 0 ? "warming up" : `round ${round + 1}/${rounds}`);
    const [staged, ofApply] = await inFolder((folder) => stageByStage(input, folder));
    const whole = await inFolder((folder) => wholeTurns(input, folder));
    if (round < 0) continue;
    stages.push(staged);
    inApply.push(ofApply);
    wholes.push(whole);
  }
  const results = [
    { name: "stages, ns/event", rounds, figures: medianFigures(stages) },
    { name: "of apply", rounds, figures: medianFigures(inApply) },
    { name: "host, ns/event", rounds, figures: medianFigures(wholes) },
  ];
  return reportOf("path", { ...sizes[options.size], batch: workload.batch, seed: workload.seed }, results, {}, [
    distinctEvents(frames, workload),
  ]);
}

async function inFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), "weir-bench-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The run's frames, as many at a time as a host takes in one turn. */
function* turnsOf(input: MicroInput): Generator<Buffer[]> {
  const frameAt = frameMaker(input, "records");
  for (let first = 0; first < input.frames; first += limits.turnFramesFull) {
    const count = Math.min(limits.turnFramesFull, input.frames - first);
    yield Array.from({ length: count }, (_, index) => frameAt(first + index));
  }
}

/** Adds up what each stage takes. */
class StageClock {
  readonly #spentMs = new Map<Stage, number>();

  measure<Result>(stage: Stage, work: () => Result): Result {
    const startedMs = performance.now();
    const result = work();
    this.add(stage, performance.now() - startedMs);
    return result;
  }

  add(stage: Stage, ms: number): void {
    this.#spentMs.set(stage, (this.#spentMs.get(stage) ?? 0) + ms);
  }

  nsPerEvent(stage: Stage, events: number): number {
    return ((this.#spentMs.get(stage) ?? 0) * 1e6) / events;
  }
}

async function stageByStage(input: MicroInput, folder: string): Promise<[stages: Figures, ofApply: Figures]> {
  const clock = new StageClock();
  const journal = LmdbJournal.open(folder);
  const host = new StagedHost(clock, journal, input);
  try {
    for (const frames of turnsOf(input)) await host.turn(frames);
    host.check();
  } finally {
    await journal.close();
  }
  const events = input.frames * input.workload.batch;
  const ns = (stage: Stage): number => clock.nsPerEvent(stage, events);
  const stages = Object.fromEntries(stageNames.map((stage) => [stage, ns(stage)]));
  const total = stageNames.reduce((sum, stage) => sum + ns(stage), 0);
  const rest = { ledger: ns("withoutMetrics") - ns("dedup") - ns("sessions"), metrics: ns("apply") - ns("withoutMetrics") };
  return [
    { ...stages, total },
    { dedup: ns("dedup"), sessions: ns("sessions"), ...rest },
  ];
}

/** The stages as a host goes through them, taken apart. */
class StagedHost {
  readonly #clock: StageClock;
  readonly #journal: LmdbJournal;
  readonly #input: MicroInput;
  readonly #arena = new RecordArena();
  readonly #batch = new FrameBatch();
  readonly #partitions = newPartitions(defaultMetrics);
  readonly #plainPartitions = newPartitions([]);
  readonly #dedups: readonly Deduplicator[];
  readonly #sessions: readonly Sessions[];
  #shareEvents = 0;
  #duplicates = 0;
  #outcomeBytes = 0;

  constructor(clock: StageClock, journal: LmdbJournal, input: MicroInput) {
    this.#clock = clock;
    this.#journal = journal;
    this.#input = input;
    const { dedupKey, dedupHorizonMs } = defaultRules;
    this.#dedups = Array.from({ length: PARTITIONS }, () => new Deduplicator(dedupKey, dedupHorizonMs));
    this.#sessions = Array.from({ length: PARTITIONS }, () => new Sessions(TENANT, defaultRules, new MemoryStore()));
  }

  async turn(sent: readonly Buffer[]): Promise<void> {
    const clock = this.#clock;
    const { nowMs } = this.#input.workload;
    clock.measure("split", () => this.#split(sent));
    const handed = clock.measure("handOff", () => this.#handOver(sent));
    const frames = clock.measure("read", () => this.#read(handed, this.#journal.appendedOffset));
    clock.measure("apply", () => applyTurn(frames, this.#partitions, PARTITIONS));
    clock.measure("append", () => this.#append(frames));
    const startedMs = performance.now();
    this.#arena.release(await this.#journal.flush());
    clock.add("commit", performance.now() - startedMs);
    clock.measure("outcome", () => this.#answer(frames));
    // Verdicts are in the columns now: the parts of `apply` get columns of their own, read outside of all clocks.
    const again = this.#read(handed, (frames[0]?.offset ?? 1) - 1);
    const rowsOf = again.map(({ columns }) => rowsByPartition(columns as EventColumns));
    clock.measure("dedup", () => this.#deduplicate(again, rowsOf, nowMs));
    clock.measure("sessions", () => this.#visit(again, rowsOf));
    clock.measure("withoutMetrics", () => applyTurn(again, this.#plainPartitions, PARTITIONS));
    for (const { columns } of [...frames, ...again]) (columns as EventColumns).release();
    this.#batch.recycle([handed[0]?.batch?.buffer ?? new ArrayBuffer(0)]);
  }

  check(): void {
    const { frames, workload } = this.#input;
    const events = frames * workload.batch;
    const distinct = distinctEvents(frames, workload);
    const accepted = [acceptedBy(this.#partitions), acceptedBy(this.#plainPartitions), events - this.#duplicates];
    check(
      accepted.every((count) => count === distinct),
      `${accepted.join(", ")} events were accepted, there are ${distinct}`,
    );
    check(this.#shareEvents === events, `${this.#shareEvents} of ${events} events are in shares`);
    check(this.#journal.durableOffset === frames, `${this.#journal.durableOffset} of ${frames} records are durable`);
    check(this.#outcomeBytes > 0, "nothing was answered");
  }

  #split(sent: readonly Buffer[]): void {
    const { batch } = this.#input.workload;
    const rest = { format: 0, tenant: TENANT, partitionCount: PARTITIONS, hostOf: (id: number) => id % HOSTS } as const;
    for (const bytes of sent) {
      const shares = splitter.split({ ...rest, bytes });
      if (typeof shares === "number") this.#shareEvents += batch;
      else for (const { indexes } of shares) this.#shareEvents += indexes.length;
    }
  }

  #handOver(sent: readonly Buffer[]): HandedFrame[] {
    const common = {
      tenant: TENANT as TenantId,
      format: 0,
      allResults: false,
      ingestTimeMs: this.#input.workload.nowMs,
    } as const;
    sent.forEach((bytes, id) => this.#batch.add({ ...common, id, bytes }));
    const { batch, tenants } = this.#batch.take();
    return unpackFrames(batch, tenants);
  }

  #read(handed: readonly HandedFrame[], before: number): FrameInTurn[] {
    return handed.map((frame, index) => {
      const { format, bytes, tenant, ingestTimeMs } = frame;
      const columns = readFrame({ format, bytes, tenant, ingestTimeMs, partitionCount: PARTITIONS, wanted: wantedFields });
      return { frame, columns, offset: (before + index + 1) as Offset };
    });
  }

  #append(frames: readonly FrameInTurn[]): void {
    for (const { frame, columns, offset } of frames) {
      const { verdicts } = columns as EventColumns;
      this.#journal.append(this.#arena.write({ ...frame, kind: "frame", decodable: true, verdicts }, offset));
    }
  }

  /** The ack of each frame, with its duplicates, as the gateway encodes it. */
  #answer(frames: readonly FrameInTurn[]): void {
    for (const { frame, columns } of frames) {
      const { verdicts, eventIds, count } = columns as EventColumns;
      const results = [];
      for (let row = 0; row < count; row++) {
        if (verdicts[row] !== DUPLICATE) continue;
        results.push({ eventId: eventIds.text(row), success: true, code: "WEIR_EVENT_DUPLICATE" });
      }
      const counts = { totalEvents: count, successfulEvents: count, failedEvents: 0 };
      const ack = { t: "ack", seq: frame.id, receipt: String(frame.id), success: true, ...counts, results } as const;
      this.#outcomeBytes += encodeFrame(ack as unknown as Parameters<typeof encodeFrame>[0]).length;
    }
  }

  #deduplicate(frames: readonly FrameInTurn[], rowsOf: readonly (readonly Int32Array[])[], nowMs: number): void {
    frames.forEach(({ columns }, frame) => {
      rowsOf[frame]?.forEach((rows, partition) => {
        const dedup = this.#dedups[partition];
        dedup?.advance(nowMs);
        for (let from = 0; from < rows.length; from += HASHED_MAX) {
          const to = Math.min(rows.length, from + HASHED_MAX);
          dedup?.hash((columns as EventColumns).eventIds, rows, from, to);
          for (let at = from; at < to; at++) {
            if (dedup?.lookupHashed(at - from) === true) this.#duplicates++;
            else dedup?.remember();
          }
        }
      });
    });
  }

  #visit(frames: readonly FrameInTurn[], rowsOf: readonly (readonly Int32Array[])[]): void {
    frames.forEach(({ columns }, frame) => {
      rowsOf[frame]?.forEach((rows, partition) => {
        const sessions = this.#sessions[partition];
        sessions?.open(columns as EventColumns);
        for (let from = 0; from < rows.length; from += HASHED_MAX) {
          const to = Math.min(rows.length, from + HASHED_MAX);
          sessions?.prepare(columns as EventColumns, rows, from, to);
          for (let at = from; at < to; at++) sessions?.applyRow(columns as EventColumns, rows[at] ?? 0, at - from);
        }
      });
    });
  }
}

function rowsByPartition({ partitions }: EventColumns): Int32Array[] {
  const rows = Int32Array.from(partitions.keys());
  return Array.from({ length: PARTITIONS }, (_, id) => rows.filter((row) => partitions[row] === id));
}

/** A host as it is, without threads: what its own clocks say of each stage, and what a turn takes in all. */
async function wholeTurns(input: MicroInput, folder: string): Promise<Figures> {
  const journal = LmdbJournal.open(folder);
  const partitions: ReadonlyMap<PartitionId, Partition> = newPartitions(defaultMetrics);
  const stages = newStageTimes();
  let answered = 0;
  const failures: unknown[] = [];
  const host = new PartitionHost({
    partitionCount: PARTITIONS,
    partitions,
    journal,
    stages,
    deliverOutcomes: (outcomes) => (answered += outcomes.length),
    deliverPartials: () => undefined,
    deliverDefinitions: () => undefined,
    fail: (error) => failures.push(error),
  });
  host.knowDefinitions(TENANT as TenantId, defaultMetrics);
  const common = { tenant: TENANT as TenantId, format: 0, allResults: false, ingestTimeMs: input.workload.nowMs } as const;
  let totalMs = 0;
  for (const frames of turnsOf(input)) {
    const startedMs = performance.now();
    host.accept(frames.map((bytes, id) => ({ ...common, id, bytes })));
    await host.finish();
    totalMs += performance.now() - startedMs;
  }
  await journal.close();
  check(failures.length === 0, `the host failed: ${String(failures[0])}`);
  check(answered === input.frames, `${answered} of ${input.frames} frames were answered`);
  const distinct = distinctEvents(input.frames, input.workload);
  check(acceptedBy(partitions) === distinct, `${acceptedBy(partitions)} of ${distinct} events were accepted`);
  const toNs = 1e6 / (input.frames * input.workload.batch);
  const { read, apply, append } = stages;
  return { read: read.totalMs * toNs, apply: apply.totalMs * toNs, append: append.totalMs * toNs, total: totalMs * toNs };
}
