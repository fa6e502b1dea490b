/** What a host is told at its start; plain data, so that it can cross to a thread. */
import type { PartitionRules } from "../actors/partition.ts";

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
}

/** Which host a partition, and a metric actor, lives on. */
export function hostOfPartition(partition: number, hosts: number): number {
  return partition % hosts;
}
