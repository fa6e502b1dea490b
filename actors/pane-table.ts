/**
 * All panes of one metric in one partition, in flat memory: each has a place as long as it lives, then the place is another's. A
 * slice (`pane-slice.ts`) knows which places are its own.
 *
 *    series   place -> number of its series (`series-table.ts`)
 *    next     place -> the next place of the same slice, or of the free ones
 *    marks    place -> does it wait to be collected, to be stored
 *    columns  place -> state, one column for each aggregate (`aggregates/state-column.ts`)
 *
 * One table for all slices: with one for each, a metric of a few series would spend most of its memory on headers of arrays.
 */
import type { StateColumn } from "./aggregates/state-column.ts";
import type { MetricPlan } from "./metric-plan.ts";
import type { SeriesTable } from "./series-table.ts";

/** No place. */
export const NOWHERE = -1;
const CAPACITY_MIN = 4;

export class PaneTable {
  readonly columns: readonly StateColumn[];
  readonly #seriesTable: SeriesTable;
  count = 0;
  series = new Int32Array(CAPACITY_MIN);
  next = new Int32Array(CAPACITY_MIN);
  marks = new Uint8Array(CAPACITY_MIN);
  /** Places from here on were never used. */
  #unused = 0;
  #free = NOWHERE;

  constructor(plan: MetricPlan, seriesTable: SeriesTable) {
    this.columns = plan.newColumns();
    this.#seriesTable = seriesTable;
    for (const column of this.columns) column.grow(CAPACITY_MIN);
  }

  /** A place for a pane of a series; its states are empty, it has no marks and nothing next to it. */
  take(series: number): number {
    const place = this.#free === NOWHERE ? this.#unused++ : this.#free;
    if (place === this.#free) this.#free = this.next[place] ?? NOWHERE;
    if (place === this.series.length) this.#grow();
    this.count++;
    this.series[place] = series;
    this.next[place] = NOWHERE;
    this.marks[place] = 0;
    this.#seriesTable.addPane(series);
    return place;
  }

  release(place: number): void {
    this.count--;
    this.#seriesTable.removePane(this.series[place] ?? 0);
    for (const column of this.columns) column.clear(place);
    this.next[place] = this.#free;
    this.#free = place;
  }

  #grow(): void {
    const capacity = Math.ceil(this.series.length * 1.5);
    const { series, next, marks } = this;
    this.series = new Int32Array(capacity);
    this.series.set(series);
    this.next = new Int32Array(capacity);
    this.next.set(next);
    this.marks = new Uint8Array(capacity);
    this.marks.set(marks);
    for (const column of this.columns) column.grow(capacity);
  }
}
