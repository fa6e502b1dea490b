/**
 * What one metric reads of the accepted rows of a turn, by index, whatever frame a row came with: then the metric can take them
 * in another order than frame by frame (`accepted-rows.ts`). There is one instance, which the next metric fills anew.
 */
import type { FieldValue } from "../protocol/field-path.ts";
import type { AcceptedRows, AcceptedRun } from "./accepted-rows.ts";
import type { MetricPlan } from "./metric-plan.ts";

export class GatheredRows {
  /** The value of each row; undefined where the metric has none. */
  readonly values: FieldValue[] = [];
  /** The columns of the dimensions. */
  dimensions: readonly FieldValue[][] = [];
  /** Of a metric with a filter: what `pick` found. */
  picked = new Int32Array(256);
  /** By index, 1: the filter takes the row. Without a filter all are. */
  #flags = new Uint8Array(256);
  readonly #columns: FieldValue[][] = [];

  fill(plan: MetricPlan, accepted: AcceptedRows): void {
    const { runs, rows } = accepted;
    this.#makeRoom(plan.dimensionCount, accepted.count);
    for (let run = 0; run < runs.length; run++) {
      const { columns, from } = runs[run] as AcceptedRun;
      const { matches, values, dimensions } = plan.bind(columns);
      const to = accepted.endOf(run);
      copy(values, this.values, rows, from, to);
      for (let at = 0; at < dimensions.length; at++) copy(dimensions[at], this.#columns[at] ?? [], rows, from, to);
      if (matches === undefined) this.#flags.fill(1, from, to);
      else for (let index = from; index < to; index++) this.#flags[index] = matches(rows[index] ?? 0) ? 1 : 0;
    }
  }

  /** Whether the filter takes the row. */
  takes(index: number): boolean {
    return this.#flags[index] === 1;
  }

  /** Puts the indexes that the filter takes into `picked`; returns how many they are. */
  pick(indexes: Int32Array, from: number, to: number): number {
    let count = 0;
    for (let at = from; at < to; at++) {
      const index = indexes[at] ?? 0;
      if (this.#flags[index] === 1) this.picked[count++] = index;
    }
    return count;
  }

  #makeRoom(dimensionCount: number, count: number): void {
    if (this.picked.length < count) {
      this.picked = new Int32Array(2 * count);
      this.#flags = new Uint8Array(2 * count);
    }
    while (this.values.length < count) this.values.push(undefined);
    while (this.#columns.length < dimensionCount) this.#columns.push([]);
    if (this.dimensions.length !== dimensionCount) this.dimensions = this.#columns.slice(0, dimensionCount);
    for (const column of this.dimensions) while (column.length < count) column.push(undefined);
  }
}

function copy(column: readonly FieldValue[] | undefined, into: FieldValue[], rows: Int32Array, from: number, to: number): void {
  if (column === undefined) for (let index = from; index < to; index++) into[index] = undefined;
  else for (let index = from; index < to; index++) into[index] = column[rows[index] ?? 0];
}

const gathered = new GatheredRows();

/** Valid until the next call. */
export function gather(plan: MetricPlan, accepted: AcceptedRows): GatheredRows {
  gathered.fill(plan, accepted);
  return gathered;
}
