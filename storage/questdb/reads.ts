/** What the server reads back from its own tables. Every statement names the tenant. */
import { setTimeout as sleep } from "node:timers/promises";
import { WeirError } from "../../protocol/error-codes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { DimensionValue } from "../../protocol/metric-definition.ts";
import type { TimeSpan } from "../../protocol/windows.ts";
import type { WarehouseTable } from "../ports.ts";
import type { QuestDbHttp, SqlCell } from "./http.ts";
import type { PaneLabel } from "./rows.ts";
import { sqlName, sqlText, sqlTimestamp } from "./sql-text.ts";
import { tables } from "./tables.ts";

const APPLIED_POLL_MS = 20;

export interface StoredPane {
  readonly startMs: number;
  readonly dimensions: readonly DimensionValue[];
  /** States of the aggregates, as they were given to `paneRow`. */
  readonly sketch: Uint8Array;
  readonly definitionVersion: number;
  readonly updatedMs: number;
}

export interface PaneQuery extends TimeSpan {
  readonly tenant: TenantId;
  readonly metric: string;
  readonly pane: PaneLabel;
  readonly signal?: AbortSignal;
}

/** Rows of one metric by pane start, then series. More than `queryPanesMax` are refused with WEIR_QUERY_TOO_LARGE. */
export async function readPaneRows(http: QuestDbHttp, query: PaneQuery): Promise<StoredPane[]> {
  const { rows } = await http.exec(
    `SELECT ts::long, series, sketch, definition, updated_ts::long FROM metric_panes WHERE ${spanSql(query.tenant, query)}` +
      ` AND metric = ${sqlText(query.metric)} AND pane = ${sqlText(query.pane)}` +
      ` ORDER BY ts, series LIMIT ${limits.queryPanesMax + 1}`,
    query.signal,
  );
  if (rows.length > limits.queryPanesMax) throw new WeirError("WEIR_QUERY_TOO_LARGE", `${query.metric} by ${query.pane}`);
  return rows.map(([ts, series, sketch, definition, updated]) => ({
    startMs: Number(ts) / 1_000,
    dimensions: JSON.parse(String(series)) as DimensionValue[],
    sketch: new Uint8Array(Buffer.from(String(sketch), "base64")),
    definitionVersion: Number(definition),
    updatedMs: Number(updated) / 1_000,
  }));
}

/** Rows of a tenant in a span of the table's own timestamp (for dead letters: the time of receipt). */
export async function countRows(
  http: QuestDbHttp,
  table: WarehouseTable,
  tenant: TenantId,
  span?: TimeSpan,
  signal?: AbortSignal,
): Promise<number> {
  const where = span === undefined ? `tenant = ${sqlText(tenant)}` : spanSql(tenant, span);
  const { rows } = await http.exec(`SELECT count() FROM ${sqlName(table)} WHERE ${where}`, signal);
  return Number(rows[0]?.[0]);
}

/** The condition that every statement on a tenant's rows begins with. */
export function spanSql(tenant: TenantId, { fromMs, toMs }: TimeSpan): string {
  return `tenant = ${sqlText(tenant)} AND ts >= ${sqlTimestamp(fromMs)} AND ts < ${sqlTimestamp(toMs)}`;
}

export interface TableHealth {
  readonly table: WarehouseTable;
  /** QuestDB takes rows and does not apply them: an operator must look, then `ALTER TABLE ... RESUME WAL`. */
  readonly suspended: boolean;
  /** Transactions that are taken and not yet applied. */
  readonly lagTransactions: number;
  readonly error: string | undefined;
}

/** One entry for each of our tables that exists. */
export async function warehouseHealth(http: Pick<QuestDbHttp, "exec">, signal?: AbortSignal): Promise<TableHealth[]> {
  return (await walStates(http, signal)).map(({ table, suspended, applied, taken, error }) => ({
    table,
    suspended,
    lagTransactions: taken - applied,
    error,
  }));
}

/**
 * Resolves when every row that was acknowledged before the call can be read. Rejects with WEIR_WAREHOUSE_UNAVAILABLE when
 * the table is suspended or missing.
 */
export async function waitForApplied(http: QuestDbHttp, table: WarehouseTable, signal: AbortSignal): Promise<void> {
  let target: number | undefined;
  for (;;) {
    const state = (await walStates(http, signal)).find((each) => each.table === table);
    if (state === undefined) throw new WeirError("WEIR_WAREHOUSE_UNAVAILABLE", `There is no table ${table}.`);
    if (state.suspended) throw new WeirError("WEIR_WAREHOUSE_UNAVAILABLE", `Table ${table} is suspended. ${state.error ?? ""}`);
    // Rows that keep coming in must not keep us here: what was taken by now is what we wait for.
    target ??= state.taken;
    if (state.applied >= target) return;
    await sleep(APPLIED_POLL_MS, undefined, { signal });
  }
}

interface WalState {
  readonly table: WarehouseTable;
  readonly suspended: boolean;
  readonly applied: number;
  readonly taken: number;
  readonly error: string | undefined;
}

async function walStates(http: Pick<QuestDbHttp, "exec">, signal: AbortSignal | undefined): Promise<WalState[]> {
  const { rows } = await http.exec("SELECT name, suspended, writerTxn, sequencerTxn, errorMessage FROM wal_tables()", signal);
  return rows.flatMap(([name, suspended, applied, taken, error]) => {
    if (!isOurTable(name)) return [];
    const text = error === null || error === undefined || error === "" ? undefined : String(error);
    return [{ table: name, suspended: suspended === true, applied: Number(applied), taken: Number(taken), error: text }];
  });
}

function isOurTable(name: SqlCell | undefined): name is WarehouseTable {
  return typeof name === "string" && Object.hasOwn(tables, name);
}
