/** Events for tests of actors, as columns made straight from values: no bytes and no reader in between. */
import type { EventColumns } from "../../protocol/event-columns.ts";
import { FieldColumn, NUMBER, UNKNOWN } from "../../protocol/field-column.ts";
import type { FieldValue } from "../../protocol/field-path.ts";
import { nonZeroHash64 } from "../../protocol/hash64.ts";
import { metricDefinition, type MetricDefinition } from "../../protocol/metric-definition.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { TextColumn } from "../../protocol/text-column.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import type { PartitionRules } from "../../actors/partition.ts";

export interface TestEvent {
  readonly eventId: string;
  readonly sessionId: string;
  readonly userId?: string | undefined;
  readonly eventType: string;
  readonly timeMs: number;
  readonly country?: string | null | undefined;
  readonly value?: number | undefined;
  /** What the reader refused it with. */
  readonly verdict?: number;
}

export const TENANT = "acme";
/** A whole hour, so that tests can name panes. */
export const BASE_MS = Date.UTC(2026, 0, 15, 12);

export const rules: PartitionRules = {
  gapMs: 30 * MINUTE_MS,
  allowedLatenessMs: 30 * DAY_MS,
  dedupKey: { low: 0x01234567, high: 0x89abcdef },
  dedupHorizonMs: DAY_MS,
  paneRetention: { fineMs: HOUR_MS, minuteMs: DAY_MS, allMs: 40 * DAY_MS },
  deadLetterRetentionMs: 90 * DAY_MS,
};

export function event(timeMs: number, rest: Partial<TestEvent> = {}): TestEvent {
  return { eventId: `e-${timeMs}`, sessionId: "s", eventType: "click", ...rest, timeMs };
}

export function columnsOf(events: readonly TestEvent[], partitionCount = 1, tenant = TENANT): EventColumns {
  return {
    count: events.length,
    verdicts: Uint8Array.from(events, ({ verdict = 0 }) => verdict),
    wrongPaths: new Map(events.flatMap(({ verdict }, row) => (verdict === undefined ? [] : [[row, "timestamp"] as const]))),
    eventIds: TextColumn.of(events.map(({ eventId }) => eventId)),
    sessionIds: events.map(({ sessionId }) => sessionId),
    userIds: events.map(({ userId }) => userId),
    eventTypes: events.map(({ eventType }) => eventType),
    eventTimesMs: Float64Array.from(events, ({ timeMs }) => timeMs),
    partitions: Uint16Array.from(events, ({ sessionId }) => partitionOf(tenant, sessionId, partitionCount)),
    events,
    derived: new Map(),
    field: (path) => events.map((each) => fieldOf(each, path)),
    column: (path) => columnOf(events.map((each) => fieldOf(each, path))),
    release: () => undefined,
    raw: (row) => new TextEncoder().encode(JSON.stringify(events[row])),
  };
}

const numbersOfTexts = new Map<string, number>();
const hash = new Uint32Array(2);

/** As the plain reader makes it; every third text is one that it did not keep. */
function columnOf(values: readonly FieldValue[]): FieldColumn {
  const kinds = Int32Array.from(values, (value) => {
    if (typeof value === "number") return NUMBER;
    if (typeof value !== "string" || value === "") return UNKNOWN;
    const number = numbersOfTexts.get(value) ?? numbersOfTexts.size + 1;
    numbersOfTexts.set(value, number);
    return number % 3 === 0 ? UNKNOWN : number;
  });
  const hashes = new Uint32Array(2 * values.length);
  values.forEach((value, row) => {
    if ((kinds[row] ?? 0) <= 0) return;
    nonZeroHash64(String(value), hash);
    hashes.set(hash, 2 * row);
  });
  const numbers = Float64Array.from(values, (value) => (typeof value === "number" ? value : 0));
  const others = values.map((value) => (typeof value === "number" ? undefined : value));
  return new FieldColumn(others, kinds, 0, numbers, 0, hashes);
}

function fieldOf(of: TestEvent, path: string): FieldValue {
  switch (path) {
    case "eventType":
      return of.eventType;
    case "userId":
      return of.userId;
    case "sessionId":
      return of.sessionId;
    case "context.location.country":
      return of.country;
    case "properties.value":
      return of.value;
    default:
      throw new Error(`the fixture has no field ${path}`);
  }
}

export const countByCountry: MetricDefinition = metricDefinition.parse({
  name: "by_country",
  aggregates: ["count"],
  dimensions: ["country"],
});

export const valueByTypeAndCountry: MetricDefinition = metricDefinition.parse({
  name: "values",
  value: "properties.value",
  aggregates: ["count", "rate", "sum", "min", "max", "mean", "quantiles"],
  dimensions: ["eventType", "country"],
});

export const distinctUsers: MetricDefinition = metricDefinition.parse({
  name: "users",
  value: "userId",
  aggregates: ["distinct", "topK"],
});

export const onlyBuys: MetricDefinition = metricDefinition.parse({
  name: "buys",
  filter: { all: [{ field: "eventType", value: "buy" }] },
  value: "properties.value",
  aggregates: ["count", "sum"],
});
