/**
 * `POST /v1/query`: checks the request and hands it to the query service. The schema is the only source of truth of what
 * a query is: the service takes its output, OpenAPI its input side. Every refusal names the path of what is wrong.
 */
import { z } from "zod";
import { WeirError } from "../../protocol/error-codes.ts";
import { limits } from "../../protocol/limits.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../../protocol/windows.ts";
import { entryCodes, parseJson, parseWith, type Route } from "../route.ts";
import type { Admission } from "../admission.ts";
import type { QueryService } from "../services.ts";

const unitMs = { s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS } as const;

/** `metric` or `metric.output`. */
export const metricReference = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,63}(\.[A-Za-z0-9]{1,16})?$/, { error: "a name reads `metric` or `metric.output`" });

const isoWithZone = z.iso.datetime({ offset: true, error: "a time is epoch milliseconds or ISO 8601 with a zone" });
const moment = z
  .union([z.int().min(0).max(8.64e15), isoWithZone], { error: "a time is epoch milliseconds or ISO 8601 with a zone" })
  .transform((value) => (typeof value === "number" ? value : Date.parse(value)))
  .meta({ description: "Epoch milliseconds or ISO 8601 with a zone" });

const lastPattern = /^([1-9][0-9]{0,5})([smhd])$/;

/** Either `{from, to}` or `{last}`. One object rather than a union, so that a refusal can name the field. */
export const timeRange = z
  .strictObject({
    from: moment.optional().meta({ description: "The start, inclusive; with `to`" }),
    to: moment.optional().meta({ description: "The end, exclusive; with `from`" }),
    last: z
      .string()
      .regex(lastPattern, { error: "a length of time reads `15m`, `24h` or `7d`" })
      .optional()
      .meta({ description: "The last so long, up to the event clock; instead of `from` and `to`" }),
  })
  .superRefine((range, context) => {
    const refuse = (field: string, message: string) => context.addIssue({ code: "custom", path: [field], message });
    if (range.last !== undefined) {
      if (range.from !== undefined || range.to !== undefined) refuse("last", "either `last`, or `from` and `to`");
      return;
    }
    if (range.from === undefined) refuse("from", "`from` and `to`, or `last`, are required");
    else if (range.to === undefined) refuse("to", "`to` is required with `from`");
    else if (range.from >= range.to) refuse("to", "`to` must be after `from`");
  })
  .transform((range): TimeRange => {
    if (range.last !== undefined) return { kind: "last", lengthMs: lengthMsOf(range.last) };
    return { kind: "span", fromMs: range.from ?? 0, toMs: range.to ?? 0 };
  });

/** A span of event time, or a length that ends at the tenant's event clock. */
export type TimeRange =
  | { readonly kind: "span"; readonly fromMs: number; readonly toMs: number }
  | { readonly kind: "last"; readonly lengthMs: number };

function lengthMsOf(text: string): number {
  const [, count = "0", unit = "s"] = lastPattern.exec(text) ?? [];
  return Number(count) * unitMs[unit as keyof typeof unitMs];
}

// Dimension values are texts (or null); a number or a boolean means its text, as it does when events are grouped.
const operand = z
  .union([z.string().max(limits.dimensionValueBytesMax), z.number(), z.boolean(), z.null()], {
    error: "a filter value is a text, a number, a boolean or null",
  })
  .transform((value) => (value === null ? null : String(value)));

const dimensionName = z.string().min(1).max(limits.identifierBytesMax);

const filter = z
  .strictObject({
    dimension: dimensionName,
    op: z.enum(["eq", "ne", "in"]),
    value: z.union([operand, z.array(operand).min(1).max(100)], { error: "a text, number, boolean or null; a list for `in`" }),
  })
  .refine((each) => (each.op === "in") === Array.isArray(each.value), {
    error: "`in` takes a list of values, `eq` and `ne` one value",
    path: ["value"],
  })
  .transform(({ dimension, op, value }) => ({ dimension, op, values: Array.isArray(value) ? value : [value] }));

function unique(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

export const queryRequest = z.strictObject({
  metrics: z.array(metricReference).min(1).max(limits.queryMetricsMax).refine(unique, { error: "each metric once" }),
  dimensions: z
    .array(dimensionName)
    .max(limits.dimensionsPerMetricMax)
    .refine(unique, { error: "each dimension once" })
    .default([]),
  filters: z.array(filter).max(limits.filterTermsMax).default([]),
  timeRange,
  granularity: z.enum(["10s", "1m", "1h", "1d", "all"]).default("all"),
  source: z.enum(["auto", "live", "rollup", "raw"]).default("auto"),
  cacheTTL: z.int().min(0).max(86_400).optional().meta({ description: "Seconds for which a cached answer is good enough" }),
});

/** A checked query: defaults filled in, times as epoch milliseconds, every filter with a list of values. */
export type QueryRequest = z.output<typeof queryRequest>;

const queryAnswer = z.object({
  data: z.array(z.record(z.string(), z.unknown())),
  metadata: z.object({
    totalRows: z.int(),
    executionTime: z.number().meta({ description: "Milliseconds" }),
    dataFreshness: z.number().meta({ description: "Milliseconds between the event clock and what was read" }),
    queryId: z.string(),
    dataSource: z.enum(["live", "rollup", "raw", "live+rollup"]),
    cacheHit: z.boolean(),
    queryComplexity: z.number(),
    bounds: z.record(z.string(), z.unknown()),
    truncated: z.boolean(),
  }),
});

const FAILED = "Query execution failed: ";

/** What every error of a query reads like. The table's message of WEIR_QUERY_FAILED says it already. */
export function queryErrorDetail(message: string): string {
  return FAILED + message.replace(/^Query execution failed[.:]? ?/, "");
}

export function queryRoutes(services: { queryService: QueryService; admission: Admission; now: () => number }): Route[] {
  return [
    {
      method: "POST",
      path: "/v1/query",
      scope: "read",
      summary: "Asks for metrics over time, by dimensions",
      body: { bytesMax: limits.queryBodyBytesMax, types: ["application/json"], schema: queryRequest },
      answers: { 200: { description: "Rows sorted by time, then dimensions", schema: queryAnswer } },
      errors: [
        ...entryCodes.body,
        "WEIR_QUERY_INVALID",
        "WEIR_QUERY_DIMENSION_UNKNOWN",
        "WEIR_QUERY_AGGREGATE_UNKNOWN",
        "WEIR_METRIC_UNKNOWN",
        "WEIR_QUERY_RANGE_UNAVAILABLE",
        "WEIR_QUERY_TOO_LARGE",
        "WEIR_QUERY_TIMEOUT",
        "WEIR_QUERY_BUSY",
        "WEIR_QUERY_FAILED",
        "WEIR_WAREHOUSE_UNAVAILABLE",
      ],
      detail: queryErrorDetail,
      async handle({ owner, body }) {
        const request = parseWith(queryRequest, parseJson(body, "WEIR_QUERY_INVALID"), "WEIR_QUERY_INVALID");
        const answer = await services.admission.query(owner.tenant, () =>
          services.queryService.query(owner.tenant, request, services.now()),
        );
        return { status: 200, body: answer };
      },
    },
  ];
}

/** Checks a list of metric references from a URL. */
export function parseMetricReferences(text: string | null, path: string): readonly string[] {
  const names = text === null ? [] : text.split(",").filter((name) => name !== "");
  if (names.length === 0 || names.length > limits.realtimeNamesMax) {
    throw new WeirError("WEIR_QUERY_INVALID", `1 to ${limits.realtimeNamesMax} names, separated by commas.`, { path });
  }
  return names;
}
