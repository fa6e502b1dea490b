/** Raw events read back from the warehouse, in the shape in which they came: for exports and audits. */
import type { TenantId } from "../../protocol/ids.ts";
import type { TimeSpan } from "../../protocol/windows.ts";
import type { QuestDbHttp, SqlCell } from "./http.ts";
import { spanSql } from "./reads.ts";

const PAGE_ROWS = 5_000;

/** Accepted events of a span by event time, page by page. */
export async function* readRawEvents(
  http: QuestDbHttp,
  tenant: TenantId,
  span: TimeSpan,
  signal?: AbortSignal,
): AsyncGenerator<readonly Record<string, unknown>[]> {
  for (let start = 0; ; start += PAGE_ROWS) {
    const { rows } = await http.exec(
      "SELECT ts::long, event_id, session_id, user_id, event_type, event_category, source, version, environment, properties, " +
        `context, extra FROM events WHERE ${spanSql(tenant, span)} ORDER BY ts, event_id LIMIT ${start}, ${start + PAGE_ROWS}`,
      signal,
    );
    if (rows.length > 0) yield rows.map(eventOf);
    if (rows.length < PAGE_ROWS) return;
  }
}

function eventOf(cells: readonly SqlCell[]): Record<string, unknown> {
  const [ts, eventId, sessionId, userId, eventType, eventCategory, source, version, environment, properties, context, extra] =
    cells;
  return {
    eventId,
    ...(userId === null ? {} : { userId }),
    sessionId,
    eventType,
    eventCategory,
    timestamp: new Date(Number(ts) / 1_000).toISOString(),
    properties: JSON.parse(String(properties)) as unknown,
    context: JSON.parse(String(context)) as unknown,
    source,
    version,
    environment,
    ...(typeof extra === "string" ? (JSON.parse(extra) as object) : {}),
  };
}
