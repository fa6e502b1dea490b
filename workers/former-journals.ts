/**
 * Journals of hosts that no longer run: once nobody needs their records, they are replaced by empty ones, which gives the disk
 * space back. Not removed: the next offset stays, so a receipt, a warehouse position or a row never names another record when
 * that host runs again.
 *
 * Needed by: partitions that the host had last (a start moves them all away), the warehouse, and whoever looks at records
 * younger than the retention. Called at the start, after recovery and before the warehouse writer opens journals.
 */
import type { Offset } from "../protocol/ids.ts";
import { readPartitionMeta } from "../actors/partition.ts";
import { emptyJournal, openJournalReader, journalExists } from "../storage/lmdb/journal.ts";
import { LmdbStore } from "../storage/lmdb/store.ts";
import { openRecord } from "./sealed-record.ts";

export interface FormerJournals {
  /** Of all hosts; those from `hosts` on no longer run. */
  readonly journalPaths: readonly string[];
  readonly partitionPaths: readonly { readonly path: string }[];
  readonly hosts: number;
  /** Up to where the warehouse has a host's records. */
  readonly storedOffset: (host: number) => number;
  /** Records received later than this stay. */
  readonly beforeMs: number;
}

export interface EmptiedJournal {
  readonly host: number;
  readonly records: number;
  readonly bytes: number;
}

export async function emptyFormerJournals(input: FormerJournals): Promise<EmptiedJournal[]> {
  const { journalPaths, hosts } = input;
  const candidates = journalPaths.flatMap((path, host) => (host >= hosts && journalExists(path) ? [{ host, path }] : []));
  if (candidates.length === 0) return [];
  const inUse = await hostsOfPartitions(input.partitionPaths);
  const emptied: EmptiedJournal[] = [];
  for (const { host, path } of candidates) {
    const records = inUse.has(host) ? 0 : await recordsToForget(path, input.storedOffset(host), input.beforeMs);
    if (records > 0) emptied.push({ host, records, bytes: await emptyJournal(path) });
  }
  return emptied;
}

async function hostsOfPartitions(paths: FormerJournals["partitionPaths"]): Promise<Set<number>> {
  const hosts = new Set<number>();
  for (const { path } of paths) {
    const store = LmdbStore.open(path, { fresh: true });
    const meta = readPartitionMeta(store);
    if (meta !== undefined) hosts.add(meta.host);
    await store.close();
  }
  return hosts;
}

/** All of them or none. */
async function recordsToForget(path: string, storedOffset: number, beforeMs: number): Promise<number> {
  const reader = openJournalReader(path);
  try {
    const { first, last } = reader.ends();
    if (last < first || storedOffset < last) return 0;
    const [entry] = reader.read(last as Offset);
    return entry !== undefined && openRecord(entry.record).ingestTimeMs < beforeMs ? last - first + 1 : 0;
  } finally {
    await reader.close();
  }
}
