/**
 * What a metric is: which events it takes (filter), which number or text it reads (value), how it sums
 * them up (aggregates), and by what it splits them (dimensions). The zod schema is the only source of truth;
 * the HTTP API, OpenAPI and the control store use it.
 */
import { z } from "zod";
import { resolveFieldPath } from "./field-path.ts";
import { limits } from "./limits.ts";

export const aggregateNames = ["count", "rate", "sum", "min", "max", "mean", "distinct", "quantiles", "topK"] as const;
export type AggregateName = (typeof aggregateNames)[number];

/** Aggregates that read `value` as a number; the others count events or read `value` as a text. */
export const numericAggregates: ReadonlySet<AggregateName> = new Set(["sum", "min", "max", "mean", "quantiles"]);
export const keyedAggregates: ReadonlySet<AggregateName> = new Set(["distinct", "topK"]);

const fieldPath = z
  .string()
  .min(1)
  .max(limits.identifierBytesMax)
  .refine((name) => resolveFieldPath(name) !== undefined, { error: "not a field of an event" })
  .meta({ description: "A field: top-level name, `properties.x`, `context.x`, or a short name such as `country`" });

const operand = z.union([z.string().max(limits.dimensionValueBytesMax), z.number(), z.boolean(), z.null()]);

/** One condition. `op` defaults to `eq`; `in` takes a list; `exists` takes none; the order operators compare numbers. */
export const filterTerm = z
  .strictObject({
    field: fieldPath,
    op: z.enum(["eq", "ne", "in", "gt", "gte", "lt", "lte", "contains", "exists"]).default("eq"),
    value: z.union([operand, z.array(operand).min(1).max(100)]).optional(),
  })
  .refine((term) => (term.op === "in" ? Array.isArray(term.value) : !Array.isArray(term.value)), {
    error: "`in` takes a list of values, every other operator one value",
    path: ["value"],
  })
  .refine((term) => term.op === "exists" || term.value !== undefined, { error: "a value is required", path: ["value"] });
export type FilterTerm = z.output<typeof filterTerm>;

/** All of `all` and, when it is given, at least one of `any`. */
export const eventFilter = z.strictObject({
  all: z.array(filterTerm).max(limits.filterTermsMax).default([]),
  any: z.array(filterTerm).max(limits.filterTermsMax).default([]),
});
export type EventFilter = z.output<typeof eventFilter>;

/** Names that rows use for themselves: no dimension may take them. */
const reservedNames = new Set(["time", "removed", "count", "rate", "sum", "min", "max", "mean", "distinct", "topK"]);
for (const percent of [50, 75, 90, 95, 99]) reservedNames.add(`p${percent}`);

const dimensionName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.]{0,63}$/);

/** A dimension: a field under a name. A bare text is both. */
export const dimension = z.union([
  fieldPath.transform((field) => ({ name: field, field })),
  z.strictObject({ name: dimensionName, field: fieldPath }),
]);

export const metricDefinition = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,63}$/)
      .meta({ description: "Lower-case letters, digits and underscores" }),
    description: z.string().max(500).default(""),
    filter: eventFilter.default({ all: [], any: [] }),
    value: fieldPath.optional().meta({ description: "The field that sum, min, max, mean, quantiles, distinct and topK read" }),
    aggregates: z.array(z.enum(aggregateNames)).min(1).max(aggregateNames.length),
    dimensions: z.array(dimension).max(limits.dimensionsPerMetricMax).default([]),
    seriesMax: z.int().min(1).max(limits.seriesPerMetricMax).default(limits.seriesPerMetricDefault),
  })
  .refine((metric) => new Set(metric.aggregates).size === metric.aggregates.length, {
    error: "each aggregate once",
    path: ["aggregates"],
  })
  .refine((metric) => new Set(metric.dimensions.map((each) => each.name)).size === metric.dimensions.length, {
    error: "each dimension once",
    path: ["dimensions"],
  })
  .refine((metric) => metric.dimensions.every((each) => !reservedNames.has(each.name)), {
    error: "a dimension has the name of an output",
    path: ["dimensions"],
  })
  .refine(
    (metric) =>
      metric.value !== undefined || !metric.aggregates.some((name) => numericAggregates.has(name) || keyedAggregates.has(name)),
    { error: "these aggregates need a value field", path: ["value"] },
  );

/** A checked definition, defaults filled in. Field names are as written; `resolveFieldPath` gives the full path. */
export type MetricDefinition = z.output<typeof metricDefinition>;
export type MetricDefinitionInput = z.input<typeof metricDefinition>;

/** The series key of one combination of dimension values, in the order of the definition. null = the event had no value. */
export type DimensionValue = string | null;
/** The value of every dimension of the series that takes what does not fit under `seriesMax`. */
export const OTHER_SERIES = "__other__";

/** The metrics that each new tenant has. */
export const defaultMetrics: readonly MetricDefinition[] = [
  metricDefinition.parse({ name: "events", description: "All events", aggregates: ["count", "rate"] }),
  metricDefinition.parse({
    name: "active_users",
    description: "Distinct users",
    value: "userId",
    aggregates: ["distinct"],
  }),
  metricDefinition.parse({
    name: "active_sessions",
    description: "Distinct sessions",
    value: "sessionId",
    aggregates: ["distinct"],
  }),
  metricDefinition.parse({
    name: "events_by_type_and_country",
    description: "Events by type and country",
    aggregates: ["count"],
    dimensions: ["eventType", "country"],
  }),
  metricDefinition.parse({
    name: "errors",
    description: "Events whose category is `error` or whose type has `error` in its name",
    filter: {
      any: [
        { field: "eventCategory", value: "error" },
        { field: "eventType", op: "contains", value: "error" },
      ],
    },
    aggregates: ["count", "rate"],
  }),
  metricDefinition.parse({
    name: "value_by_type",
    description: "The number in `properties.value`, by type",
    value: "properties.value",
    aggregates: ["count", "sum", "min", "max", "mean", "quantiles"],
    dimensions: ["eventType"],
  }),
];
