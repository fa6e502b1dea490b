/**
 * The tables of the warehouse: ours only, never made by a row that names something new. The order of the columns is the
 * order of the cells of a `WarehouseRow`; the first one is the designated timestamp. Operators read these tables in the
 * QuestDB console, so names are whole words and every column says what it holds.
 *
 * Every table has upsert keys: a row that is sent again replaces itself. No TTL by default: a table with one would drop
 * old data as it is loaded.
 */
import { WeirError } from "../../protocol/error-codes.ts";
import type { WarehouseTable } from "../ports.ts";
import type { QuestDbHttp } from "./http.ts";
import { sqlName, sqlText } from "./sql-text.ts";

export type ColumnType = "TIMESTAMP" | "SYMBOL" | "VARCHAR" | "INT" | "LONG" | "DOUBLE" | "BOOLEAN";

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly comment: string;
}

export interface TableDefinition {
  readonly name: WarehouseTable;
  readonly comment: string;
  /** TIMESTAMP cells are epoch milliseconds. */
  readonly columns: readonly Column[];
  readonly partitionBy: "DAY";
  readonly upsertKeys: readonly string[];
  /** As QuestDB writes it, such as `90 DAYS`. */
  readonly ttl?: string;
}

const column = (name: string, type: ColumnType, comment: string): Column => ({ name, type, comment });

const journalColumns = [
  column("host", "INT", "host whose journal holds the event"),
  column("journal_offset", "LONG", "offset of the frame in that journal"),
  column("batch_index", "INT", "position of the event in the frame"),
];

const events: TableDefinition = {
  name: "events",
  comment: "accepted events, one row each",
  columns: [
    column("ts", "TIMESTAMP", "event time, as the producer stated it"),
    column("tenant", "SYMBOL", "tenant that the event belongs to"),
    column("event_id", "VARCHAR", "eventId"),
    column("session_id", "VARCHAR", "sessionId"),
    column("user_id", "VARCHAR", "userId, null when the event had none"),
    column("event_type", "SYMBOL", "eventType"),
    column("event_category", "SYMBOL", "eventCategory"),
    column("source", "SYMBOL", "source"),
    column("version", "SYMBOL", "version"),
    column("environment", "SYMBOL", "environment"),
    column("device_type", "SYMBOL", "context.deviceType"),
    column("platform", "SYMBOL", "context.platform"),
    column("country", "SYMBOL", "context.location.country, when it is a text"),
    column("region", "SYMBOL", "context.location.region, when it is a text"),
    column("user_agent", "VARCHAR", "context.userAgent"),
    column("ip_address", "VARCHAR", "context.ipAddress"),
    column("referrer", "VARCHAR", "context.referrer, when it is a text"),
    column("properties", "VARCHAR", "properties, as JSON"),
    column("context", "VARCHAR", "the whole context, as JSON"),
    column("extra", "VARCHAR", "fields that Weir does not know, as JSON; null when there are none"),
    column("hour", "INT", "hour of the event time, UTC"),
    column("day_of_week", "INT", "day of the event time, UTC, 0 = Sunday"),
    column("ingest_ts", "TIMESTAMP", "when Weir received the event"),
    column("partition", "INT", "partition of the event's session"),
    ...journalColumns,
  ],
  partitionBy: "DAY",
  upsertKeys: ["ts", "tenant", "event_id"],
};

const metricPanes: TableDefinition = {
  name: "metric_panes",
  comment: "metrics by tumbling panes and series; a late event corrects its row",
  columns: [
    column("ts", "TIMESTAMP", "start of the pane, UTC"),
    column("tenant", "SYMBOL", "tenant that the metric belongs to"),
    column("metric", "SYMBOL", "name of the metric"),
    column("pane", "SYMBOL", "length of the pane: 1m or 1h"),
    column("series", "VARCHAR", "values of the dimensions as a JSON list"),
    column("d1", "SYMBOL", "value of the first dimension"),
    column("d2", "SYMBOL", "value of the second dimension"),
    column("d3", "SYMBOL", "value of the third dimension"),
    column("d4", "SYMBOL", "value of the fourth dimension"),
    column("count", "LONG", "events"),
    column("rate", "DOUBLE", "events per second"),
    column("sum", "DOUBLE", "sum of the value field"),
    column("min", "DOUBLE", "least value"),
    column("max", "DOUBLE", "greatest value"),
    column("mean", "DOUBLE", "mean value"),
    column("distinct_count", "LONG", "distinct values; an estimate when there are many"),
    column("p50", "DOUBLE", "median, nearest rank on the sketch"),
    column("p75", "DOUBLE", "75th percentile"),
    column("p90", "DOUBLE", "90th percentile"),
    column("p95", "DOUBLE", "95th percentile"),
    column("p99", "DOUBLE", "99th percentile"),
    column("top_k", "VARCHAR", "most frequent values as a JSON list of {key, count, error}"),
    column("sketch", "VARCHAR", "states of the aggregates, base64: what makes rows mergeable exactly"),
    column("definition", "INT", "version of the metric definition"),
    column("updated_ts", "TIMESTAMP", "when the row was last written"),
  ],
  partitionBy: "DAY",
  upsertKeys: ["ts", "tenant", "metric", "pane", "series"],
};

const sessions: TableDefinition = {
  name: "sessions",
  comment: "visits: the stretches of a session without a gap of 30 minutes",
  columns: [
    column("ts", "TIMESTAMP", "first event"),
    column("tenant", "SYMBOL", "tenant that the session belongs to"),
    column("session_id", "VARCHAR", "sessionId"),
    column("user_id", "VARCHAR", "userId, null when no event had one"),
    column("state", "SYMBOL", "open, closed, or superseded when a late event moved the start or joined two visits"),
    column("end_ts", "TIMESTAMP", "last event"),
    column("duration_ms", "LONG", "last minus first event time"),
    column("events", "LONG", "events of the visit"),
    column("event_types", "VARCHAR", "events by type, as JSON"),
    column("updated_ts", "TIMESTAMP", "when the row was last written"),
  ],
  partitionBy: "DAY",
  upsertKeys: ["ts", "tenant", "session_id"],
};

const deadLetters: TableDefinition = {
  name: "dead_letters",
  comment: "events that were not accepted, with the reason",
  columns: [
    column("ts", "TIMESTAMP", "when Weir received the event"),
    column("tenant", "SYMBOL", "tenant that the event belongs to"),
    ...journalColumns,
    column("code", "SYMBOL", "reason, a code of docs/errors.md"),
    column("path", "VARCHAR", "part of the event that is wrong"),
    column("event_id", "VARCHAR", "eventId, empty when there was no usable one"),
    column("raw", "VARCHAR", "the event as it came, as JSON, cut at 64 KiB"),
  ],
  partitionBy: "DAY",
  upsertKeys: ["ts", "tenant", "host", "journal_offset", "batch_index"],
};

export const tables = { events, metric_panes: metricPanes, sessions, dead_letters: deadLetters } as const satisfies Record<
  WarehouseTable,
  TableDefinition
>;

export function createTableSql(table: TableDefinition): string {
  const columns = table.columns.map((each) => `  ${sqlName(each.name)} ${each.type}`).join(",\n");
  const ttl = table.ttl === undefined ? "" : ` TTL ${table.ttl}`;
  const keys = table.upsertKeys.map(sqlName).join(", ");
  return (
    `CREATE TABLE IF NOT EXISTS ${sqlName(table.name)} (\n${columns}\n)` +
    ` TIMESTAMP(${sqlName(table.columns[0]?.name ?? "")}) PARTITION BY ${table.partitionBy}${ttl} WAL DEDUP UPSERT KEYS(${keys})`
  );
}

/**
 * Makes what is missing: tables, columns, upsert keys. Can be called any number of times.
 * A table that exists with another type, partitioning or designated timestamp is refused with WEIR_CONFIG_INVALID:
 * converting an operator's table is not ours to do.
 */
export async function createTables(
  http: QuestDbHttp,
  signal?: AbortSignal,
  definitions: readonly TableDefinition[] = Object.values(tables),
): Promise<void> {
  for (const table of definitions) {
    await http.exec(createTableSql(table), signal);
    await completeTable(http, table, signal);
  }
}

async function completeTable(http: QuestDbHttp, table: TableDefinition, signal: AbortSignal | undefined): Promise<void> {
  const kind = await http.exec(
    `SELECT designatedTimestamp, partitionBy, walEnabled, dedup FROM tables() WHERE table_name = ${sqlText(table.name)}`,
    signal,
  );
  const [designated, partitionBy, wal, dedup] = kind.rows[0] ?? [];
  if (designated !== table.columns[0]?.name || partitionBy !== table.partitionBy || wal !== true) {
    refuse(table, `it must be a WAL table with timestamp ${String(table.columns[0]?.name)}, partitioned by ${table.partitionBy}`);
  }
  const present = await http.exec(`SELECT "column", type, upsertKey FROM table_columns(${sqlText(table.name)})`, signal);
  const byName = new Map(present.rows.map(([name, type, upsertKey]) => [name, { type, upsertKey }]));
  for (const each of table.columns) {
    const found = byName.get(each.name);
    if (found === undefined) {
      if (table.upsertKeys.includes(each.name)) refuse(table, `the key column ${each.name} is missing`);
      // The list above may lag behind a column that was just added: a WAL table takes it later than the answer says.
      await http.exec(`ALTER TABLE ${sqlName(table.name)} ADD COLUMN IF NOT EXISTS ${sqlName(each.name)} ${each.type}`, signal);
    } else if (found.type !== each.type) {
      refuse(table, `column ${each.name} is ${String(found.type)} where ${each.type} is needed`);
    }
  }
  const keysAreSet =
    dedup === true &&
    table.columns.every((each) => {
      return (byName.get(each.name)?.upsertKey === true) === table.upsertKeys.includes(each.name);
    });
  if (!keysAreSet) {
    const keys = table.upsertKeys.map(sqlName).join(", ");
    await http.exec(`ALTER TABLE ${sqlName(table.name)} DEDUP ENABLE UPSERT KEYS(${keys})`, signal);
  }
}

function refuse(table: TableDefinition, reason: string): never {
  throw new WeirError("WEIR_CONFIG_INVALID", `The QuestDB table ${table.name} does not fit: ${reason}.`, { path: table.name });
}
