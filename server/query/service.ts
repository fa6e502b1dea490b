/**
 * Answers queries: resolves them, asks live panes, stored panes or raw events, joins the parts by time and dimensions.
 * Live answers contain every event that was acknowledged before the query came.
 */
import { randomUUID } from "node:crypto";
import { ByteReader } from "../../protocol/bytes.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { DimensionValue, MetricDefinition } from "../../protocol/metric-definition.ts";
import { windowSpan, type TimeSpan, type WindowName } from "../../protocol/windows.ts";
import { aggregates, outputsOf } from "../../actors/aggregates/registry.ts";
import { MetricPlan } from "../../actors/metric-plan.ts";
import { PaneLadder, type PaneRetention } from "../../actors/pane.ts";
import type { QuestDbHttp } from "../../storage/questdb/http.ts";
import { recount } from "../../storage/questdb/recount.ts";
import { eventClock } from "../../workers/metric-host.ts";
import type { LiveData, TenantClock } from "../../workers/ports.ts";
import type { QueryRequest } from "../api/query.ts";
import type { Control, QueryResponse, QueryService, RealtimeResponse } from "../services.ts";
import { chooseSources, granularityMs, liveQuery, resolveMetrics, type AskedMetric, type SourcePart } from "./plan.ts";
import { readRollup } from "./rollup.ts";

export interface QueryServiceOptions {
  readonly control: Pick<Control, "metric">;
  readonly live: Pick<LiveData, "query" | "clock">;
  readonly retention: PaneRetention;
  /** The warehouse as it is now; undefined when there is none to ask. `lagMs`: how old the newest of its rows may be. */
  readonly warehouse: () => { readonly http: QuestDbHttp; readonly lagMs: number } | undefined;
  readonly now: () => number;
}

/** Values of one metric in one bucket for one combination of dimensions. */
interface ValueRow {
  readonly startMs: number;
  readonly dimensions: readonly DimensionValue[];
  readonly values: Readonly<Record<string, unknown>>;
}

export class Queries implements QueryService {
  readonly #options: QueryServiceOptions;

  constructor(options: QueryServiceOptions) {
    this.#options = options;
  }

  async query(tenant: TenantId, request: QueryRequest, nowMs: number): Promise<QueryResponse> {
    const started = performance.now();
    const clock = await this.#options.live.clock(tenant);
    const span = spanOf(request, clock, nowMs);
    const ladder = new PaneLadder(this.#options.retention);
    if (Number.isFinite(clock.watermarkMs)) ladder.advance(clock.watermarkMs);
    const found = resolveMetrics(
      request,
      (name) => this.#options.control.metric(tenant, name),
      (definition) => outputsOf(definition.aggregates),
    );
    const parts = chooseSources(request, span, ladder, this.#options.warehouse() !== undefined);
    const asked = found.map((each) => ({
      ...each,
      live: liveQuery(each.definition, request, { fromMs: parts[0]?.span.fromMs ?? 0, toMs: span.toMs }),
    }));
    const perMetric = await Promise.all(asked.map((each) => this.#ask(tenant, each, parts, ladder.minuteFromMs)));
    const { rows, truncated } = joinRows(request, asked, perMetric);
    const sources = new Set(parts.map(({ source }) => source));
    return {
      data: rows,
      metadata: {
        totalRows: rows.length,
        executionTime: Math.round((performance.now() - started) * 1000) / 1000,
        dataFreshness: this.#freshness(clock, sources, nowMs),
        queryId: randomUUID(),
        dataSource: sources.size === 2 ? "live+rollup" : (parts[0]?.source ?? "live"),
        cacheHit: false,
        queryComplexity: complexityOf(request, span),
        bounds: Object.assign({}, ...asked.map(({ definition }) => boundsOf(definition))) as Record<string, unknown>,
        truncated,
      },
    };
  }

  async realtime(tenant: TenantId, names: readonly string[], window: WindowName): Promise<RealtimeResponse> {
    const nowMs = this.#options.now();
    const clock = await this.#options.live.clock(tenant);
    const span = windowSpan(window, eventClock(clock, nowMs));
    const known = names.flatMap((label) => {
      const [name = "", output] = label.split(".");
      const definition = this.#options.control.metric(tenant, name);
      const outputs = definition === undefined ? [] : outputsOf(definition.aggregates);
      const chosen = output ?? outputs[0];
      return definition === undefined || chosen === undefined || !outputs.includes(chosen)
        ? []
        : [{ label, definition, output: chosen }];
    });
    const answers = await this.#options.live.query(
      tenant,
      known.map(({ definition }) => ({
        metric: definition.name,
        span,
        bucketMs: Number.POSITIVE_INFINITY,
        keep: [],
        filters: [],
      })),
    );
    const metrics = known.map(({ label, definition, output }, index) => {
      const plan = new MetricPlan(definition);
      const states = answers[index]?.rows[0]?.states;
      const values = valuesOf(plan, states ?? plan.encode(plan.emptyStates()), span.toMs - span.fromMs);
      return { name: label, value: values[output] ?? null, timestamp: Math.min(span.toMs, eventClock(clock, nowMs)) };
    });
    const labels = new Set(known.map(({ label }) => label));
    return { metrics, unknown: names.filter((name) => !labels.has(name)), timestamp: nowMs };
  }

  async #ask(tenant: TenantId, asked: AskedMetric, parts: readonly SourcePart[], minuteFromMs: number): Promise<ValueRow[]> {
    const { definition, live } = asked;
    const [only] = parts;
    if (only?.source === "raw") {
      const { keep, filters, bucketMs } = live;
      const rows = await recount(this.#warehouse(), { tenant, definition, ...only.span, bucketMs, dimensions: keep, filters });
      return rows.map(({ startMs, dimensions, outputs }) => ({ startMs, dimensions, values: outputs }));
    }
    const plan = new MetricPlan(definition);
    const merged = new Map<
      string,
      { startMs: number; dimensions: readonly DimensionValue[]; states: ReturnType<MetricPlan["emptyStates"]> }
    >();
    for (const { source, span } of parts) {
      const rows =
        source === "rollup"
          ? await readRollup(this.#warehouse(), tenant, definition, live, span, minuteFromMs)
          : ((await this.#options.live.query(tenant, [{ ...live, span }]))[0]?.rows ?? []);
      for (const { startMs, dimensions, states } of rows) {
        // The whole range is one bucket, whichever part a row comes from.
        const bucketMs = Number.isFinite(live.bucketMs) ? startMs : live.span.fromMs;
        const key = JSON.stringify([bucketMs, dimensions]);
        const read = plan.read(new ByteReader(states));
        const row = merged.get(key);
        if (row === undefined) merged.set(key, { startMs: bucketMs, dimensions, states: read });
        else plan.merge(row.states, read);
      }
    }
    const first = parts[0]?.span.fromMs ?? 0;
    const spanMs = Math.min(live.bucketMs, (parts.at(-1)?.span.toMs ?? first) - first);
    return [...merged.values()].map(({ startMs, dimensions, states }) => ({
      startMs,
      dimensions,
      values: valuesOf(plan, plan.encode(states), spanMs),
    }));
  }

  #warehouse(): QuestDbHttp {
    const warehouse = this.#options.warehouse();
    if (warehouse === undefined) throw new WeirError("WEIR_WAREHOUSE_UNAVAILABLE");
    return warehouse.http;
  }

  #freshness(clock: TenantClock, sources: ReadonlySet<string>, nowMs: number): number {
    const behind = Number.isFinite(clock.watermarkMs) ? eventClock(clock, nowMs) - clock.watermarkMs : 0;
    const stored = sources.has("rollup") || sources.has("raw");
    return Math.round(behind + (stored ? (this.#options.warehouse()?.lagMs ?? 0) : 0));
  }
}

function spanOf(request: QueryRequest, clock: TenantClock, nowMs: number): TimeSpan {
  const { timeRange } = request;
  if (timeRange.kind === "span") return { fromMs: timeRange.fromMs, toMs: timeRange.toMs };
  // Up to and with the moment that it is for the tenant.
  const toMs = eventClock(clock, nowMs) + 1;
  return { fromMs: Math.max(0, toMs - timeRange.lengthMs), toMs };
}

function valuesOf(plan: MetricPlan, states: Uint8Array, spanMs: number): Record<string, unknown> {
  return plan.row(
    plan.definition.dimensions.map(() => null),
    plan.read(new ByteReader(states)),
    spanMs,
  );
}

/** One row for each bucket and combination that any of the metrics has; sorted by time, then dimensions. */
function joinRows(
  request: QueryRequest,
  asked: readonly AskedMetric[],
  perMetric: readonly (readonly ValueRow[])[],
): { rows: Record<string, unknown>[]; truncated: boolean } {
  const joined = new Map<
    string,
    { startMs: number; dimensions: readonly DimensionValue[]; values: Map<number, ValueRow["values"]> }
  >();
  perMetric.forEach((rows, metric) => {
    for (const { startMs, dimensions, values } of rows) {
      const key = JSON.stringify([startMs, dimensions]);
      let row = joined.get(key);
      if (row === undefined) joined.set(key, (row = { startMs, dimensions, values: new Map() }));
      row.values.set(metric, values);
    }
  });
  const empty = asked.map(({ definition }) => {
    const plan = new MetricPlan(definition);
    return valuesOf(plan, plan.encode(plan.emptyStates()), 1);
  });
  const sorted = [...joined.values()].toSorted((a, b) => a.startMs - b.startMs || compareDimensions(a.dimensions, b.dimensions));
  const rows = sorted.slice(0, limits.queryRowsMax).map(({ startMs, dimensions, values }) => {
    const named = request.dimensions.map((name, index) => [name, dimensions[index] ?? null] as const);
    // Not by assignment: that would lose a dimension named `__proto__`.
    const row: Record<string, unknown> = Object.fromEntries([["time", new Date(startMs).toISOString()], ...named]);
    asked.forEach(({ outputs }, metric) => {
      const found = values.get(metric) ?? empty[metric];
      for (const { label, output } of outputs) row[label] = found?.[output] ?? null;
    });
    return row;
  });
  return { rows, truncated: sorted.length > rows.length };
}

function compareDimensions(a: readonly DimensionValue[], b: readonly DimensionValue[]): number {
  for (let index = 0; index < a.length; index++) {
    const [left, right] = [a[index] ?? "", b[index] ?? ""];
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

/** Grows with buckets, dimensions and metrics: an estimate of the rows that have to be merged. */
function complexityOf(request: QueryRequest, span: TimeSpan): number {
  const bucketMs = granularityMs[request.granularity];
  const buckets = Number.isFinite(bucketMs) ? Math.max(1, Math.ceil((span.toMs - span.fromMs) / bucketMs)) : 1;
  return buckets * request.metrics.length * (1 + request.dimensions.length);
}

/** The error bound of every output of a metric that is not exact. */
export function boundsOf(definition: MetricDefinition): Record<string, unknown> {
  const inexact = definition.aggregates.map((name) => aggregates[name]).filter(({ bound }) => bound.kind !== "exact");
  return Object.fromEntries(
    inexact.flatMap(({ outputs, bound }) => outputs.map((output) => [`${definition.name}.${output}`, bound])),
  );
}
