/**
 * A metric computed again from raw event rows: what live and stored values are checked against, and the source of answers
 * where no pane exists. Exact: no sketch. SQL filters and groups; only rows whose JSON it cannot read for sure come here
 * whole. Sums are QuestDB's compensated ones (ksum), so the last bits may differ from the exact sum of the live value.
 *
 * It knows nothing of `seriesMax`: series that live values put under `__other__` stand under their own names here.
 */
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { fieldReader, resolveFieldPath } from "../../protocol/field-path.ts";
import type { FieldValue } from "../../protocol/field-path.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { keyedAggregates, numericAggregates, OTHER_SERIES } from "../../protocol/metric-definition.ts";
import type { AggregateName, DimensionValue, MetricDefinition } from "../../protocol/metric-definition.ts";
import type { TimeSpan } from "../../protocol/windows.ts";
import type { QuestDbHttp, SqlCell } from "./http.ts";
import { eventColumnsSql, eventOf, rawField } from "./raw-field.ts";
import type { RawField } from "./raw-field.ts";
import { rawFilter } from "./raw-filter.ts";
import type { RawFilter } from "./raw-filter.ts";
import { RecountState } from "./recount-state.ts";
import type { OutputValue } from "./rows.ts";
import { spanSql } from "./reads.ts";

export interface RecountQuery extends TimeSpan {
  readonly tenant: TenantId;
  readonly definition: MetricDefinition;
  /** Length of a bucket, aligned to the epoch; Infinity: the whole span is one, and starts at `fromMs`. */
  readonly bucketMs: number;
  /** Indexes of the metric's dimensions to keep; the others are summed up. */
  readonly dimensions: readonly number[];
  readonly filters: readonly {
    readonly dimension: number;
    readonly negate: boolean;
    readonly values: readonly DimensionValue[];
  }[];
  readonly signal?: AbortSignal;
}

export interface RecountRow {
  readonly startMs: number;
  /** The kept ones, in the order of `dimensions`. */
  readonly dimensions: readonly DimensionValue[];
  /** Every output of the metric's aggregates by its name. */
  readonly outputs: Readonly<Record<string, OutputValue>>;
}

/** Rows that have events, by time, then dimensions. More than `queryPanesMax` groups are refused with WEIR_QUERY_TOO_LARGE. */
export async function recount(http: QuestDbHttp, query: RecountQuery): Promise<RecountRow[]> {
  const plan = new RecountPlan(query);
  const groups = new Map<string, { startMs: number; dimensions: readonly DimensionValue[]; state: RecountState }>();
  const stateOf: StateOf = (startMs, all) => {
    if (!plan.keeps(all)) return undefined;
    const dimensions = query.dimensions.map((index) => all[index] ?? null);
    const key = JSON.stringify([startMs, dimensions]);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = { startMs, dimensions, state: new RecountState() }));
    return group.state;
  };
  for (const part of plan.parts()) {
    const { rows } = await http.exec(`${part.sql} LIMIT ${limits.queryPanesMax + 1}`, query.signal);
    if (rows.length > limits.queryPanesMax) throw new WeirError("WEIR_QUERY_TOO_LARGE", query.definition.name);
    for (const row of rows) part.take(row, stateOf);
  }
  const spanMs = Math.min(query.bucketMs, query.toMs - query.fromMs);
  return [...groups.values()]
    .sort((a, b) => a.startMs - b.startMs || compareDimensions(a.dimensions, b.dimensions))
    .map(({ startMs, dimensions, state }) => ({
      startMs,
      dimensions,
      outputs: state.finish(query.definition.aggregates, spanMs),
    }));
}

/** undefined when the filters of the query leave the series out. */
type StateOf = (startMs: number, dimensions: readonly DimensionValue[]) => RecountState | undefined;

interface RecountPart {
  readonly sql: string;
  take(row: readonly SqlCell[], stateOf: StateOf): void;
}

class RecountPlan {
  readonly #query: RecountQuery;
  readonly #filter: RawFilter;
  readonly #dimensions: readonly RawField[];
  readonly #value: RawField | undefined;
  readonly #numeric: boolean;
  readonly #keyed: boolean;

  constructor(query: RecountQuery) {
    this.#query = query;
    const { definition } = query;
    this.#filter = rawFilter(definition.filter);
    this.#dimensions = definition.dimensions.map(({ field }) => rawField(fullPath(field)));
    this.#value = definition.value === undefined ? undefined : rawField(fullPath(definition.value));
    const has = (names: ReadonlySet<AggregateName>): boolean => definition.aggregates.some((name) => names.has(name));
    this.#numeric = has(numericAggregates);
    this.#keyed = has(keyedAggregates);
  }

  keeps(dimensions: readonly DimensionValue[]): boolean {
    return this.#query.filters.every(
      ({ dimension, negate, values }) => values.includes(dimensions[dimension] ?? null) !== negate,
    );
  }

  parts(): RecountPart[] {
    const parts = [this.#totals()];
    if (this.#value !== undefined && (this.#keyed || this.#query.definition.aggregates.includes("quantiles"))) {
      parts.push(this.#values(this.#value));
    }
    const unclear = this.#unclear();
    if (unclear.length > 0) parts.push(this.#unclearRows(unclear.join(" OR ")));
    return parts;
  }

  #unclear(): string[] {
    const fields = [...this.#dimensions, ...(this.#keyed && this.#value !== undefined ? [this.#value] : [])];
    const conditions = [...this.#filter.unclear, ...fields.map((field) => field.unclear), this.#value?.unreadable];
    return [...new Set(conditions.filter((each) => each !== undefined))];
  }

  /** What is counted in SQL. */
  #where(): string {
    const unclear = this.#unclear();
    const clear = unclear.length === 0 ? "" : ` AND NOT (${unclear.join(" OR ")})`;
    return `FROM events WHERE ${spanSql(this.#query.tenant, this.#query)}${clear} AND (${this.#filter.condition})`;
  }

  #groupSql(): string {
    const { bucketMs } = this.#query;
    const bucket = bucketMs === Number.POSITIVE_INFINITY ? "0" : `ts::long / ${Math.round(bucketMs * 1_000)}`;
    return [`${bucket} bucket`, ...this.#dimensions.map((field, index) => `${field.text} d${index}`)].join(", ");
  }

  #groupOf(row: readonly SqlCell[]): [number, DimensionValue[]] {
    const { bucketMs, fromMs } = this.#query;
    const startMs = bucketMs === Number.POSITIVE_INFINITY ? fromMs : Number(row[0]) * bucketMs;
    return [startMs, this.#dimensions.map((_, index) => dimensionValue(row[index + 1]))];
  }

  #totals(): RecountPart {
    const { isNumber, number } = this.#value ?? {};
    const numeric = this.#numeric && isNumber !== undefined && number !== undefined;
    const value = `CASE WHEN ${isNumber} THEN ${number} END`;
    const totals = numeric ? `, count(${value}), ksum(${value}), min(${value}), max(${value})` : "";
    return {
      sql: `SELECT ${this.#groupSql()}, count() events${totals} ${this.#where()}`,
      take: (row, stateOf) => {
        const [events, numbers, sum, min, max] = row.slice(this.#dimensions.length + 1);
        // Without anything to group by, SQL gives a row for no events.
        if (events === 0) return;
        const state = stateOf(...this.#groupOf(row));
        state?.addEvents(Number(events));
        if (numeric && Number(numbers) > 0) {
          state?.addTotals({ numbers: Number(numbers), sum: Number(sum), min: Number(min), max: Number(max) });
        }
      },
    };
  }

  /** How often each value of the value field occurs. */
  #values(field: RawField): RecountPart {
    const columns = `${field.text} value, ${field.isNumber ?? "false"} is_number, count() events`;
    return {
      sql: `SELECT ${this.#groupSql()}, ${columns} ${this.#where()} AND ${field.text} IS NOT NULL`,
      take: (row, stateOf) => {
        const [value, valueIsNumber, events] = row.slice(this.#dimensions.length + 1);
        stateOf(...this.#groupOf(row))?.addValue(String(value), valueIsNumber === true, Number(events));
      },
    };
  }

  #unclearRows(condition: string): RecountPart {
    const { bucketMs, fromMs, definition, tenant } = this.#query;
    const readers = definition.dimensions.map(({ field }) => fieldReader(fullPath(field)));
    const readValue = definition.value === undefined ? undefined : fieldReader(fullPath(definition.value));
    return {
      sql: `SELECT ts::long, ${eventColumnsSql} FROM events WHERE ${spanSql(tenant, this.#query)} AND (${condition})`,
      take: ([ts, ...cells], stateOf) => {
        const event = eventOf(cells);
        if (!this.#filter.matches(event)) return;
        const timeMs = Number(ts) / 1_000;
        const startMs = bucketMs === Number.POSITIVE_INFINITY ? fromMs : Math.floor(timeMs / bucketMs) * bucketMs;
        const state = stateOf(
          startMs,
          readers.map((read) => dimensionValue(read(event))),
        );
        if (state === undefined) return;
        state.addEvents(1);
        const value = readValue?.(event);
        if (value === undefined || value === null) return;
        if (typeof value === "number") state.addTotals({ numbers: 1, sum: value, min: value, max: value });
        state.addValue(String(value), typeof value === "number", 1);
      },
    };
  }
}

/** As live values have it: numbers and booleans as text; a text that long is no dimension. */
function dimensionValue(value: FieldValue): DimensionValue {
  if (value === undefined || value === null) return null;
  const text = String(value);
  return text.length > limits.dimensionValueBytesMax ? OTHER_SERIES : text;
}

function compareDimensions(a: readonly DimensionValue[], b: readonly DimensionValue[]): number {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function fullPath(field: string): string {
  const path = resolveFieldPath(field);
  assert(path !== undefined, "a checked definition names only fields");
  return path;
}
