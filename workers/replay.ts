/**
 * Applies journal records to partitions (promises 1, 2, 7), many frames at a time and partition by partition, as a host's turns
 * do (`turn.ts`): a partition's ids, sessions and panes stay in the processor's cache for all rows of a turn, and the
 * turn itself stays there for all partitions.
 *
 *   records -> copied into the turn's memory -> read to columns -> (turn full) each partition takes its rows, in order -> ...
 *
 * Each partition sees the same sequence as record by record: partitions share nothing, and what is not a frame ends the turn.
 * Every decision is compared with the verdict in the record: a difference means that the code or the state is wrong.
 */
import { assert } from "../protocol/assert.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import { partitionOf } from "../protocol/partition-hash.ts";
import { readFrame } from "./frame-reader.ts";
import type { DefinitionsRecord, FrameRecord } from "../protocol/records.ts";
import { verdictOf } from "../protocol/verdicts.ts";
import { fieldsOf } from "../actors/metric-plan.ts";
import type { FrameFacts, Partition } from "../actors/partition.ts";
import type { JournalEntry } from "../storage/ports.ts";
import type { RecordMark } from "./poison.ts";
import type { RecoveryTimes } from "./recovery-times.ts";
import { openRecordAt } from "./sealed-record.ts";
import { TurnRows } from "./turn-rows.ts";

const NONE: ReadonlySet<number> = new Set();
const POISONED = verdictOf("WEIR_FRAME_POISONED");

export interface ReplayOptions {
  /** Whose journal it is. */
  readonly host: number;
  /** Offsets of records that are left out. */
  readonly skipped: ReadonlySet<number>;
  /** `record` is set while a record is applied: where a failed replay stood. */
  readonly progress?: ReplayProgress | undefined;
  /** Told how long reading and applying took, by `elapsed`. */
  readonly times?: Pick<RecoveryTimes, "readMs" | "applyMs"> | undefined;
  /** Milliseconds since some start. */
  readonly elapsed?: () => number;
  /** One record a turn: what fails at the end of a turn is then blamed on the right one. */
  readonly careful?: boolean;
}

export interface ReplayProgress {
  record?: RecordMark | undefined;
}

/** Applies records to those partitions that do not have them yet; returns how many there were. */
export function replay(
  entries: Iterable<JournalEntry>,
  partitions: ReadonlyMap<PartitionId, Partition>,
  partitionCount: number,
  options: ReplayOptions = { host: 0, skipped: NONE },
): number {
  const { host, skipped, progress = {}, careful = false } = options;
  const { times, elapsed = () => 0 } = options;
  const turn = new ReplayTurn(partitions, partitionCount, host, progress, elapsed);
  const startedMs = elapsed();
  let replayed = 0;
  for (const { offset, record: bytes } of entries) {
    const kept = turn.keep(bytes);
    // One that cannot be read is not blamed: nothing of it could be kept, so the host fails, and a start ends.
    const record = openRecordAt(kept, host, offset, skipped.has(offset));
    if (record === undefined) continue;
    if (record.kind === "definitions") turn.define(record, offset);
    else turn.add(skipped.has(offset) ? leftOut(record) : record, offset);
    if (careful || turn.isFull) turn.apply();
    replayed++;
  }
  turn.apply();
  if (times !== undefined) {
    times.applyMs += turn.applyMs;
    times.readMs += elapsed() - startedMs - turn.applyMs;
  }
  return replayed;
}

/** The record as if its frame had been refused: its bytes become one dead letter. */
function leftOut(record: FrameRecord): FrameRecord {
  return { ...record, decodable: false, verdicts: Uint8Array.of(POISONED) };
}

/** Of each tenant, the metrics in force in these partitions. */
export function definitionsOf(partitions: Iterable<Partition>): Map<TenantId, MetricDefinition[]> {
  const definitions = new Map<TenantId, MetricDefinition[]>();
  for (const partition of partitions) {
    for (const [tenant, state] of partition.tenants) {
      definitions.set(
        tenant as TenantId,
        [...state.metrics.values()].map((panes) => panes.plan.definition),
      );
    }
  }
  return definitions;
}

interface ReplayedFrame {
  readonly record: FrameRecord;
  readonly facts: FrameFacts;
  /** undefined: nothing of it was taken. */
  readonly columns: EventColumns | undefined;
}

/**
 * So many bytes of records fill a turn. What it has read is gone through again for each partition and is to stay in the cache
 * meanwhile; a partition's state is fetched once a turn, which is to be worth some hundred events. The plain version is a turn
 * for each record. Figures: docs/decisions/0028-a-replay-stays-in-the-cache.md.
 */
export function replayTurnBytes(partitions: number): number {
  return Math.min(limits.replayTurnBytesMax, Math.max(1, partitions) * limits.replayTurnBytesPerPartition);
}

class ReplayTurn {
  readonly #partitions: ReadonlyMap<PartitionId, Partition>;
  readonly #partitionCount: number;
  readonly #host: number;
  readonly #progress: ReplayProgress;
  readonly #elapsed: () => number;
  applyMs = 0;
  /** The bytes of the turn's records: the journal's own are gone at its next step. */
  readonly #memory: Uint8Array;
  #used = 0;
  readonly #frames: ReplayedFrame[] = [];
  readonly #rows = new TurnRows();
  readonly #fields = new Map<TenantId, readonly string[]>();

  constructor(
    partitions: ReadonlyMap<PartitionId, Partition>,
    partitionCount: number,
    host: number,
    progress: ReplayProgress,
    elapsed: () => number,
  ) {
    this.#memory = new Uint8Array(replayTurnBytes(partitions.size));
    this.#elapsed = elapsed;
    this.#partitions = partitions;
    this.#partitionCount = partitionCount;
    this.#host = host;
    this.#progress = progress;
  }

  /** A copy of the record that stays until the turn is applied; made before anything else is read (`JournalReadOptions`). */
  keep(bytes: Uint8Array): Uint8Array {
    const from = this.#used;
    this.#used += bytes.length;
    if (this.#used > this.#memory.length) return bytes.slice();
    this.#memory.set(bytes, from);
    return this.#memory.subarray(from, this.#used);
  }

  /** It takes no further frame before it is applied. */
  get isFull(): boolean {
    return this.#frames.length >= limits.replayTurnFramesMax || this.#used >= this.#memory.length;
  }

  /** Comes behind all frames before it. */
  define({ tenant, definitions }: DefinitionsRecord, offset: Offset): void {
    this.apply();
    this.#progress.record = { host: this.#host, offset };
    this.#fields.delete(tenant);
    for (const partition of this.#partitions.values()) {
      if (partition.appliedOffset >= offset) continue;
      partition.define(tenant, definitions);
      partition.settle(tenant, offset);
    }
    this.#progress.record = undefined;
  }

  add(record: FrameRecord, offset: Offset): void {
    this.#progress.record = { host: this.#host, offset };
    const { tenant, ingestTimeMs, format, bytes, decodable, verdicts } = record;
    const facts = { tenant, offset, ingestTimeMs, format };
    if (decodable) {
      const partitionCount = this.#partitionCount;
      const columns = readFrame({ format, bytes, tenant, ingestTimeMs, partitionCount, wanted: this.#fieldsOf(tenant) });
      assert(columns.count === verdicts.length, "a replayed frame has as many events as verdicts");
      this.#frames.push({ record, facts, columns });
      this.#rows.add(columns.partitions);
    } else {
      this.#frames.push({ record, facts, columns: undefined });
      this.#rows.add([this.#keeperOf(record)]);
    }
    this.#progress.record = undefined;
  }

  /** Brings the partitions up to all that was added. */
  apply(): void {
    if (this.#frames.length > 0) {
      const startedMs = this.#elapsed();
      const tenants = new Set(this.#frames.map(({ facts }) => facts.tenant));
      this.#rows.sort(this.#partitionCount);
      for (const [id, partition] of this.#partitions) {
        if (!this.#rows.has(id)) continue;
        this.#rows.take(id, (index, rows, from, to) => this.#applyRows(partition, index, rows, from, to));
        for (const tenant of tenants) partition.endTurn(tenant);
      }
      this.#progress.record = undefined;
      this.#rows.clear();
      for (const { columns } of this.#frames) columns?.release();
      this.#frames.length = 0;
      this.applyMs += this.#elapsed() - startedMs;
    }
    this.#used = 0;
  }

  #applyRows(partition: Partition, index: number, rows: Int32Array, from: number, to: number): void {
    const { record, facts, columns } = this.#frames[index] as ReplayedFrame;
    // It has it already: its snapshot covers the record.
    if (partition.appliedOffset >= facts.offset) return;
    this.#progress.record = { host: this.#host, offset: facts.offset };
    if (columns === undefined) {
      partition.refuseFrame(facts, record.verdicts[0] ?? 0, record.bytes);
    } else {
      partition.applyRows(facts, columns, rows, from, to);
      checkVerdicts(record.verdicts, columns, facts.offset, rows.subarray(from, to));
    }
    partition.settle(facts.tenant, facts.offset);
  }

  #fieldsOf(tenant: TenantId): readonly string[] {
    let fields = this.#fields.get(tenant);
    if (fields === undefined) {
      fields = fieldsOf(definitionsOf(this.#partitions.values()).get(tenant) ?? []);
      this.#fields.set(tenant, fields);
    }
    return fields;
  }

  /**
   * Which partition keeps a frame of which nothing was taken. A poisoned one may be a share that has no event of the usual
   * partition; partition `h` is on host `h` whenever that host has a journal, whatever the number of hosts.
   */
  #keeperOf({ tenant, verdicts }: FrameRecord): number {
    return verdicts[0] === POISONED ? this.#host : partitionOf(tenant, "", this.#partitionCount);
  }
}

/** What the replay has decided for some rows of a frame is what its record says. */
function checkVerdicts(journaled: Uint8Array, { verdicts }: EventColumns, offset: Offset, rows: Int32Array): void {
  for (const row of rows) {
    if (verdicts[row] === journaled[row]) continue;
    assert(false, `replay of record ${offset}, event ${row}: ${verdicts[row]} is not the journaled verdict`);
  }
}
