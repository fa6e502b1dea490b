/** Job: reads the figures of partitions from their stores, beside the hosts that write them. Each partition is one cut. */
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { readFigures, type PartitionFigures } from "../partition-figures.ts";

export interface FiguresTask {
  readonly tenant: string;
  readonly partitions: readonly { readonly id: number; readonly path: string }[];
}

export default async function readPartitionFigures({ tenant, partitions }: FiguresTask): Promise<PartitionFigures[]> {
  const figures: PartitionFigures[] = [];
  for (const { id, path } of partitions) {
    // Not `fresh`: all reads of one partition happen in this turn of the event loop, and so in one transaction.
    const store = LmdbStore.open(path);
    try {
      figures.push(...[readFigures(store, id, tenant) ?? []].flat());
    } finally {
      await store.close();
    }
  }
  return figures;
}
