/** How many rows of a tenant the table `events` holds, by partition: what an audit holds against the ledger. */
import type { TenantId } from "../../protocol/ids.ts";
import { DAY_MS, HOUR_MS } from "../../protocol/windows.ts";
import type { QuestDbHttp } from "./http.ts";
import { sqlNumber, sqlText, sqlTimestamp } from "./sql-text.ts";

export interface RawRows {
  /** As QuestDB writes it, such as `90 DAY`; undefined: rows are kept for ever. */
  readonly ttl: string | undefined;
  /** From here on no row has been dropped. */
  readonly recentFromMs: number;
  readonly byPartition: ReadonlyMap<number, { readonly all: number; readonly recent: number }>;
}

/** Up to which record of its host's journal the rows of a partition count. */
export interface Cut {
  readonly partition: number;
  readonly host: number;
  readonly offset: number;
}

/** The least that each can be. */
const TTL_UNIT_MS: Readonly<Record<string, number>> = {
  HOUR: HOUR_MS,
  DAY: DAY_MS,
  WEEK: 7 * DAY_MS,
  MONTH: 28 * DAY_MS,
  YEAR: 365 * DAY_MS,
};

/**
 * The TTL of `events` and from when on it cannot have dropped a row: whole days go, once all of a day is older than the TTL
 * behind the newest row (or the clock, whichever is earlier).
 */
export async function readTtl(http: QuestDbHttp): Promise<{ ttl: string | undefined; keptFromMs: number }> {
  const { rows } = await http.exec("SELECT ttlValue, ttlUnit FROM tables() WHERE table_name = 'events'");
  const [value, unit] = rows[0] ?? [];
  if (value === undefined || Number(value) === 0) return { ttl: undefined, keptFromMs: -Infinity };
  const newest = await http.exec("SELECT max(ts)::long FROM events");
  const newestMs = Number(newest.rows[0]?.[0] ?? 0) / 1_000;
  const ttlMs = Number(value) * (TTL_UNIT_MS[String(unit)] ?? HOUR_MS);
  return { ttl: `${value} ${unit}`, keptFromMs: Math.ceil((newestMs - ttlMs) / DAY_MS) * DAY_MS };
}

/** Counts in one statement, so that it is one state of the table. Rows of records behind a partition's cut are left out. */
export async function countRawRows(
  http: QuestDbHttp,
  tenant: TenantId,
  cuts: readonly Cut[],
  recentFromMs: number,
): Promise<RawRows["byPartition"]> {
  // A record behind the cut is in the partition's present journal, behind the least cut of that host's partitions: few are.
  const least = new Map<number, number>();
  for (const { host, offset } of cuts) least.set(host, Math.min(least.get(host) ?? Number.POSITIVE_INFINITY, offset));
  const branches = [...least].map(
    ([host, offset]) => `WHEN host = ${sqlNumber(host)} AND journal_offset > ${sqlNumber(offset)} THEN journal_offset`,
  );
  const behind = branches.length === 0 ? "0" : `CASE ${branches.join(" ")} ELSE 0 END`;
  const recent = Number.isFinite(recentFromMs) ? `CASE WHEN ts >= ${sqlTimestamp(recentFromMs)} THEN 1 ELSE 0 END` : "1";
  const { rows } = await http.exec(
    `SELECT "partition", behind, count(), sum(recent) FROM (SELECT "partition", ${behind} AS behind, ${recent} AS recent` +
      ` FROM events WHERE tenant = ${sqlText(tenant)}) GROUP BY "partition", behind`,
  );
  const offsets = new Map(cuts.map(({ partition, offset }) => [partition, offset]));
  const byPartition = new Map<number, { all: number; recent: number }>();
  for (const [partition, offset, count, recentCount] of rows.map((row) => row.map(Number))) {
    if (partition === undefined || (offset ?? 0) > (offsets.get(partition) ?? 0)) continue;
    const sums = byPartition.get(partition) ?? { all: 0, recent: 0 };
    sums.all += count ?? 0;
    sums.recent += recentCount ?? 0;
    byPartition.set(partition, sums);
  }
  return byPartition;
}
