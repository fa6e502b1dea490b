/**
 * The series of a metric in stage 2, by number: dimension values as JSON text -> a small number. Stage 1 says a series' text once
 * and its own number from then on (`partials.ts`); for each partition there is a list from its numbers to those here.
 *
 * A number is a series' as long as anything refers to it: a pane, a partition's number, a channel's row. Then it is another's.
 */
import type { DimensionValue } from "../protocol/metric-definition.ts";
import type { PaneCounter } from "./pane-table.ts";

export const UNKNOWN = -1;
const REFERENCES_MIN = 4;
const NO_SERIES = new Int32Array(0);

export class MetricSeries implements PaneCounter {
  readonly #numbers = new Map<string, number>();
  readonly #ids: string[] = [];
  /** By number: panes, and all other references. */
  #panes = new Int32Array(REFERENCES_MIN);
  #references = new Int32Array(REFERENCES_MIN);
  readonly #free: number[] = [];
  readonly #known = new Map<number, Int32Array<ArrayBuffer>>();
  /** The partition that was asked for last, and its list: panes come partition by partition. */
  #lastPartition = UNKNOWN;
  #lastKnown = NO_SERIES;
  /** Series that have panes. */
  count = 0;
  nameBytes = 0;

  /** Numbers given out so far lie below this. */
  get end(): number {
    return this.#ids.length;
  }

  hasPanes(series: number): boolean {
    return (this.#panes[series] ?? 0) > 0;
  }

  /** "" for a number that is nobody's. */
  idOf(series: number): string {
    return this.#ids[series] ?? "";
  }

  dimensionsOf(series: number): DimensionValue[] {
    return JSON.parse(this.idOf(series)) as DimensionValue[];
  }

  /** The series that a partition means by its number; UNKNOWN when it has not said so. */
  known(partition: number, theirs: number): number {
    if (partition !== this.#lastPartition) {
      this.#lastPartition = partition;
      this.#lastKnown = this.#known.get(partition) ?? NO_SERIES;
    }
    return (this.#lastKnown[theirs] ?? 0) - 1;
  }

  /** A partition says which series it means by its number from now on. */
  introduce(partition: number, theirs: number, id: string): number {
    const before = this.known(partition, theirs);
    if (before !== UNKNOWN && this.#ids[before] === id) return before;
    const series = this.#numbers.get(id) ?? this.#enter(id);
    this.hold(series);
    const known = this.#roomFor(partition, theirs);
    known[theirs] = series + 1;
    if (before !== UNKNOWN) this.letGo(before);
    return series;
  }

  hold(series: number): void {
    this.#references[series] = (this.#references[series] ?? 0) + 1;
  }

  letGo(series: number): void {
    this.#references[series] = (this.#references[series] ?? 0) - 1;
    this.#releaseIfUnused(series);
  }

  addPane(series: number): void {
    const panes = this.#panes[series] ?? 0;
    this.#panes[series] = panes + 1;
    if (panes === 0) this.count++;
  }

  removePane(series: number): void {
    const left = (this.#panes[series] ?? 0) - 1;
    this.#panes[series] = left;
    if (left > 0) return;
    this.count--;
    this.#releaseIfUnused(series);
  }

  #enter(id: string): number {
    const series = this.#free.pop() ?? this.#ids.length;
    this.#ids[series] = id;
    this.#numbers.set(id, series);
    this.nameBytes += id.length;
    if (series >= this.#panes.length) {
      this.#panes = longer(this.#panes, series);
      this.#references = longer(this.#references, series);
    }
    return series;
  }

  #releaseIfUnused(series: number): void {
    if (this.hasPanes(series) || (this.#references[series] ?? 0) > 0) return;
    this.#numbers.delete(this.idOf(series));
    this.nameBytes -= this.idOf(series).length;
    this.#ids[series] = "";
    this.#free.push(series);
  }

  #roomFor(partition: number, theirs: number): Int32Array {
    let known = this.#known.get(partition) ?? new Int32Array(1);
    if (theirs >= known.length) known = longer(known, theirs);
    this.#known.set(partition, known);
    if (partition === this.#lastPartition) this.#lastKnown = known;
    return known;
  }
}

function longer(array: Int32Array, index: number): Int32Array<ArrayBuffer> {
  const made = new Int32Array(Math.max(index + 1, Math.ceil(array.length * 1.5)));
  made.set(array);
  return made;
}
