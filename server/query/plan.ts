/**
 * What a query asks for, resolved against the tenant's metrics, and where its answer comes from.
 *
 *        keepFrom                minuteFrom            fineFrom        watermark
 *   ------|---- 1 h panes --------|----- 1 min panes -----|-- 10 s panes --|
 *   rollup (stored hours) | live panes, as fine as they still are
 *   raw: recounts events; always exact, always as fine as asked
 *
 * Stored minutes are not used for hours that have aged: a late event corrects the hour only.
 */
import { WeirError } from "../../protocol/error-codes.ts";
import type { MetricDefinition } from "../../protocol/metric-definition.ts";
import { HOUR_MS, MINUTE_MS, DAY_MS, SECOND_MS, type TimeSpan } from "../../protocol/windows.ts";
import { floorTo, type PaneLadder } from "../../actors/pane.ts";
import type { LiveFilter, LiveQuery } from "../../workers/ports.ts";
import type { QueryRequest } from "../api/query.ts";

/** One metric of a query and which of its outputs are asked for. */
export interface AskedMetric {
  readonly definition: MetricDefinition;
  readonly live: LiveQuery;
  /** Row names as the client wrote them, with the output each stands for. */
  readonly outputs: readonly { readonly label: string; readonly output: string }[];
}

export type Source = "live" | "rollup" | "raw";

/** Spans of one query, in time order, each from one source. */
export interface SourcePart {
  readonly source: Source;
  readonly span: TimeSpan;
}

export const granularityMs = {
  "10s": 10 * SECOND_MS,
  "1m": MINUTE_MS,
  "1h": HOUR_MS,
  "1d": DAY_MS,
  all: Number.POSITIVE_INFINITY,
} as const satisfies Record<QueryRequest["granularity"], number>;

/** Finds metrics, outputs, dimensions and filters; every refusal names the path of what is wrong. */
export function resolveMetrics(
  request: QueryRequest,
  find: (name: string) => MetricDefinition | undefined,
  outputsOf: (definition: MetricDefinition) => readonly string[],
): Omit<AskedMetric, "live">[] {
  const asked = new Map<string, { definition: MetricDefinition; outputs: { label: string; output: string }[] }>();
  request.metrics.forEach((label, index) => {
    const [name = "", output] = label.split(".");
    const definition = find(name);
    if (definition === undefined) throw new WeirError("WEIR_METRIC_UNKNOWN", name, { path: `metrics[${index}]` });
    const outputs = outputsOf(definition);
    if (output !== undefined && !outputs.includes(output)) {
      throw new WeirError("WEIR_QUERY_AGGREGATE_UNKNOWN", `It has ${outputs.join(", ")}.`, { path: `metrics[${index}]` });
    }
    const entry = asked.get(name) ?? { definition, outputs: [] };
    entry.outputs.push({ label, output: output ?? outputs[0] ?? "" });
    asked.set(name, entry);
  });
  return [...asked.values()];
}

export function dimensionIndex(definition: MetricDefinition, name: string, path: string): number {
  const index = definition.dimensions.findIndex((dimension) => dimension.name === name || dimension.field === name);
  if (index >= 0) return index;
  const known = definition.dimensions.map((dimension) => dimension.name).join(", ");
  throw new WeirError("WEIR_QUERY_DIMENSION_UNKNOWN", `${definition.name} has ${known === "" ? "none" : known}.`, { path });
}

export function liveQuery(definition: MetricDefinition, request: QueryRequest, span: TimeSpan): LiveQuery {
  const filters = request.filters.map(({ dimension, op, values }, index): LiveFilter => {
    return { dimension: dimensionIndex(definition, dimension, `filters[${index}].dimension`), negate: op === "ne", values };
  });
  const keep = request.dimensions.map((name, index) => dimensionIndex(definition, name, `dimensions[${index}]`));
  return { metric: definition.name, span, bucketMs: granularityMs[request.granularity], keep, filters };
}

/** The span in whole panes: its ends are moved outwards to where panes of that age begin and end. */
export function widen(span: TimeSpan, ladder: PaneLadder, atLeastMs: number): TimeSpan {
  const fromSize = Math.max(ladder.sizeAt(span.fromMs), atLeastMs);
  const toSize = Math.max(ladder.sizeAt(span.toMs - 1), atLeastMs);
  return { fromMs: floorTo(span.fromMs, fromSize), toMs: Math.ceil(span.toMs / toSize) * toSize };
}

/** Where the parts of the answer come from. `warehouse`: whether there is one to ask. */
export function chooseSources(request: QueryRequest, span: TimeSpan, ladder: PaneLadder, warehouse: boolean): SourcePart[] {
  const bucketMs = granularityMs[request.granularity];
  switch (request.source) {
    case "raw":
      return [{ source: "raw", span }];
    case "rollup":
      if (bucketMs < MINUTE_MS) throw unavailable("Stored rows are of minutes and hours.");
      if (bucketMs < HOUR_MS && span.fromMs < ladder.minuteFromMs) throw unavailable("Stored rows of that age are of hours.");
      return [{ source: "rollup", span: widen(span, ladder, MINUTE_MS) }];
    case "live":
      if (bucketMs < ladder.sizeAt(Math.max(span.fromMs, ladder.keepFromMs)))
        throw unavailable("Live panes of that age are longer.");
      return [{ source: "live", span: widen(span, ladder, 0) }];
    case "auto":
      return chooseFor(bucketMs, span, ladder, warehouse);
  }
}

function chooseFor(bucketMs: number, span: TimeSpan, ladder: PaneLadder, warehouse: boolean): SourcePart[] {
  const tooFine = bucketMs < ladder.sizeAt(span.fromMs);
  // Without a warehouse, what live panes hold is all there is: it is the whole answer unless the past has been dropped.
  if (!tooFine && (span.fromMs >= ladder.keepFromMs || !warehouse)) return [{ source: "live", span: widen(span, ladder, 0) }];
  if (!warehouse) throw new WeirError("WEIR_WAREHOUSE_UNAVAILABLE", "Live panes of that age are longer than the granularity.");
  if (tooFine) return [{ source: "raw", span }];
  const stored = {
    fromMs: floorTo(span.fromMs, HOUR_MS),
    toMs: Math.min(Math.ceil(span.toMs / HOUR_MS) * HOUR_MS, ladder.keepFromMs),
  };
  const parts: SourcePart[] = [{ source: "rollup", span: stored }];
  if (span.toMs > ladder.keepFromMs)
    parts.push({ source: "live", span: widen({ fromMs: ladder.keepFromMs, toMs: span.toMs }, ladder, 0) });
  return parts;
}

function unavailable(why: string): WeirError {
  return new WeirError("WEIR_QUERY_RANGE_UNAVAILABLE", why, { path: "granularity" });
}
