/**
 * All panes of one metric with the same key, that is, start and size: which place in the metric's `PaneTable` each series has.
 *
 *    head -> place -> place -> ...   all of them, in the order in which they came
 *    slots    series number -> place, none while there are only a few panes: by open addressing, or, where as many slots are more
 *             than the highest number, by the number itself, so that nothing but the slot has to be looked at
 *
 * A pane of a counting metric takes 39 bytes so, against 212 as an object (`npm run bench -- memory`), and finding it costs two
 * reads of memory that stays in the cache (`npm run bench -- scale --micro`). The plain version is a Map of states
 * (`test/actors/pane-model.property.test.ts`). `PartialPanes` uses it, and `MetricPanes` for what partitions handed on.
 */
import type { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import type { RowValues } from "./aggregates/state-column.ts";
import { NOWHERE, type PaneTable } from "./pane-table.ts";

/** So few are found faster one by one. */
const UNSLOTTED_MAX = 8;
/** A place's marks: it is listed in `uncollected`; it differs from what the store has. */
const UNCOLLECTED = 1;
const DIRTY = 2;
/** 2^32 over the golden ratio. */
const GOLDEN_RATIO = 0x9e3779b1;
const NO_SLOTS = new Int32Array(0);
const NO_PLACES: readonly number[] = [];

export class PaneSlice {
  readonly key: number;
  readonly #table: PaneTable;
  #head = NOWHERE;
  #tail = NOWHERE;
  count = 0;
  /** Place + 1; 0 is free. A power of two of them, at most 3/4 full, or none. */
  #slots = NO_SLOTS;
  #slotShift = 0;
  /** The slot of a series is its number. */
  #isDirect = false;
  #seriesMax = 0;
  /** Places to hand to stage 2: a list, as that is done often. Those to store are looked for by their marks. */
  #uncollected: number[] | undefined = undefined;
  /** Some are to be stored. */
  isDirty = false;
  isDropped = false;

  constructor(key: number, table: PaneTable) {
    this.key = key;
    this.#table = table;
  }

  /** Some are to be collected. */
  get isUncollected(): boolean {
    return this.#uncollected !== undefined;
  }

  /** The places of all panes. */
  places(): number[] {
    const places: number[] = [];
    for (let place = this.#head; place !== NOWHERE; place = this.#table.next[place] ?? NOWHERE) places.push(place);
    return places;
  }

  seriesAt(place: number): number {
    return this.#table.series[place] ?? 0;
  }

  /** The place of a series; NOWHERE when it has none. */
  find(series: number): number {
    const slots = this.#slots;
    const seriesAt = this.#table.series;
    if (slots.length === 0) {
      const { next } = this.#table;
      for (let place = this.#head; place !== NOWHERE; place = next[place] ?? NOWHERE)
        if (seriesAt[place] === series) return place;
      return NOWHERE;
    }
    if (this.#isDirect) return series < slots.length ? (slots[series] ?? 0) - 1 : NOWHERE;
    const mask = slots.length - 1;
    for (let slot = this.#slotOf(series); ; slot = (slot + 1) & mask) {
      const place = (slots[slot] ?? 0) - 1;
      if (place < 0) return NOWHERE;
      if (seriesAt[place] === series) return place;
    }
  }

  /** The same; a new one when it has none. */
  placeOf(series: number): number {
    const place = this.find(series);
    return place === NOWHERE ? this.#enter(series) : place;
  }

  /** Says for each `at` from `from` to before `to` the place of the series `numbers[indexes[at]]`. */
  placesOf(numbers: Int32Array, indexes: Int32Array, from: number, to: number, places: Int32Array): void {
    let at = from;
    // Hardly a call in here: so the processor waits for the slots of many rows at once.
    for (let slots = this.#slots; this.#isDirect && at < to; at++) {
      const series = numbers[indexes[at] ?? 0] ?? 0;
      const place = series < slots.length ? (slots[series] ?? 0) - 1 : NOWHERE;
      places[at] = place === NOWHERE ? this.#enter(series) : place;
      slots = this.#slots;
    }
    for (; at < to; at++) places[at] = this.placeOf(numbers[indexes[at] ?? 0] ?? 0);
  }

  /** Adds row `indexes[at]` at `places[at]`, for `at` from `from` to before `to`, in that order. */
  add(places: Int32Array, rows: RowValues, indexes: Int32Array, from: number, to: number): void {
    const { columns, marks } = this.#table;
    for (let at = 0; at < columns.length; at++) columns[at]?.addRows(places, rows, indexes, from, to);
    for (let at = from; at < to; at++) {
      const place = places[at] ?? 0;
      if (marks[place] !== (UNCOLLECTED | DIRTY)) this.#touch(place);
    }
  }

  /** Adds the states of a pane of another slice to the pane of the same series here. */
  merge(from: PaneSlice, fromPlace: number): void {
    const place = this.placeOf(from.seriesAt(fromPlace));
    for (const column of this.#table.columns) column.merge(place, column, fromPlace);
    this.#touch(place);
  }

  /** As `MetricPlan.write` writes the states. */
  write(place: number, writer: ByteWriter): void {
    for (const column of this.#table.columns) column.write(place, writer);
  }

  read(place: number, reader: ByteReader): void {
    for (const column of this.#table.columns) column.read(place, reader);
  }

  markAllUncollected(): void {
    for (const place of this.places()) this.#markUncollected(place);
  }

  takeUncollected(): readonly number[] {
    const places = this.#uncollected ?? NO_PLACES;
    this.#uncollected = undefined;
    for (const place of places) this.#unmark(place, UNCOLLECTED);
    return places;
  }

  /** O(panes). */
  takeDirty(): readonly number[] {
    const { marks } = this.#table;
    const places = this.places().filter((place) => ((marks[place] ?? 0) & DIRTY) !== 0);
    for (const place of places) this.#unmark(place, DIRTY);
    this.isDirty = false;
    return places;
  }

  /** Gives all places back. */
  drop(): void {
    for (const place of this.places()) this.#table.release(place);
    this.isDropped = true;
  }

  #touch(place: number): void {
    this.#markUncollected(place);
    const { marks } = this.#table;
    marks[place] = (marks[place] ?? 0) | DIRTY;
    this.isDirty = true;
  }

  #markUncollected(place: number): void {
    const { marks } = this.#table;
    const before = marks[place] ?? 0;
    if ((before & UNCOLLECTED) !== 0) return;
    marks[place] = before | UNCOLLECTED;
    if (this.#uncollected === undefined) this.#uncollected = [place];
    else this.#uncollected.push(place);
  }

  #unmark(place: number, mark: number): void {
    const { marks } = this.#table;
    marks[place] = (marks[place] ?? 0) & ~mark;
  }

  #enter(series: number): number {
    const place = this.#table.take(series);
    if (this.#tail === NOWHERE) this.#head = place;
    else this.#table.next[this.#tail] = place;
    this.#tail = place;
    this.count++;
    if (series > this.#seriesMax) this.#seriesMax = series;
    if (this.count > UNSLOTTED_MAX && this.count * 4 > this.#slots.length * 3) this.#makeSlots(2 * this.#slots.length);
    else if (this.#isDirect && series >= this.#slots.length) this.#makeSlots(this.#slots.length);
    else if (this.#slots.length > 0) this.#fillSlot(series, place);
    return place;
  }

  #makeSlots(length: number): void {
    this.#slots = new Int32Array(Math.max(4 * UNSLOTTED_MAX, length));
    this.#slotShift = 1 + Math.clz32(this.#slots.length);
    this.#isDirect = this.#seriesMax < this.#slots.length;
    for (const place of this.places()) this.#fillSlot(this.seriesAt(place), place);
  }

  /** The highest bits of a multiple (Knuth, TAOCP 3, 6.4: Fibonacci hashing), which spreads numbers that lie close together. */
  #slotOf(series: number): number {
    return Math.imul(series, GOLDEN_RATIO) >>> this.#slotShift;
  }

  #fillSlot(series: number, place: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#isDirect ? series : this.#slotOf(series);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = place + 1;
  }
}
