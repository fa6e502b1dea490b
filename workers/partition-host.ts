/**
 * A partition host: one thread's partitions behind one journal. This is the path of an event, top to bottom:
 *
 *   mailbox -> turn: read columns -> partitions decide and count -> record appended -> flush (group commit)
 *           -> only then: outcomes to the gateway, partials to stage 2
 *
 * Promises kept here: an outcome leaves after its record is on disk (1, 8); frames are applied in the order in which they came
 * (5). What a turn changed in memory before its flush is seen by nobody: `#held` keeps it back until then.
 */
import { assert } from "../protocol/assert.ts";
import { WeirError } from "../protocol/error-codes.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import { readFrame } from "./frame-reader.ts";
import type { JournalRecord } from "../protocol/records.ts";
import { ACCEPTED, isDeadLetter, type VerdictCode } from "../protocol/verdicts.ts";
import { fieldsOf } from "../actors/metric-plan.ts";
import type { CollectedPartials, Partition } from "../actors/partition.ts";
import type { Journal } from "../storage/ports.ts";
import { passPoint } from "./crash-points.ts";
import type { HandedFrame } from "./hand-off.ts";
import { Mailbox } from "./mailbox.ts";
import type { HostOutcome } from "./messages.ts";
import type { PoisonFrames } from "./poison.ts";
import type { EventResult } from "./ports.ts";
import { RecordArena } from "./record-arena.ts";
import type { StageTimes } from "./stage-times.ts";
import { isWorthwhileTurn } from "./turn-size.ts";
import { TurnMeter } from "./turn-meter.ts";
import { applyTurn, verdictOfRefused, type FrameInTurn } from "./turn.ts";

const NO_FIELDS: readonly string[] = [];
const NO_RESULTS: readonly EventResult[] = [];

export interface PartitionHostOptions {
  readonly partitionCount: number;
  readonly partitions: ReadonlyMap<PartitionId, Partition>;
  readonly journal: Journal;
  readonly stages: StageTimes;
  /** `spent`: the buffers of batches of which no frame is needed any more. */
  readonly deliverOutcomes: (outcomes: readonly HostOutcome[], spent: readonly ArrayBuffer[]) => void;
  readonly deliverPartials: (partials: readonly CollectedPartials[]) => void;
  /** Comes before every partial that is counted by these definitions, and behind those counted by earlier ones. */
  readonly deliverDefinitions: (tenant: TenantId, definitions: readonly MetricDefinition[]) => void;
  /** Runs work in a later turn of the event loop. */
  readonly soon?: (work: () => void) => void;
  /** Milliseconds since some start. */
  readonly elapsed?: () => number;
  /** State and journal may differ from here on: the host must not go on. `frames`: what was being applied. */
  readonly fail: (error: unknown, frames?: readonly HandedFrame[]) => void;
  /** Frames that are refused without being looked at, and the partition that keeps them. */
  readonly poison?: { readonly frames: PoisonFrames; readonly keptBy: PartitionId };
  /** Called around each turn while the host is careful: what it applies, then undefined. */
  readonly applying?: (frame: HandedFrame | undefined) => void;
}

export class PartitionHost {
  readonly #options: PartitionHostOptions;
  readonly #partitions: ReadonlyMap<PartitionId, Partition>;
  readonly #journal: Journal;
  readonly #soon: (work: () => void) => void;
  readonly #elapsed: () => number;
  /** Of each tenant: its metrics as JSON text, and the fields that they read. */
  readonly #definitions = new Map<TenantId, { readonly text: string; readonly fields: readonly string[] }>();
  readonly #arena = new RecordArena();
  readonly #mailbox = new Mailbox();
  #turnScheduled = false;
  #uncommittedTurns = 0;
  #uncommittedBytes = 0;
  #failed = false;
  /** One frame a turn, each announced: so that there is one suspect when a turn fails (`poison.ts`). */
  careful = false;
  /** What may leave once the journal is durable up to `offset`; ascending. */
  #held: { offset: Offset; release: () => void }[] = [];

  constructor(options: PartitionHostOptions) {
    this.#options = options;
    this.#partitions = options.partitions;
    this.#journal = options.journal;
    this.#soon = options.soon ?? setImmediate;
    this.#elapsed = options.elapsed ?? (() => performance.now());
  }

  get mailboxFrames(): number {
    return this.#mailbox.frames;
  }

  get mailboxBytes(): number {
    return this.#mailbox.bytes;
  }

  /** Takes frames for the next turn. The gateway's admission keeps the mailbox within its limits. */
  accept(frames: Iterable<HandedFrame>): void {
    for (const frame of frames) this.#mailbox.add(frame);
    this.#scheduleTurn();
  }

  /** Journals and applies a tenant's metric definitions, behind all frames accepted before; resolves when they are durable. */
  async define(tenant: TenantId, definitions: readonly MetricDefinition[], ingestTimeMs: number): Promise<void> {
    while (this.#mailbox.frames > 0) await this.turn();
    const text = JSON.stringify(definitions);
    if (this.#definitions.get(tenant)?.text === text) return this.#commit();
    this.knowDefinitions(tenant, definitions);
    const offset = this.#append({ kind: "definitions", tenant, ingestTimeMs, definitions });
    for (const partition of this.#partitions.values()) {
      partition.define(tenant, definitions);
      partition.settle(tenant, offset);
    }
    this.#hold(() => this.#options.deliverDefinitions(tenant, definitions));
    await this.#commit();
  }

  /** What recovery found to be in force. */
  knowDefinitions(tenant: TenantId, definitions: readonly MetricDefinition[]): void {
    this.#definitions.set(tenant, { text: JSON.stringify(definitions), fields: fieldsOf(definitions) });
  }

  /** One turn: everything that waits, up to a limit, becomes part of the state and of one commit. */
  async turn(): Promise<void> {
    if (this.#failed) return;
    const taken = this.#mailbox.take(this.careful ? 1 : limits.turnFramesMax);
    let frames: readonly HandedFrame[] = taken;
    try {
      if (this.careful) this.#options.applying?.(frames[0]);
      const outcomes = this.#process(taken);
      // Those that took too long to be read are in the mailbox again.
      frames = taken.slice(0, outcomes.length);
      const spent = spentBuffers(frames);
      this.#hold(() => this.#options.deliverOutcomes(outcomes, spent));
      if (this.careful) this.#options.applying?.(undefined);
      passPoint("after-append");
    } catch (error) {
      this.#stop(error, frames);
      return;
    }
    await this.#commit(frames.reduce((sum, { bytes }) => sum + bytes.length, 0));
  }

  /** Hands changed partials to stage 2 as soon as what they count is durable; resolves then. */
  async collect(): Promise<void> {
    const partials = [...this.#partitions.values()].flatMap((partition) => partition.collect());
    if (partials.length > 0) this.#hold(() => this.#options.deliverPartials(partials));
    await this.flush();
  }

  /** The same, partition by partition with turns in between: no frame waits for all of it. Resolves to the time that it took. */
  async collectInTurns(elapsed: () => number): Promise<number> {
    let busyMs = 0;
    const timed = (work: () => void): void => {
      const startedMs = elapsed();
      work();
      busyMs += elapsed() - startedMs;
    };
    for (const partition of this.#partitions.values()) {
      if (this.#failed) break;
      let partials: readonly CollectedPartials[] = [];
      timed(() => (partials = partition.collect()));
      if (partials.length === 0) continue;
      this.#hold(() => timed(() => this.#options.deliverPartials(partials)));
      await new Promise<void>((resolve) => this.#soon(resolve));
    }
    await this.flush();
    return busyMs;
  }

  /** Resolves when everything applied so far is on disk, and what was held back for that has left. */
  async flush(): Promise<void> {
    if (this.#held.length > 0) await this.#commit();
  }

  /** Finishes what is in the mailbox. */
  async finish(): Promise<void> {
    while (this.#mailbox.frames > 0 && !this.#failed) await this.turn();
    await this.#commit();
  }

  /** Nothing that is held leaves any more, and nothing is applied. */
  abandon(): void {
    this.#failed = true;
    this.#held = [];
    this.#mailbox.clear();
  }

  #process(handed: readonly HandedFrame[]): HostOutcome[] {
    const { partitionCount, stages } = this.#options;
    const meter = new TurnMeter(this.#elapsed);
    const started = performance.now();
    const frames = this.#readAll(handed, meter);
    const read = performance.now();
    applyTurn(frames, this.#partitions, partitionCount, meter);
    const applied = performance.now();
    passPoint("before-append");
    for (const each of frames) {
      meter.work(each.frame.tenant);
      this.#appendFrame(each);
    }
    meter.rest();
    stages.read.observe(read - started);
    stages.apply.observe(applied - read);
    stages.append.observe(performance.now() - applied);
    this.#charge(frames, meter);
    return frames.map(({ frame, columns, offset }) => {
      if (columns instanceof WeirError) return refusedOutcome(frame, offset, columns);
      const outcome = decidedOutcome(frame, offset, columns);
      columns.release();
      return outcome;
    });
  }

  /** Reads frames until it has taken the time of a turn; the others go back. */
  #readAll(handed: readonly HandedFrame[], meter: TurnMeter): FrameInTurn[] {
    const { poison } = this.#options;
    const first = this.#journal.appendedOffset + 1;
    const untilMs = this.#elapsed() + limits.turnMsMax;
    const frames: FrameInTurn[] = [];
    for (const frame of handed) {
      if (frames.length > 0 && this.#elapsed() >= untilMs) break;
      meter.work(frame.tenant);
      const offset = (first + frames.length) as Offset;
      if (poison?.frames.has(frame) !== true) frames.push({ frame, columns: this.#read(frame), offset });
      else frames.push({ frame, columns: new WeirError("WEIR_FRAME_POISONED"), offset, keptBy: poison.keptBy });
    }
    meter.rest();
    if (frames.length < handed.length) this.#mailbox.putBack(handed.slice(frames.length));
    return frames;
  }

  #charge(frames: readonly FrameInTurn[], meter: TurnMeter): void {
    const bytes = new Map<TenantId, number>();
    for (const { frame } of frames) bytes.set(frame.tenant, (bytes.get(frame.tenant) ?? 0) + frame.bytes.length);
    for (const [tenant, count] of bytes) this.#mailbox.charge(tenant, count, meter.of(tenant));
  }

  #read(frame: HandedFrame): EventColumns | WeirError {
    const { format, bytes, tenant, ingestTimeMs } = frame;
    try {
      const wanted = this.#definitions.get(tenant)?.fields ?? NO_FIELDS;
      return readFrame({ format, bytes, tenant, ingestTimeMs, partitionCount: this.#options.partitionCount, wanted });
    } catch (error) {
      if (error instanceof WeirError) return error;
      throw error;
    }
  }

  #append(record: JournalRecord): Offset {
    return this.#journal.append(this.#arena.write(record, this.#journal.appendedOffset + 1));
  }

  #appendFrame({ frame, columns, offset: expected }: FrameInTurn): void {
    const decodable = !(columns instanceof WeirError);
    const verdicts = decodable ? verdictsOf(columns) : Uint8Array.of(verdictOfRefused(columns));
    const { tenant, format, ingestTimeMs, bytes } = frame;
    const offset = this.#append({ kind: "frame", tenant, format, ingestTimeMs, decodable, verdicts, bytes });
    assert(offset === expected, "the record got the offset that its partitions were told");
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || this.#failed || this.#mailbox.frames === 0) return;
    if (this.#hasEnoughUncommitted()) return;
    // A commit costs the time of dozens of events: while one runs, a few frames wait for its end and share the next.
    const isWorthwhile = this.careful || isWorthwhileTurn(this.#mailbox.frames, this.#mailbox.bytes);
    if (this.#uncommittedTurns > 0 && !isWorthwhile) return;
    this.#turnScheduled = true;
    // After the messages that are already here: they share the turn and its commit.
    this.#soon(() => {
      this.#turnScheduled = false;
      void this.turn();
      this.#scheduleTurn();
    });
  }

  /** Small turns share a commit as the frames of a large one do: else short turns would wait for the disk most of the time. */
  #hasEnoughUncommitted(): boolean {
    if (this.careful) return this.#uncommittedTurns >= limits.turnFramesFull;
    if (this.#uncommittedTurns < limits.uncommittedTurnsMax) return false;
    const frames = this.#journal.appendedOffset - this.#journal.durableOffset;
    return frames >= limits.uncommittedFramesFull || this.#uncommittedBytes >= limits.uncommittedBytesFull;
  }

  #hold(release: () => void): void {
    if (this.#failed) return;
    const offset = this.#journal.appendedOffset;
    // Nothing to wait for: all that it could tell is on disk.
    if (this.#held.length === 0 && this.#journal.durableOffset >= offset) release();
    else this.#held.push({ offset, release });
  }

  /** `bytes`: of the frames that it is for. */
  async #commit(bytes = 0): Promise<void> {
    if (this.#failed) return;
    const started = performance.now();
    this.#uncommittedTurns++;
    this.#uncommittedBytes += bytes;
    try {
      const durable = await this.#journal.flush();
      passPoint("after-flush");
      this.#arena.release(durable);
      this.#releaseUpTo(durable);
      this.#options.stages.commit.observe(performance.now() - started);
    } catch (error) {
      this.#stop(error);
    }
    this.#uncommittedTurns--;
    this.#uncommittedBytes -= bytes;
    this.#scheduleTurn();
  }

  #releaseUpTo(durable: Offset): void {
    let count = 0;
    for (; count < this.#held.length; count++) {
      const held = this.#held[count];
      if (held === undefined || held.offset > durable) break;
      held.release();
    }
    this.#held.splice(0, count);
  }

  /** What is held is never released: its fate is for the journal to tell after a restart. */
  #stop(error: unknown, frames: readonly HandedFrame[] = []): void {
    if (this.#failed) return;
    this.abandon();
    this.#options.fail(error, frames);
  }
}

/** A frame's bytes are not looked at again once it is part of the state and of a record. */
function spentBuffers(frames: readonly HandedFrame[]): ArrayBuffer[] {
  const spent: ArrayBuffer[] = [];
  for (const { batch } of frames) if (batch !== undefined && --batch.framesLeft === 0) spent.push(batch.buffer);
  return spent;
}

/** One for each row. */
function verdictsOf({ verdicts, count }: EventColumns): Uint8Array {
  return verdicts.length === count ? verdicts : verdicts.subarray(0, count);
}

function decidedOutcome(frame: HandedFrame, offset: Offset, columns: EventColumns): HostOutcome {
  let results = NO_RESULTS;
  let failedEvents = 0;
  for (let row = 0; row < columns.count; row++) {
    const verdict = columns.verdicts[row] ?? ACCEPTED;
    if (isDeadLetter(verdict)) failedEvents++;
    if (verdict === ACCEPTED && !frame.allResults) continue;
    const path = columns.wrongPaths.get(row);
    const result = { index: row, eventId: columns.eventIds.text(row), verdict };
    if (results === NO_RESULTS) results = [];
    (results as EventResult[]).push(path === undefined ? result : { ...result, path });
  }
  return { id: frame.id, offset, totalEvents: columns.count, failedEvents, results };
}

function refusedOutcome(frame: HandedFrame, offset: Offset, error: WeirError): HostOutcome {
  const { detail } = error;
  const refused = {
    code: error.code as VerdictCode,
    ...(detail === undefined ? {} : { detail }),
    ...(error.path === undefined ? {} : { path: error.path }),
  };
  return { id: frame.id, offset, totalEvents: 1, failedEvents: 1, results: NO_RESULTS, refused };
}
