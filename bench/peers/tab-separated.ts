/** Events as lines of tab-separated values, one for each leaf field: what COPY of PostgreSQL and TSV of ClickHouse read. */
import type { WorkloadEvent } from "../workload.ts";

/** The order of the values in a line. */
export const columnNames = [
  "event_id",
  "user_id",
  "session_id",
  "event_type",
  "event_category",
  "ts",
  "path",
  "value",
  "duration_ms",
  "user_agent",
  "ip_address",
  "device_type",
  "platform",
  "country",
  "region",
  "referrer",
  "source",
  "version",
  "environment",
] as const;

export type EventColumn = (typeof columnNames)[number];

export function columnsOf(event: WorkloadEvent): Record<EventColumn, string | number> {
  const { properties, context } = event;
  return {
    event_id: event.eventId,
    user_id: event.userId,
    session_id: event.sessionId,
    event_type: event.eventType,
    event_category: event.eventCategory,
    ts: event.timestamp,
    path: properties.path,
    value: properties.value,
    duration_ms: properties.durationMs,
    user_agent: context.userAgent,
    ip_address: context.ipAddress,
    device_type: context.deviceType,
    platform: context.platform,
    country: context.location.country,
    region: context.location.region,
    referrer: context.referrer,
    source: event.source,
    version: event.version,
    environment: event.environment,
  };
}

export function encodeTabSeparated(events: readonly WorkloadEvent[]): Buffer {
  const lines = events.map((event) => {
    const values = columnsOf(event);
    return `${columnNames.map((name) => (name === "ts" ? timeText(event.timestamp) : escaped(values[name]))).join("\t")}\n`;
  });
  return Buffer.from(lines.join(""));
}

/** UTC without a zone: both read it so when their zone is UTC. */
function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, -1).replace("T", " ");
}

function escaped(value: string | number): string {
  const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
  return String(value).replaceAll(/[\\\t\n\r]/g, (character) => escapes[character] ?? character);
}
