/**
 * The state of a stopped server's directory as the next start would find it: snapshots and the journals behind them, by the
 * same code. Nothing is written: what a snapshot would write is laid over the stores.
 */
import { AssertionError } from "../protocol/assert.ts";
import type { Offset, PartitionId } from "../protocol/ids.ts";
import { kindOf } from "../protocol/verdicts.ts";
import type { StateEntry, StateReader, StateWrite } from "../actors/effects.ts";
import { MetricPlans } from "../actors/metric-plan.ts";
import { Partition, readPartitionMeta, type PartitionRules } from "../actors/partition.ts";
import { emptyLedger, type LedgerCounts } from "../actors/partition-tenant.ts";
import type { DataDirectory } from "../storage/data-directory.ts";
import { openJournalReader, type JournalReader } from "../storage/lmdb/journal.ts";
import { LmdbStore } from "../storage/lmdb/store.ts";
import { dedupKeyOf } from "./host-options.ts";
import { readFigures, type PartitionFigures } from "./partition-figures.ts";
import { replay } from "./replay.ts";
import { openRecord } from "./sealed-record.ts";

export interface ReplayedDirectory {
  readonly partitions: readonly PartitionFigures[];
  readonly replayedRecords: number;
  /** What the journal says, when it still holds every record from the first on; by tenant. */
  readonly journaled: ReadonlyMap<string, LedgerCounts> | undefined;
  readonly journalError: string | undefined;
  /** The last record of each host's journal. */
  readonly ends: ReadonlyMap<number, number>;
  /** Why the replay did not come to its end: then `partitions` are as of their snapshots. */
  readonly replayError: string | undefined;
}

export async function replayDirectory(directory: DataDirectory): Promise<ReplayedDirectory> {
  const journals = new Map(
    directory.existingHosts().map((host) => [host, openJournalReader(directory.hostPath(host), { readOnly: true })]),
  );
  const stores = Array.from({ length: directory.partitionCount }, (_, id) => ({ id, path: directory.partitionPath(id) }))
    .filter(({ path }) => LmdbStore.exists(path))
    .map(({ id, path }) => ({ id, store: LmdbStore.open(path, { readOnly: true }) }));
  try {
    const ends = new Map([...journals].map(([host, journal]) => [host, journal.ends().last as number]));
    const { members, replayedRecords, replayError } = replayAll(directory, journals, stores);
    const partitions = members.flatMap(({ partition, store }) => {
      const state = replayError === undefined ? new StateAfter(store, partition.snapshot()) : store;
      return readFigures(state, partition.id) ?? [];
    });
    return { partitions, replayedRecords, ...countJournals(journals.values()), ends, replayError };
  } finally {
    await Promise.all([...journals.values(), ...stores.map(({ store }) => store)].map((each) => each.close()));
  }
}

interface Members {
  readonly members: { readonly partition: Partition; readonly store: LmdbStore }[];
  readonly replayedRecords: number;
  readonly replayError: string | undefined;
}

function replayAll(
  { seed, partitionCount }: DataDirectory,
  journals: ReadonlyMap<number, JournalReader>,
  stores: readonly { id: number; store: LmdbStore }[],
): Members {
  const dedupKey = dedupKeyOf(seed);
  const plans = new MetricPlans();
  const members: Members["members"] = [];
  let replayedRecords = 0;
  try {
    for (const { id, store } of stores) {
      const meta = readPartitionMeta(store);
      // A partition is saved before the first event can come to it.
      if (meta === undefined) continue;
      const rules: PartitionRules = { ...meta.rules, dedupKey };
      const partition = new Partition(id as PartitionId, meta.host, rules, plans, store);
      members.push({ partition, store });
      partition.restore();
    }
    for (const [host, journal] of journals) {
      const mine = members.map(({ partition }) => partition).filter((partition) => partition.host === host);
      if (mine.length === 0) continue;
      const from = Math.min(...mine.map((partition) => partition.appliedOffset)) + 1;
      const { last } = journal.ends();
      if (from <= last) {
        const entries = journal.read(from as Offset, undefined, { fleeting: true });
        replayedRecords += replay(entries, new Map(mine.map((each) => [each.id, each])), partitionCount);
      }
      for (const partition of mine) partition.coverUpTo(last);
    }
    return { members, replayedRecords, replayError: undefined };
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    return { members, replayedRecords, replayError: error.message };
  }
}

/** The verdicts of all records; none when some were trimmed, or one cannot be read. */
function countJournals(journals: Iterable<JournalReader>): Pick<ReplayedDirectory, "journaled" | "journalError"> {
  const journaled = new Map<string, LedgerCounts>();
  try {
    for (const journal of journals) {
      if (journal.ends().first !== 1) return { journaled: undefined, journalError: undefined };
      for (const { record } of journal.read(1 as Offset, undefined, { fleeting: true })) countRecord(record, journaled);
    }
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    return { journaled: undefined, journalError: error.message };
  }
  return { journaled, journalError: undefined };
}

function countRecord(record: Uint8Array, byTenant: Map<string, LedgerCounts>): void {
  const decoded = openRecord(record);
  if (decoded.kind !== "frame") return;
  const counts = byTenant.get(decoded.tenant) ?? emptyLedger();
  byTenant.set(decoded.tenant, counts);
  for (const verdict of decoded.verdicts) {
    counts.received++;
    counts[kindOf(verdict)]++;
  }
}

/** A store as it would be after these writes. */
class StateAfter implements StateReader {
  readonly #store: StateReader;
  readonly #writes = new Map<string, Map<string, StateWrite>>();

  constructor(store: StateReader, writes: readonly StateWrite[]) {
    this.#store = store;
    for (const write of writes) {
      let table = this.#writes.get(write.table);
      if (table === undefined) this.#writes.set(write.table, (table = new Map()));
      table.set(JSON.stringify(write.key), write);
    }
  }

  get(table: string, key: readonly (string | number)[]): Uint8Array | undefined {
    const write = this.#writes.get(table)?.get(JSON.stringify(key));
    return write === undefined ? this.#store.get(table, key) : write.value;
  }

  /** Not in order. Ranges are of whole texts at the front of the key: `[tenant]` to `[tenant\0]`. */
  *range(table: string, from: readonly (string | number)[] = [], to?: readonly (string | number)[]): Generator<StateEntry> {
    const writes = this.#writes.get(table);
    for (const entry of this.#store.range(table, from, to)) {
      if (writes?.has(JSON.stringify(entry.key)) !== true) yield entry;
    }
    for (const { key, value } of writes?.values() ?? []) {
      if (value !== undefined && from.every((part, at) => key[at] === part)) yield { key, value };
    }
  }
}
