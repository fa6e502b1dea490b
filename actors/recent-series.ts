/**
 * The series that rows had before, by the numbers of their dimensions' texts (`protocol/text-numbers.ts`): a row's series is found by a
 * few small numbers, where Maps by text cost a look at each text (`npm run bench -- micro`, partition: events_by_type_and_country).
 * Texts get new numbers now and then, so entries go stale; with too many of them all are forgotten. Bounded by the number of series,
 * and nothing but speed depends on what is in it. The plain version is `SeriesTable.of`.
 *
 *   entry   text number of each dimension | series + 1;   open addressing, at most half full
 */
import { NOTHING } from "./gathered-rows.ts";

export const NO_SERIES = -1;
const ENTRIES_MIN = 16;
/** Room for so many entries for each series. */
const ROOM = 4;
/** 2^32 over the golden ratio. */
const GOLDEN_RATIO = 0x9e3779b1;

export class RecentSeries {
  readonly #dimensions: number;
  readonly #stride: number;
  #entries: Int32Array;
  #mask = ENTRIES_MIN - 1;
  #count = 0;
  #generation = Number.NaN;

  constructor(dimensions: number) {
    this.#dimensions = dimensions;
    this.#stride = dimensions + 1;
    this.#entries = new Int32Array(ENTRIES_MIN * this.#stride);
  }

  get sizeBytes(): number {
    return this.#entries.byteLength;
  }

  /** Before rows: of which generation their numbers are. Those of another one are forgotten. */
  begin(generation: number): void {
    if (this.#generation === generation) return;
    this.#generation = generation;
    this.forgetAll();
  }

  /** Touches the places of the rows before `count`, so that the processor waits for all of them together. The result says nothing. */
  fetch(textNumbers: readonly Int32Array[], count: number): number {
    const entries = this.#entries;
    const dimensions = this.#dimensions;
    let seen = 0;
    for (let index = 0; index < count; index++) seen |= entries[this.#home(textNumbers, index) * this.#stride + dimensions] ?? 0;
    return seen;
  }

  /** The series of row `index`, or NO_SERIES. */
  find(textNumbers: readonly Int32Array[], index: number): number {
    return (this.#entries[this.#place(textNumbers, index) + this.#dimensions] ?? 0) - 1;
  }

  /** For a row that `find` has just not found; one of whose texts some has no number is not noted. `seriesCount`: of the metric. */
  note(textNumbers: readonly Int32Array[], index: number, series: number, seriesCount: number): void {
    for (let dimension = 0; dimension < this.#dimensions; dimension++) {
      const number = textNumbers[dimension]?.[index] ?? 0;
      if (number <= 0 && number !== NOTHING) return;
    }
    if (2 * (this.#count + 1) > this.#mask) this.#makeRoom(seriesCount);
    const at = this.#place(textNumbers, index);
    for (let dimension = 0; dimension < this.#dimensions; dimension++) {
      this.#entries[at + dimension] = textNumbers[dimension]?.[index] ?? 0;
    }
    this.#entries[at + this.#dimensions] = series + 1;
    this.#count++;
  }

  /** A series has been released: its number may become another's. */
  forgetAll(): void {
    if (this.#count > 0) this.#entries.fill(0);
    this.#count = 0;
  }

  #makeRoom(seriesCount: number): void {
    const entries = this.#mask + 1;
    if (entries >= ROOM * seriesCount) return this.forgetAll();
    const before = this.#entries;
    this.#mask = 2 * entries - 1;
    this.#entries = new Int32Array(2 * before.length);
    for (let from = 0; from < before.length; from += this.#stride) {
      if (before[from + this.#dimensions] !== 0) this.#move(before, from);
    }
  }

  /** Puts an entry of a shorter table where it belongs. */
  #move(before: Int32Array, from: number): void {
    const entries = this.#entries;
    const stride = this.#stride;
    let hash = 0;
    for (let at = 0; at < this.#dimensions; at++) hash = mixed(hash, before[from + at] ?? 0);
    let entry = spread(hash) & this.#mask;
    while (entries[entry * stride + this.#dimensions] !== 0) entry = (entry + 1) & this.#mask;
    for (let at = 0; at < stride; at++) entries[entry * stride + at] = before[from + at] ?? 0;
  }

  /** Where the entry of a row is, or would go. */
  #place(textNumbers: readonly Int32Array[], index: number): number {
    const entries = this.#entries;
    const dimensions = this.#dimensions;
    for (let entry = this.#home(textNumbers, index); ; entry++) {
      const place = (entry & this.#mask) * this.#stride;
      if (entries[place + dimensions] === 0) return place;
      let same = 0;
      while (same < dimensions && entries[place + same] === textNumbers[same]?.[index]) same++;
      if (same === dimensions) return place;
    }
  }

  #home(textNumbers: readonly Int32Array[], index: number): number {
    let hash = 0;
    for (let at = 0; at < this.#dimensions; at++) hash = mixed(hash, textNumbers[at]?.[index] ?? 0);
    return spread(hash) & this.#mask;
  }
}

function mixed(hash: number, number: number): number {
  return Math.imul(hash ^ number, GOLDEN_RATIO);
}

function spread(hash: number): number {
  return hash ^ (hash >>> 15);
}
