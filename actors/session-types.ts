/**
 * How many events of each type a plain session has: in its record (`session-table.ts`) two types, in a piece of memory behind it more.
 * Types are numbers (`type-numbers.ts`). Only `SessionTable` uses it; that it is what a `Session` would have is a law of that one.
 *
 *    record: ... flags: count << 8 ... more ... | number events | number events |     piece: [number events, number events ...]
 */
import { TypeNumbers } from "./type-numbers.ts";
import { offsetIn, type WordBlocks } from "./word-blocks.ts";

/** Words of a record: the flags, above which the number of types stands; the piece; the first types. */
export const FLAGS = 11;
const MORE_TYPES = 13;
const TYPES = 16;
export const RECORD_WORDS = 20;
const TYPE_COUNT_SHIFT = 8;
const ONE_TYPE = 1 << TYPE_COUNT_SHIFT;

const TYPES_HERE = 2;
export const TYPES_MAX = 16;

export class SessionTypes {
  readonly #numbers = new TypeNumbers();
  readonly #blocks: WordBlocks;

  constructor(blocks: WordBlocks) {
    this.#blocks = blocks;
  }

  /** Types that some session has. */
  get count(): number {
    return this.#numbers.count;
  }

  /** Estimated: the texts of types. What sessions have of them is in records and pieces. */
  get sizeBytes(): number {
    return this.#numbers.sizeBytes;
  }

  /** Counts an event of a session, whose record begins at `at`; false: it has too many other types. */
  increase(record: Int32Array, at: number, eventType: string, typeNumber: number): boolean {
    const type = this.#numbers.find(eventType, typeNumber);
    const count = (record[at + FLAGS] as number) >>> TYPE_COUNT_SHIFT;
    const here = Math.min(count, TYPES_HERE);
    for (let place = at + TYPES; place < at + TYPES + 2 * here; place += 2) {
      if (record[place] !== type) continue;
      record[place + 1] = (record[place + 1] as number) + 1;
      return true;
    }
    if (count > TYPES_HERE) {
      const more = record[at + MORE_TYPES] as number;
      const page = this.#blocks.page(more);
      const from = offsetIn(more);
      for (let place = from; place < from + 2 * (count - TYPES_HERE); place += 2) {
        if (page[place] !== type) continue;
        page[place + 1] = (page[place + 1] as number) + 1;
        return true;
      }
    }
    if (count === TYPES_MAX) return false;
    this.add(record, at, eventType, 1);
    return true;
  }

  /** A type that the session does not have yet. */
  add(record: Int32Array, at: number, eventType: string, events: number): void {
    const count = (record[at + FLAGS] as number) >>> TYPE_COUNT_SHIFT;
    record[at + FLAGS] = (record[at + FLAGS] as number) + ONE_TYPE;
    let page = record;
    let place = at + TYPES + 2 * count;
    if (count >= TYPES_HERE) {
      const more = this.#roomForOneMore(record, at, count - TYPES_HERE);
      page = this.#blocks.page(more);
      place = offsetIn(more) + 2 * (count - TYPES_HERE);
    }
    page[place] = this.#numbers.hold(eventType);
    page[place + 1] = events;
  }

  letGo(record: Int32Array, at: number): void {
    const count = (record[at + FLAGS] as number) >>> TYPE_COUNT_SHIFT;
    this.#each(record, at, (type) => this.#numbers.letGo(type));
    if (count > TYPES_HERE) this.#blocks.giveBack(record[at + MORE_TYPES] as number, wordsFor(count - TYPES_HERE));
    record[at + FLAGS] = (record[at + FLAGS] as number) & (ONE_TYPE - 1);
  }

  /** In the order in which they came. */
  of(record: Int32Array, at: number): Map<string, number> {
    const types = new Map<string, number>();
    this.#each(record, at, (type, events) => types.set(this.#numbers.text(type), events));
    return types;
  }

  /** The piece with `count` types, and with room for one more. */
  #roomForOneMore(record: Int32Array, at: number, count: number): number {
    const more = record[at + MORE_TYPES] as number;
    const words = wordsFor(count + 1);
    if (count > 0 && words === wordsFor(count)) return more;
    const grown = this.#blocks.take(words);
    record[at + MORE_TYPES] = grown;
    if (count === 0) return grown;
    const from = this.#blocks.page(more);
    const to = this.#blocks.page(grown);
    for (let word = 0; word < 2 * count; word++) to[offsetIn(grown) + word] = from[offsetIn(more) + word] as number;
    this.#blocks.giveBack(more, wordsFor(count));
    return grown;
  }

  #each(record: Int32Array, at: number, take: (type: number, events: number) => void): void {
    const count = (record[at + FLAGS] as number) >>> TYPE_COUNT_SHIFT;
    const more = record[at + MORE_TYPES] as number;
    for (let index = 0; index < count; index++) {
      const isHere = index < TYPES_HERE;
      const page = isHere ? record : this.#blocks.page(more);
      const place = isHere ? at + TYPES + 2 * index : offsetIn(more) + 2 * (index - TYPES_HERE);
      take(page[place] as number, page[place + 1] as number);
    }
  }
}

/** A piece grows by some types at a time, for it moves each time. */
function wordsFor(count: number): number {
  if (count <= 2) return 4;
  if (count <= 4) return 8;
  return count <= 8 ? 16 : 2 * (TYPES_MAX - TYPES_HERE);
}
