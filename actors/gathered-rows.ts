/**
 * What one metric reads of the accepted rows of a turn, by index, whatever frame a row came with: then the metric can take them
 * in another order than frame by frame (`accepted-rows.ts`). There is one instance, which the next metric fills anew. Only what
 * the metric reads is gathered, and of that what can be is in flat memory.
 */
import { NUMBER, UNKNOWN, type FieldColumn } from "../protocol/field-column.ts";
import type { FieldValue } from "../protocol/field-path.ts";
import type { AcceptedRows, AcceptedRun } from "./accepted-rows.ts";
import type { DedupKey } from "./deduplicate.ts";
import { hashValue } from "./aggregates/key-text.ts";
import type { MetricPlan } from "./metric-plan.ts";
import type { RowValues } from "./aggregates/state-column.ts";
import { valueNumbers } from "./value-numbers.ts";

const CAPACITY_MIN = 256;
/** In place of a text's number: there is no value, or null, which is the same for a dimension. */
export const NOTHING = -2;

export class GatheredRows implements RowValues {
  readonly values: FieldValue[] = [];
  numbers = new Float64Array(CAPACITY_MIN);
  hashes = new Uint32Array(2 * CAPACITY_MIN);
  /** Of each dimension: the number of its text, or NOTHING, or another one below 1: it has none. */
  readonly textNumbers: Int32Array[] = [];
  /** Of a metric with a filter: what `pick` found. */
  picked = new Int32Array(CAPACITY_MIN);
  /** By index, 1: the filter takes the row. Without a filter all are. */
  #flags = new Uint8Array(CAPACITY_MIN);
  #capacity = CAPACITY_MIN;
  #plan: MetricPlan | undefined;
  #accepted: AcceptedRows | undefined;

  fill(plan: MetricPlan, accepted: AcceptedRows): void {
    const { runs, rows, count } = accepted;
    this.#plan = plan;
    this.#accepted = accepted;
    if (count > this.#capacity) this.#grow(2 * count);
    while (this.textNumbers.length < plan.dimensionCount) this.textNumbers.push(new Int32Array(this.#capacity));
    for (let run = 0; run < runs.length; run++) {
      const { columns, from } = runs[run] as AcceptedRun;
      const to = accepted.endOf(run);
      const { matches, value, dimensions } = plan.bind(columns);
      if (value !== undefined) this.#gatherValue(plan, value, rows, from, to);
      for (let at = 0; at < dimensions.length; at++) {
        gatherTextNumbers(dimensions[at] as FieldColumn, this.textNumbers[at] as Int32Array, rows, from, to);
      }
      if (matches !== undefined) {
        for (let index = from; index < to; index++) this.#flags[index] = matches(rows[index] ?? 0) ? 1 : 0;
      }
    }
    if (!plan.hasFilter) this.#flags.fill(1, 0, count);
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

  /** The values of a row's dimensions. O(log frames): for rows whose texts have no numbers, and for new series. */
  dimensionsAt(index: number): FieldValue[] {
    const [plan, accepted] = [this.#plan, this.#accepted];
    if (plan === undefined || accepted === undefined) return [];
    const { dimensions } = plan.bind(accepted.columnsAt(index));
    const row = accepted.rows[index] ?? 0;
    return dimensions.map((column) => column.value(row));
  }

  /** Puts numbers that texts keep (`value-numbers.ts`) in place of those of the reader, for the rows that the filter takes. */
  numberValues(key: DedupKey): void {
    const [plan, accepted] = [this.#plan, this.#accepted];
    if (plan === undefined || accepted === undefined) return;
    const { runs, rows } = accepted;
    valueNumbers.begin();
    for (let at = 0; at < plan.dimensionCount; at++) {
      const numbers = this.textNumbers[at] as Int32Array;
      for (let run = 0; run < runs.length; run++) {
        const { columns, from } = runs[run] as AcceptedRun;
        const column = plan.bind(columns).dimensions[at] as FieldColumn;
        valueNumbers.read(column, rows, from, accepted.endOf(run), this.#flags, numbers);
      }
      valueNumbers.settle(key, numbers);
    }
  }

  #gatherValue({ reads }: MetricPlan, column: FieldColumn, rows: Int32Array, from: number, to: number): void {
    if (reads.number) gatherNumbers(column, this.numbers, rows, from, to);
    if (reads.hash) gatherHashes(column, this.hashes, rows, from, to);
    if (reads.value) for (let index = from; index < to; index++) this.values[index] = column.value(rows[index] ?? 0);
  }

  #grow(capacity: number): void {
    this.#capacity = capacity;
    this.numbers = new Float64Array(capacity);
    this.hashes = new Uint32Array(2 * capacity);
    this.picked = new Int32Array(capacity);
    this.#flags = new Uint8Array(capacity);
    this.textNumbers.length = 0;
  }
}

function gatherTextNumbers(column: FieldColumn, into: Int32Array, rows: Int32Array, from: number, to: number): void {
  const { kinds, firstKind, others } = column;
  for (let index = from; index < to; index++) {
    const row = rows[index] ?? 0;
    const kind = kinds[firstKind + row] ?? UNKNOWN;
    into[index] = kind === UNKNOWN && (others[row] ?? null) === null ? NOTHING : kind;
  }
}

/** NaN where there is no number. */
function gatherNumbers(column: FieldColumn, into: Float64Array, rows: Int32Array, from: number, to: number): void {
  const { kinds, firstKind, numbers, firstNumber, others } = column;
  for (let index = from; index < to; index++) {
    const row = rows[index] ?? 0;
    if (kinds[firstKind + row] === NUMBER) {
      into[index] = numbers[firstNumber + row] ?? 0;
      continue;
    }
    const value = others[row];
    into[index] = typeof value === "number" ? value : Number.NaN;
  }
}

/** Two zeros where there is nothing to hash. */
function gatherHashes(column: FieldColumn, into: Uint32Array, rows: Int32Array, from: number, to: number): void {
  const { kinds, firstKind, hashes, firstHash } = column;
  for (let index = from; index < to; index++) {
    const row = rows[index] ?? 0;
    if (hashes !== undefined && (kinds[firstKind + row] ?? 0) > 0) {
      into[2 * index] = hashes[firstHash + 2 * row] ?? 0;
      into[2 * index + 1] = hashes[firstHash + 2 * row + 1] ?? 0;
    } else hashValue(column.value(row), into, 2 * index);
  }
}

const gathered = new GatheredRows();

/** Valid until the next call. */
export function gather(plan: MetricPlan, accepted: AcceptedRows): GatheredRows {
  gathered.fill(plan, accepted);
  return gathered;
}
