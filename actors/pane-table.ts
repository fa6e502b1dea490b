/**
 * All panes of one metric in one partition (stage 1), or of all partitions (stage 2), in flat memory: each has a place as long as it lives, then the place is another's. A
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
import { countedBytes } from "./counted-bytes.ts";
import type { MetricPlan } from "./metric-plan.ts";

/** Who has to know which series have panes. */
export interface PaneCounter {
  addPane(series: number): void;
  removePane(series: number): void;
}

/** No place. */
export const NOWHERE = -1;
const CAPACITY_MIN = 4;
/** Of a place without its states. */
const PLACE_BYTES = 9;
/** So many places are weighed for what their objects take, at the first time and later; the mean of about so many times counts. */
const WEIGHED_AT_FIRST = 8;
const WEIGHED_LATER = 2;
const WEIGHINGS = 16;

export class PaneTable {
  readonly columns: readonly StateColumn[];
  readonly #counter: PaneCounter;
  count = 0;
  series = new Int32Array(CAPACITY_MIN);
  next = new Int32Array(CAPACITY_MIN);
  marks = new Uint8Array(CAPACITY_MIN);
  /** Places from here on were never used. */
  #unused = 0;
  #free = NOWHERE;
  /** Where the next weighing begins, and what a place's objects take on average. */
  #weighFrom = 0;
  #objectBytes = Number.NaN;

  constructor(plan: MetricPlan, counter: PaneCounter) {
    this.columns = plan.newColumns();
    this.#counter = counter;
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
    this.#counter.addPane(series);
    return place;
  }

  release(place: number): void {
    this.count--;
    this.#counter.removePane(this.series[place] ?? 0);
    for (const column of this.columns) column.clear(place);
    this.next[place] = this.#free;
    this.#free = place;
  }

  /**
   * See `counted-bytes.ts`. What objects (sketches) take is an estimate from samples, so that asking costs the same for any number
   * of panes.
   */
  get countedBytes(): number {
    let placeBytes = PLACE_BYTES;
    for (const column of this.columns) placeBytes += column.placeBytes;
    const flatBytes = countedBytes(this.count * placeBytes, this.series.length * placeBytes);
    return flatBytes + this.#weigh() * this.#unused;
  }

  /** The mean over places, free ones included: those have no objects. */
  #weigh(): number {
    const places = this.#unused;
    if (places === 0) return 0;
    const isFirst = Number.isNaN(this.#objectBytes);
    const samples = Math.min(places, isFirst ? WEIGHED_AT_FIRST : WEIGHED_LATER);
    const step = Math.max(1, Math.floor(places / samples));
    let bytes = 0;
    for (let sample = 0; sample < samples; sample++) {
      const place = (this.#weighFrom + sample * step) % places;
      for (const column of this.columns) bytes += column.objectBytesAt(place);
    }
    this.#weighFrom = (this.#weighFrom + 1) % places;
    const mean = bytes / samples;
    this.#objectBytes = isFirst || samples === places ? mean : this.#objectBytes + (mean - this.#objectBytes) / WEIGHINGS;
    return this.#objectBytes;
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
