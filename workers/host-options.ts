/** What a host is told at its start; plain data, so that it can cross to a thread. */
import type { DedupKey } from "../actors/deduplicate.ts";
import type { PartitionRules } from "../actors/partition.ts";
import type { FrameMark, RecordMark } from "./poison.ts";

export interface HostOptions {
  readonly host: number;
  readonly hosts: number;
  readonly partitionCount: number;
  /** Folders of all journals by host, of this host's partitions by id, and of the metric store. */
  readonly journalPaths: readonly string[];
  readonly partitionPaths: readonly { readonly id: number; readonly path: string }[];
  readonly metricsPath: string;
  readonly rules: PartitionRules;
  readonly epoch: string;
  readonly partialEveryMs: number;
  readonly snapshotEveryMs: number;
  /** Records younger than this stay in the journal, whatever has been snapshotted and stored. */
  readonly journalRetentionMs: number;
  /** Set when the host failed before: what is known of why. */
  readonly again?: HostAgain;
}

export interface HostAgain {
  /** Frames to be refused, and records to be left out of the replay. */
  readonly poison: readonly FrameMark[];
  readonly skip: readonly RecordMark[];
}

/** The secret of deduplication, from the seed of the data directory. It never changes, or remembered ids would mean nothing. */
export function dedupKeyOf(seed: Uint8Array): DedupKey {
  const words = new DataView(seed.buffer, seed.byteOffset);
  return { low: words.getUint32(0, true), high: words.getUint32(4, true) };
}

/** Which host a partition, and a metric actor, lives on. */
export function hostOfPartition(partition: number, hosts: number): number {
  return partition % hosts;
}
