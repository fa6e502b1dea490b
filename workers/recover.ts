/**
 * Recovery: snapshot + journal from its offset = the state before the stop (promises 1, 2, 7). A record whose
 * replay (`replay.ts`) keeps failing is left out (`storage/skipped-records.ts`): what it brought is then missing, and its frame
 * a dead letter.
 *
 * A partition that another host had before (the number of hosts changed) is first brought up to date from that host's journal,
 * then snapshotted as of the end of this one's: from there on its events are in this journal.
 */
import { assert } from "../protocol/assert.ts";
import type { Offset, TenantId } from "../protocol/ids.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import type { Partition, PartitionRules } from "../actors/partition.ts";
import type { Journal, JournalEntry, Store } from "../storage/ports.ts";
import type { RecoveryTimes } from "./recovery-times.ts";
import { definitionsOf, replay, type ReplayOptions, type ReplayProgress } from "./replay.ts";

const NONE: ReadonlySet<number> = new Set();

export interface RecoveryInput {
  readonly host: number;
  readonly partitionCount: number;
  /** As configured now: in force from the end of the replay on. */
  readonly rules: PartitionRules;
  readonly journal: Journal;
  readonly partitions: readonly { readonly partition: Partition; readonly store: Store }[];
  /** All durable records of another host's journal from an offset on; the bytes are fleeting (`JournalReadOptions`). */
  readonly readOther: (host: number, from: Offset) => Iterable<JournalEntry>;
  /** Records of a host's journal that are left out: their replay has failed before. */
  readonly skippedOf?: (host: number) => ReadonlySet<number>;
  /** `record` is set while a record is applied: where a failed replay stood. */
  readonly progress?: ReplayProgress;
  /** Told where the time went, by `elapsed`: milliseconds since some start. */
  readonly times?: RecoveryTimes;
  readonly elapsed?: () => number;
  /** A replay has failed before: one record at a time. */
  readonly careful?: boolean;
}

export interface RecoveryResult {
  readonly replayedRecords: number;
  /** The definitions in force, by tenant. */
  readonly definitions: ReadonlyMap<TenantId, readonly MetricDefinition[]>;
}

export async function recover(input: RecoveryInput): Promise<RecoveryResult> {
  let replayedRecords = 0;
  const inJournal = (host: number): ReplayOptions => {
    const { progress, careful = false, times, elapsed } = input;
    const skipped = input.skippedOf?.(host) ?? NONE;
    return { host, skipped, progress, careful, times, ...(elapsed === undefined ? {} : { elapsed }) };
  };
  const startedMs = input.elapsed?.() ?? 0;
  for (const { partition } of input.partitions) partition.restore();
  if (input.times !== undefined) input.times.restoreMs = (input.elapsed?.() ?? 0) - startedMs;
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
  const entries = input.journal.read(replayStart(byId.values()), { fleeting: true });
  replayedRecords += replay(entries, byId, input.partitionCount, inJournal(input.host));
  for (const partition of byId.values()) partition.coverUpTo(input.journal.appendedOffset);
  await save(input.partitions.filter(({ partition }) => partition.adopt(input.rules)));
  return { replayedRecords, definitions: definitionsOf(input.partitions.map(({ partition }) => partition)) };
}

async function save(members: RecoveryInput["partitions"]): Promise<void> {
  for (const { partition, store } of members) await store.commit(partition.snapshot());
  for (const { partition } of members) partition.committed(partition.appliedOffset);
}

function replayStart(partitions: Iterable<Partition>): Offset {
  return (Math.min(...[...partitions].map((partition) => partition.appliedOffset)) + 1) as Offset;
}
