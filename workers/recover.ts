/**
 * Recovery: snapshot + journal from its offset = the state before the stop (promises 1, 2, 7). Every decision of the replay is
 * compared with the verdict in the record: a difference means that the code or the state is wrong, and stops the host. A record
 * whose replay keeps failing is left out (`storage/skipped-records.ts`): what it brought is then missing, and its frame a dead letter.
 *
 * A partition that another host had before (the number of hosts changed) is first brought up to date from that host's journal,
 * then snapshotted as of the end of this one's: from there on its events are in this journal.
 */
import { assert } from "../protocol/assert.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../protocol/ids.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import { partitionOf } from "../protocol/partition-hash.ts";
import { readFrame } from "../protocol/plain-reader.ts";
import type { FrameRecord } from "../protocol/records.ts";
import { verdictOf } from "../protocol/verdicts.ts";
import { fieldsOf } from "../actors/metric-plan.ts";
import type { Partition, PartitionRules } from "../actors/partition.ts";
import type { Journal, JournalEntry, Store } from "../storage/ports.ts";
import type { RecordMark } from "./poison.ts";
import { openRecordAt } from "./sealed-record.ts";

const NONE: ReadonlySet<number> = new Set();
const POISONED = verdictOf("WEIR_FRAME_POISONED");

export interface RecoveryInput {
  readonly host: number;
  readonly partitionCount: number;
  /** As configured now: in force from the end of the replay on. */
  readonly rules: PartitionRules;
  readonly journal: Journal;
  readonly partitions: readonly { readonly partition: Partition; readonly store: Store }[];
  /** All durable records of another host's journal from an offset on. */
  readonly readOther: (host: number, from: Offset) => Iterable<JournalEntry>;
  /** Records of a host's journal that are left out: their replay has failed before. */
  readonly skippedOf?: (host: number) => ReadonlySet<number>;
  /** `record` is set while a record is applied: where a failed replay stood. */
  readonly progress?: ReplayProgress;
}

export interface ReplayProgress {
  record?: RecordMark | undefined;
}

export interface RecoveryResult {
  readonly replayedRecords: number;
  /** The definitions in force, by tenant. */
  readonly definitions: ReadonlyMap<TenantId, readonly MetricDefinition[]>;
}

export async function recover(input: RecoveryInput): Promise<RecoveryResult> {
  let replayedRecords = 0;
  const inJournal = (host: number): ReplayOptions => {
    return { host, skipped: input.skippedOf?.(host) ?? NONE, progress: input.progress };
  };
  for (const { partition } of input.partitions) partition.restore();
  const byId = new Map(input.partitions.map(({ partition }) => [partition.id, partition]));

  const elsewhere = [...byId.values()].filter((partition) => partition.host !== input.host);
  for (const host of new Set(elsewhere.map((partition) => partition.host))) {
    const moved = new Map(elsewhere.filter((partition) => partition.host === host).map((partition) => [partition.id, partition]));
    replayedRecords += replay(input.readOther(host, replayStart(moved.values())), moved, input.partitionCount, inJournal(host));
    for (const partition of moved.values()) partition.moveTo(input.host, input.journal.appendedOffset);
  }
  // A partition has a meta entry before it has events: so it is always known whose journal it is in.
  await save(
    input.partitions.filter(({ partition }) => partition.snapshotOffset !== partition.appliedOffset || !partition.saved),
  );

  for (const partition of byId.values()) {
    assert(partition.appliedOffset <= input.journal.appendedOffset, "a snapshot is never ahead of its journal");
  }
  const entries = input.journal.read(replayStart(byId.values()));
  replayedRecords += replay(entries, byId, input.partitionCount, inJournal(input.host));
  for (const partition of byId.values()) partition.coverUpTo(input.journal.appendedOffset);
  await save(input.partitions.filter(({ partition }) => partition.adopt(input.rules)));
  return { replayedRecords, definitions: definitionsOf(input.partitions.map(({ partition }) => partition)) };
}

async function save(members: RecoveryInput["partitions"]): Promise<void> {
  for (const { partition, store } of members) await store.commit(partition.snapshot());
  for (const { partition } of members) partition.committed(partition.appliedOffset);
}

export interface ReplayOptions {
  /** Whose journal it is. */
  readonly host: number;
  readonly skipped: ReadonlySet<number>;
  readonly progress?: ReplayProgress | undefined;
}

/** Applies records to those partitions that do not have them yet; returns how many were of use. */
export function replay(
  entries: Iterable<JournalEntry>,
  partitions: ReadonlyMap<PartitionId, Partition>,
  partitionCount: number,
  { host, skipped, progress = {} }: ReplayOptions = { host: 0, skipped: NONE },
): number {
  let replayed = 0;
  const fields = new Map<TenantId, readonly string[]>();
  for (const { offset, record: bytes } of entries) {
    // One that cannot be read is not blamed: nothing of it could be kept, so the host fails, and a start ends.
    const read = openRecordAt(bytes, host, offset, skipped.has(offset));
    if (read === undefined) continue;
    progress.record = { host, offset };
    const record = skipped.has(offset) && read.kind === "frame" ? leftOut(read) : read;
    const behind = (id: PartitionId): Partition | undefined => {
      const partition = partitions.get(id);
      return partition !== undefined && partition.appliedOffset < offset ? partition : undefined;
    };
    if (record.kind === "definitions") {
      fields.delete(record.tenant);
      for (const id of partitions.keys()) {
        behind(id)?.define(record.tenant, record.definitions);
        behind(id)?.settle(record.tenant, offset);
      }
    } else {
      const wanted = fields.get(record.tenant) ?? fieldsOf(definitionsOf([...partitions.values()]).get(record.tenant) ?? []);
      fields.set(record.tenant, wanted);
      replayFrame(record, offset, behind, { partitionCount, wanted, keptBy: keeperOf(record, host, partitionCount) });
    }
    progress.record = undefined;
    replayed++;
  }
  return replayed;
}

/** The record as if its frame had been refused: its bytes become one dead letter. */
function leftOut(record: FrameRecord): FrameRecord {
  return { ...record, decodable: false, verdicts: Uint8Array.of(POISONED) };
}

/**
 * Which partition keeps a frame of which nothing was taken. A poisoned one may be a share that has no event of the usual
 * partition; partition `h` is on host `h` whenever that host has a journal, whatever the number of hosts.
 */
function keeperOf({ tenant, verdicts }: FrameRecord, host: number, partitionCount: number): PartitionId {
  return verdicts[0] === POISONED ? (host as PartitionId) : (partitionOf(tenant, "", partitionCount) as PartitionId);
}

function replayFrame(
  record: FrameRecord,
  offset: Offset,
  behind: (id: PartitionId) => Partition | undefined,
  { partitionCount, wanted, keptBy }: { partitionCount: number; wanted: readonly string[]; keptBy: PartitionId },
): void {
  const { tenant, ingestTimeMs, format } = record;
  const facts = { tenant, offset, ingestTimeMs, format };
  if (!record.decodable) {
    const partition = behind(keptBy);
    partition?.refuseFrame(facts, record.verdicts[0] ?? 0, record.bytes);
    partition?.settle(tenant, offset);
    return;
  }
  const columns = readFrame({ format, bytes: record.bytes, tenant, ingestTimeMs, partitionCount, wanted });
  assert(columns.count === record.verdicts.length, "a replayed frame has as many events as verdicts");
  const touched = applyRows(columns, record, facts, behind);
  for (const partition of touched) partition.settle(tenant, offset);
}

function applyRows(
  columns: EventColumns,
  record: FrameRecord,
  facts: Parameters<Partition["apply"]>[0],
  behind: (id: PartitionId) => Partition | undefined,
): Set<Partition> {
  const touched = new Set<Partition>();
  for (let row = 0; row < columns.count; row++) {
    const partition = behind(columns.partitions[row] as PartitionId);
    if (partition === undefined) continue;
    touched.add(partition);
    const verdict = partition.apply(facts, columns, row);
    assert(
      verdict === record.verdicts[row],
      `replay of record ${facts.offset}, event ${row}: ${verdict} is not the journaled verdict`,
    );
  }
  return touched;
}

function replayStart(partitions: Iterable<Partition>): Offset {
  return (Math.min(...[...partitions].map((partition) => partition.appliedOffset)) + 1) as Offset;
}

function definitionsOf(partitions: readonly Partition[]): Map<TenantId, MetricDefinition[]> {
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
