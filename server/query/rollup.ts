/** Answers from stored pane rows: their states are read back and merged, so the result is as exact as the live one. */
import { ByteReader } from "../../protocol/bytes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import type { DimensionValue, MetricDefinition } from "../../protocol/metric-definition.ts";
import { HOUR_MS, type TimeSpan } from "../../protocol/windows.ts";
import { MetricPlan } from "../../actors/metric-plan.ts";
import { floorTo } from "../../actors/pane.ts";
import type { QuestDbHttp } from "../../storage/questdb/http.ts";
import { readPaneRows } from "../../storage/questdb/reads.ts";
import { definitionVersion } from "../../workers/feed-sources.ts";
import type { LiveQuery } from "../../workers/ports.ts";

export interface StatesRow {
  readonly startMs: number;
  readonly dimensions: readonly DimensionValue[];
  readonly states: Uint8Array;
}

/** Hours that have aged (before `minuteFromMs`) come from hour rows, the others from minute rows. */
export async function readRollup(
  http: QuestDbHttp,
  tenant: TenantId,
  definition: MetricDefinition,
  query: LiveQuery,
  span: TimeSpan,
  minuteFromMs: number,
): Promise<StatesRow[]> {
  const seamMs = Math.min(Math.max(minuteFromMs, span.fromMs), span.toMs);
  const version = definitionVersion(JSON.stringify(definition));
  const buckets = new Map<
    string,
    { startMs: number; dimensions: DimensionValue[]; states: ReturnType<MetricPlan["emptyStates"]> }
  >();
  const plan = new MetricPlan(definition);
  const ranges = [
    { pane: "1h", fromMs: floorTo(span.fromMs, HOUR_MS), toMs: seamMs },
    { pane: "1m", fromMs: seamMs, toMs: span.toMs },
  ] as const;
  for (const { pane, fromMs, toMs } of ranges) {
    if (fromMs >= toMs) continue;
    for (const row of await readPaneRows(http, { tenant, metric: definition.name, pane, fromMs, toMs })) {
      if (row.definitionVersion !== version) continue;
      if (!query.filters.every((filter) => filter.values.includes(row.dimensions[filter.dimension] ?? null) !== filter.negate))
        continue;
      const dimensions = query.keep.map((index) => row.dimensions[index] ?? null);
      const startMs = Number.isFinite(query.bucketMs) ? floorTo(row.startMs, query.bucketMs) : query.span.fromMs;
      const key = JSON.stringify([startMs, dimensions]);
      let bucket = buckets.get(key);
      if (bucket === undefined) buckets.set(key, (bucket = { startMs, dimensions, states: plan.emptyStates() }));
      plan.merge(bucket.states, plan.read(new ByteReader(row.sketch)));
    }
  }
  return [...buckets.values()].map(({ startMs, dimensions, states }) => ({ startMs, dimensions, states: plan.encode(states) }));
}
