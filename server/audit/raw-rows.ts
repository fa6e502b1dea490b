/** The rows of one tenant that can be held against partitions' figures: up to their cuts, and from where none has expired. */
import type { TenantId } from "../../protocol/ids.ts";
import type { QuestDbHttp } from "../../storage/questdb/http.ts";
import { countRawRows, readTtl, type RawRows } from "../../storage/questdb/raw-counts.ts";
import type { PartitionFigures } from "../../workers/partition-figures.ts";
import { rowsComparableFrom } from "./checks.ts";

export async function readRawRows(
  http: QuestDbHttp,
  tenant: TenantId,
  partitions: readonly PartitionFigures[],
): Promise<RawRows> {
  const { ttl, keptFromMs } = await readTtl(http);
  const recentFromMs = rowsComparableFrom(partitions, tenant, keptFromMs);
  return { ttl, recentFromMs, byPartition: await countRawRows(http, tenant, partitions, recentFromMs) };
}
