/**
 * What changed, in order, for a reader that works at its own pace (the warehouse writer): each changed thing stands in the
 * feed once, under the number of its last change. So the feed is never longer than the number of things, a reader that
 * remembers the last number it has seen goes on from there, and reading something twice is harmless.
 */
import type { StateWrite } from "./effects.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class ChangeFeed {
  readonly #table: string;
  #last: number;

  constructor(table: string, last: number) {
    this.#table = table;
    this.#last = last;
  }

  /** The highest number given out. */
  get last(): number {
    return this.#last;
  }

  /** Moves a thing from its old place (0: none) to the end, and returns its new number. */
  move(oldSeq: number, key: readonly (string | number)[], writes: StateWrite[]): number {
    if (oldSeq > 0) writes.push({ table: this.#table, key: [oldSeq], value: undefined });
    const seq = ++this.#last;
    writes.push({ table: this.#table, key: [seq], value: encoder.encode(JSON.stringify(key)) });
    return seq;
  }

  /** Takes a thing out. */
  remove(seq: number, writes: StateWrite[]): void {
    if (seq > 0) writes.push({ table: this.#table, key: [seq], value: undefined });
  }
}

/** The key of the thing that an entry of a feed names. */
export function changedKey(value: Uint8Array): (string | number)[] {
  return JSON.parse(decoder.decode(value)) as (string | number)[];
}
