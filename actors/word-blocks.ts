/**
 * Pieces of memory of different lengths, to be taken and given back: the texts and types of sessions. A piece that is given back
 * waits in a list of its length, and is what the next one of that length gets. Pieces never move and none lies across two pages.
 */
import { assert } from "../protocol/assert.ts";
import { PagedWords } from "./paged-words.ts";

const PAGE_BITS = 13;
const PAGE_WORDS = 1 << PAGE_BITS;
const OFFSET_MASK = PAGE_WORDS - 1;
const FIRST_WORDS = 32;
/** The longest piece. */
export const BLOCK_WORDS_MAX = 256;
const NONE = -1;

export class WordBlocks {
  readonly #memory = new PagedWords(PAGE_WORDS, FIRST_WORDS);
  /** By length: the first piece that is free; each names the next one in its first word. */
  readonly #free: number[] = [];
  #end = 0;

  get sizeBytes(): number {
    return this.#memory.sizeBytes;
  }

  /** At least `words` long, by pairs of words; at least one pair. What is in it is left from before. */
  take(words: number): number {
    const length = lengthOf(words);
    assert(length <= BLOCK_WORDS_MAX, "a piece of memory is too long");
    const free = this.#free[length] ?? NONE;
    if (free !== NONE) {
      this.#free[length] = this.page(free)[offsetIn(free)] ?? NONE;
      return free;
    }
    // What is left of a page is too short for this piece: less than a kilobyte of 32.
    if (offsetIn(this.#end) + length > PAGE_WORDS) this.#end = (this.#end & ~OFFSET_MASK) + PAGE_WORDS;
    const at = this.#end;
    this.#end += length;
    this.#memory.reserve(this.#end);
    return at;
  }

  /** `words`: as it was taken. */
  giveBack(at: number, words: number): void {
    const length = lengthOf(words);
    for (let shorter = this.#free.length; shorter <= length; shorter++) this.#free[shorter] = NONE;
    this.page(at)[offsetIn(at)] = this.#free[length] ?? NONE;
    this.#free[length] = at;
  }

  /** The memory that holds the piece; it may be another one after the next `take`. */
  page(at: number): Int32Array {
    return this.#memory.ints[at >>> PAGE_BITS] as Int32Array;
  }
}

/** Where in its page a piece begins. */
export function offsetIn(at: number): number {
  return at & OFFSET_MASK;
}

/** Pieces of equal length are of equal use, whatever was asked for. */
export function lengthOf(words: number): number {
  return words < 2 ? 2 : (words + 1) & ~1;
}
