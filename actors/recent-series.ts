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

  /** Writes the series of each row before `count`, or NO_SERIES. Loops without calls: the processor waits for many rows at once. */
  findAll(textNumbers: readonly Int32Array[], count: number, into: Int32Array): void {
    const [first, second] = textNumbers;
    if (this.#dimensions === 1 && first !== undefined) this.#findByOne(first, count, into);
    else if (this.#dimensions === 2 && first !== undefined && second !== undefined) this.#findByTwo(first, second, count, into);
    else for (let index = 0; index < count; index++) into[index] = this.find(textNumbers, index);
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

  #findByOne(first: Int32Array, count: number, into: Int32Array): void {
    const entries = this.#entries;
    const mask = this.#mask;
    for (let index = 0; index < count; index++) {
      const number = first[index] ?? 0;
      let at = 2 * (spread(mixed(0, number)) & mask);
      while (entries[at + 1] !== 0 && entries[at] !== number) at = (at + 2) & (2 * mask);
      into[index] = (entries[at + 1] ?? 0) - 1;
    }
  }

  #findByTwo(first: Int32Array, second: Int32Array, count: number, into: Int32Array): void {
    const entries = this.#entries;
    const mask = this.#mask;
    for (let index = 0; index < count; index++) {
      const one = first[index] ?? 0;
      const two = second[index] ?? 0;
      let entry = spread(mixed(mixed(0, one), two)) & mask;
      let at = 3 * entry;
      while (entries[at + 2] !== 0 && (entries[at] !== one || entries[at + 1] !== two)) {
        entry = (entry + 1) & mask;
        at = 3 * entry;
      }
      into[index] = (entries[at + 2] ?? 0) - 1;
    }
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
