/**
 * A metric definition made ready to run: compiled filter, field paths, aggregates. One plan serves all partitions of a host.
 * `bind` ties it to the columns of one frame, once for all of them, so that the loop over rows does no look-up by name.
 */
import { assert } from "../protocol/assert.ts";
import { compileFilter } from "../protocol/event-filter.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import type { FieldColumn } from "../protocol/field-column.ts";
import { resolveFieldPath, type FieldValue } from "../protocol/field-path.ts";
import { limits } from "../protocol/limits.ts";
import { OTHER_SERIES, type DimensionValue, type MetricDefinition } from "../protocol/metric-definition.ts";
import type { ByteReader } from "../protocol/bytes.ts";
import { ByteWriter } from "../protocol/bytes.ts";
import type { Aggregate, AggregateValue } from "./aggregates/aggregate.ts";
import type { EventCount } from "./aggregates/count.ts";
import { aggregates } from "./aggregates/registry.ts";
import { compiledAdd, StateObjects, type AddToStates, type StateColumn } from "./aggregates/state-column.ts";

/** The states of all aggregates of a metric for one pane, in the order of the definition. */
export type PaneStates = unknown[];

export class MetricPlan {
  readonly definition: MetricDefinition;
  /** The definition as JSON text: equal definitions have equal ones. */
  readonly text: string;
  readonly textBytes: Uint8Array;
  readonly aggregates: readonly Aggregate<unknown>[];
  /** Every event is counted: there is no filter, and `count`. So the panes can be held against the ledger. */
  readonly countsAll: boolean;
  /** Where `count` is among the aggregates; -1: it is none of them. */
  readonly countAt: number;
  /** What some aggregate reads of an event's value. */
  readonly reads: Readonly<Record<Aggregate<unknown>["reads"], boolean>>;
  readonly #adds: readonly AddToStates[];
  readonly #dimensionPaths: readonly string[];
  readonly #valuePath: string | undefined;
  readonly #filter: ReturnType<typeof compileFilter> | undefined;

  constructor(definition: MetricDefinition) {
    this.definition = definition;
    this.text = JSON.stringify(definition);
    this.textBytes = new TextEncoder().encode(this.text);
    this.aggregates = definition.aggregates.map((name) => aggregates[name] as Aggregate<unknown>);
    const isRead = (what: Aggregate<unknown>["reads"]): boolean => this.aggregates.some(({ reads }) => reads === what);
    this.reads = { nothing: isRead("nothing"), number: isRead("number"), hash: isRead("hash"), value: isRead("value") };
    this.#adds = this.aggregates.map(compiledAdd);
    this.#dimensionPaths = definition.dimensions.map((dimension) => fullPath(dimension.field));
    this.#valuePath = definition.value === undefined ? undefined : fullPath(definition.value);
    const { all, any } = definition.filter;
    this.#filter = all.length + any.length > 0 ? compileFilter(definition.filter) : undefined;
    this.countAt = definition.aggregates.indexOf("count");
    this.countsAll = this.#filter === undefined && this.countAt >= 0;
  }

  get dimensionCount(): number {
    return this.#dimensionPaths.length;
  }

  get hasFilter(): boolean {
    return this.#filter !== undefined;
  }

  /** The same for all partitions that take rows of the frame: it is made once and kept with the columns. */
  bind(columns: EventColumns): BoundMetric {
    const bound = columns.derived.get(this) as BoundMetric | undefined;
    if (bound !== undefined) return bound;
    const made: BoundMetric = {
      matches: this.#filter?.(columns),
      value: this.#valuePath === undefined ? undefined : columns.column(this.#valuePath),
      dimensions: this.#dimensionPaths.map((path) => columns.column(path)),
    };
    columns.derived.set(this, made);
    return made;
  }

  emptyStates(): PaneStates {
    return this.aggregates.map((aggregate) => aggregate.empty());
  }

  /** The states of many panes, a column for each aggregate: what stage 1 keeps. */
  newColumns(): StateColumn[] {
    const shared = this.aggregates.map(({ shares }) => this.aggregates.findIndex(({ name }) => name === shares));
    const own = this.aggregates.map((aggregate, index) => {
      if (shared[index] !== -1) return undefined;
      return aggregate.newColumn?.() ?? new StateObjects(aggregate, this.#adds[index] as AddToStates);
    });
    return own.map((column, index) => column ?? (this.aggregates[index]?.newColumn?.(own[shared[index] ?? -1]) as StateColumn));
  }

  /** Adds one event's value to the states of a pane: what columns must equal. */
  add(states: PaneStates, value: FieldValue): void {
    this.aggregates.forEach((aggregate, index) => aggregate.add(states[index], value));
  }

  /** How many events are in the states; 0 without `count`. */
  eventsIn(states: PaneStates): number {
    return (states[this.countAt] as EventCount | undefined)?.events ?? 0;
  }

  merge(into: PaneStates, from: PaneStates): void {
    this.aggregates.forEach((aggregate, index) => aggregate.merge(into[index], from[index]));
  }

  write(states: PaneStates, writer: ByteWriter): void {
    this.aggregates.forEach((aggregate, index) => aggregate.write(states[index], writer));
  }

  read(reader: ByteReader): PaneStates {
    return this.aggregates.map((aggregate) => aggregate.read(reader));
  }

  encode(states: PaneStates): Uint8Array {
    const writer = new ByteWriter();
    this.write(states, writer);
    return writer.finish();
  }

  /** Finished values of each aggregate for a span, in the order of the definition. */
  finish(states: PaneStates, spanMs: number): (readonly AggregateValue[])[] {
    return this.aggregates.map((aggregate, index) => aggregate.finish(states[index], spanMs));
  }

  /** A row as clients see it: every dimension and every output by its name. */
  row(dimensions: readonly DimensionValue[], states: PaneStates, spanMs: number): Record<string, unknown> {
    const row: Record<string, unknown> = this.keyRow(dimensions);
    this.finish(states, spanMs).forEach((values, index) => {
      this.aggregates[index]?.outputs.forEach((output, at) => (row[output] = values[at]));
    });
    return row;
  }

  /** The dimensions of a row alone. */
  keyRow(dimensions: readonly DimensionValue[]): Record<string, unknown> {
    return Object.fromEntries(this.definition.dimensions.map(({ name }, index) => [name, dimensions[index] ?? null]));
  }
}

/** A plan over one frame's columns. */
export interface BoundMetric {
  /** undefined: every event matches. */
  readonly matches: ((row: number) => boolean) | undefined;
  readonly value: FieldColumn | undefined;
  readonly dimensions: readonly FieldColumn[];
}

/** Full paths of all fields that the metrics read: what a reader has to bring. */
export function fieldsOf(definitions: readonly MetricDefinition[]): string[] {
  const fields = definitions.flatMap(({ dimensions, value, filter }) => [
    ...dimensions.map(({ field }) => field),
    ...(value === undefined ? [] : [value]),
    ...[...filter.all, ...filter.any].map(({ field }) => field),
  ]);
  return [...new Set(fields.map(fullPath))];
}

/** The plans of one host: the same definition is compiled once, whatever partition or tenant asks. */
export class MetricPlans {
  readonly #plans = new Map<string, MetricPlan>();

  of(definition: MetricDefinition): MetricPlan {
    const text = JSON.stringify(definition);
    let plan = this.#plans.get(text);
    if (plan === undefined) this.#plans.set(text, (plan = new MetricPlan(definition)));
    return plan;
  }
}

/** A field's value as the value of a dimension: text as it is, numbers and booleans as text, nothing as null. */
export function dimensionValue(value: FieldValue): DimensionValue {
  if (typeof value === "string" && value.length <= limits.dimensionValueBytesMax) return value;
  if (value === undefined || value === null) return null;
  const text = String(value);
  // A text that long is no dimension; it must not fill keys and rows.
  return text.length > limits.dimensionValueBytesMax ? OTHER_SERIES : text;
}

function fullPath(field: string): string {
  const path = resolveFieldPath(field);
  assert(path !== undefined, "a checked definition names only fields");
  return path;
}
