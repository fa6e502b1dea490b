/**
 * The series of one metric in one partition, by number: dimension values -> a small number that is theirs as long as they have a
 * pane, then another's. So panes can lie in flat memory (`pane-slice.ts`) and need no reference to their series.
 */
import type { FieldValue } from "../protocol/field-path.ts";
import { OTHER_SERIES, type DimensionValue } from "../protocol/metric-definition.ts";
import { textGeneration } from "../protocol/text-numbers.ts";
import type { DedupKey } from "./deduplicate.ts";
import type { GatheredRows } from "./gathered-rows.ts";
import { dimensionValue } from "./metric-plan.ts";
import { NO_SERIES, RecentSeries } from "./recent-series.ts";
import { valueNumbers } from "./value-numbers.ts";

/** The series is part of keys in stores, which have a limit of their own. */
const SERIES_ID_BYTES_MAX = 1_200;
/** Estimated memory of a series beside its texts: the places in lists and Maps, and the headers of objects. */
const SERIES_BYTES = 180;
/** With more, texts are likely to come with numbers that the reader has just given them: see `value-numbers.ts`. */
const FEW_SERIES = 500;
const encoder = new TextEncoder();

/** Level by level, without a joined key: no text is made for a series that exists. */
type Node = Map<DimensionValue, Node | number>;

export class SeriesTable {
  readonly #seriesMax: number;
  readonly #root: Node = new Map();
  /** Of a metric without dimensions. */
  #single = NO_SERIES;
  #other = NO_SERIES;
  /** By number: the dimensions as JSON text, the series' name in stores and on the way to stage 2. */
  readonly #ids: string[] = [];
  /** By number: stage 2 knows whose it is. */
  readonly #told: boolean[] = [];
  /** By number: how many panes it has. */
  readonly #panes: number[] = [];
  readonly #free: number[] = [];
  readonly #recent: RecentSeries;
  readonly #key: DedupKey;
  readonly #few: number;
  /** There have been more than a few series. */
  #byValue = false;
  #idBytesSum = 0;
  /** Events that went to the `__other__` series. */
  overflowedEvents = 0;

  /** `key`: what texts are hashed with in memory. */
  constructor(seriesMax: number, dimensionCount: number, key: DedupKey, few = FEW_SERIES) {
    this.#seriesMax = seriesMax;
    this.#key = key;
    this.#few = few;
    this.#recent = new RecentSeries(dimensionCount);
  }

  get count(): number {
    return this.#ids.length - this.#free.length;
  }

  /** Estimated: their names as text and as UTF-8, and their values. */
  get sizeBytes(): number {
    return this.count * SERIES_BYTES + 3 * this.#idBytesSum + this.#recent.sizeBytes;
  }

  idOf(series: number): string {
    return this.#ids[series] ?? "";
  }

  /** Its id, when stage 2 has not been told whose the number is; it counts as told then. */
  takeNews(series: number): string | undefined {
    if (this.#told[series] === true) return undefined;
    this.#told[series] = true;
    return this.idOf(series);
  }

  /** Stage 2 starts anew. */
  forgetTold(): void {
    this.#told.fill(false);
  }

  /**
   * Writes the series of each row before `count` that the filter takes: found or made; past the limit, the `__other__` one. A series
   * that rows had before is found by the numbers of its texts.
   */
  ofRows(rows: GatheredRows, count: number, into: Int32Array): void {
    const { textNumbers } = rows;
    this.#byValue ||= this.count > this.#few;
    if (this.#byValue) {
      rows.numberValues(this.#key);
      this.#recent.begin(~valueNumbers.generation);
    } else this.#recent.begin(textGeneration());
    this.#recent.findAll(textNumbers, count, into);
    for (let index = 0; index < count; index++) {
      if (into[index] !== NO_SERIES || !rows.takes(index)) continue;
      // A row before may have had the same values.
      const recent = this.#recent.find(textNumbers, index);
      into[index] = recent === NO_SERIES ? this.#ofValues(rows.dimensionsAt(index), textNumbers, index) : recent;
    }
  }

  #ofValues(values: readonly FieldValue[], textNumbers: readonly Int32Array[], index: number): number {
    const dimensions = values.map(dimensionValue);
    const series = this.of(dimensions);
    // Not `__other__`: each event that goes there is counted.
    if (series !== this.#other) this.#recent.note(textNumbers, index, series, this.count);
    return series;
  }

  /** Finds or makes the series; past the limit, the `__other__` one. */
  of(dimensions: readonly DimensionValue[]): number {
    const found = this.#find(dimensions);
    if (found !== NO_SERIES) return found;
    const full = this.count >= this.#seriesMax || isTooLong(dimensions);
    if (!full || dimensions.every((value) => value === OTHER_SERIES)) return this.#enter(dimensions);
    this.overflowedEvents++;
    if (this.#other === NO_SERIES) this.#other = this.of(dimensions.map(() => OTHER_SERIES));
    return this.#other;
  }

  /** The series of a stored id, whatever the limit says: it was let in when it came. */
  restored(id: string): number {
    const dimensions = JSON.parse(id) as DimensionValue[];
    const found = this.#find(dimensions);
    return found === NO_SERIES ? this.#enter(dimensions) : found;
  }

  addPane(series: number): void {
    this.#panes[series] = (this.#panes[series] ?? 0) + 1;
  }

  /** With its last pane a series goes: without panes it must not count against the limit, as after a restore it would not be there. */
  removePane(series: number): void {
    const left = (this.#panes[series] ?? 0) - 1;
    this.#panes[series] = left;
    if (left === 0) this.#release(series);
  }

  #find(dimensions: readonly DimensionValue[]): number {
    if (dimensions.length === 0) return this.#single;
    let node: Node | number | undefined = this.#root;
    for (const value of dimensions) node = (node as Node | undefined)?.get(value);
    return (node as number | undefined) ?? NO_SERIES;
  }

  #enter(dimensions: readonly DimensionValue[]): number {
    const series = this.#free.pop() ?? this.#ids.length;
    const id = JSON.stringify(dimensions);
    this.#ids[series] = id;
    this.#idBytesSum += id.length;
    this.#panes[series] = 0;
    this.#told[series] = false;
    const last = dimensions.at(-1);
    if (last === undefined) return (this.#single = series);
    let node = this.#root;
    for (const value of dimensions.slice(0, -1)) {
      let next = node.get(value) as Node | undefined;
      if (next === undefined) node.set(value, (next = new Map()));
      node = next;
    }
    node.set(last, series);
    return series;
  }

  #release(series: number): void {
    const dimensions = JSON.parse(this.idOf(series)) as DimensionValue[];
    if (this.#single === series) this.#single = NO_SERIES;
    if (this.#other === series) this.#other = NO_SERIES;
    let node: Node | undefined = this.#root;
    const path: [Node, DimensionValue][] = [];
    for (const value of dimensions) {
      if (node === undefined) break;
      path.push([node, value]);
      node = node.get(value) as Node | undefined;
    }
    for (const [parent, value] of path.toReversed()) {
      const child = parent.get(value);
      if (child === series || (child instanceof Map && child.size === 0)) parent.delete(value);
    }
    this.#idBytesSum -= this.idOf(series).length;
    this.#ids[series] = "";
    this.#free.push(series);
    this.#recent.forgetAll();
  }
}

function isTooLong(dimensions: readonly DimensionValue[]): boolean {
  return encoder.encode(JSON.stringify(dimensions)).length > SERIES_ID_BYTES_MAX;
}
