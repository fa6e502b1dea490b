/**
 * The ids of a frame, first as places in its bytes or copies of them and then, many rows at once, as strings. The plain reader
 * uses one of these for each of its three columns of ids.
 */
import { asciiText, type FrameBytes, type Interner } from "./interner.ts";

/** Rows that are looked up at once: what is fetched for them stays in the fastest cache. */
export const ROWS_AT_ONCE = 128;

/**
 * Session or user ids. The table of an interner that knows tens of thousands of ids lies in memory that is slow to reach:
 * looking up many rows at once lets the processor wait for all of them together.
 */
export class PendingIdentities {
  readonly #froms = new Int32Array(ROWS_AT_ONCE);
  readonly #lengths = new Int32Array(ROWS_AT_ONCE);
  readonly #hashes = new Int32Array(ROWS_AT_ONCE);

  /** What `fetch` gave, kept so that no compiler takes the fetching away. */
  fetched = 0;

  /** Forgets all that was not resolved. */
  clear(): void {
    this.#lengths.fill(0);
  }

  /** Remembers a text of one byte or more, within the frame, for a row. */
  add(row: number, from: number, length: number, hash: number): void {
    const place = row % ROWS_AT_ONCE;
    this.#froms[place] = from;
    this.#lengths[place] = length;
    this.#hashes[place] = hash;
  }

  /** Puts the texts of rows `from` to `to` (no more than ROWS_AT_ONCE) into the column; false: one is not ASCII. */
  resolve(interner: Interner, frame: FrameBytes, from: number, to: number, column: (string | undefined)[]): boolean {
    this.fetched = interner.fetch(this.#hashes, to - from);
    for (let row = from; row < to; row++) {
      const place = row - from;
      const length = this.#lengths[place] ?? 0;
      if (length === 0) continue;
      const text = interner.hashed(frame, this.#froms[place] ?? 0, length, this.#hashes[place] ?? 0);
      if (text === undefined) return false;
      column[row] = text;
      this.#lengths[place] = 0;
    }
    return true;
  }
}

const SCRATCH_BYTES = 8_192;

/** The event ids of a frame: always new, so they become one string and slices of it, which costs half of making each one. */
export class PendingEventIds {
  #bytes = new Uint8Array(SCRATCH_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;
  #ends = new Int32Array(ROWS_AT_ONCE);

  start(count: number): void {
    this.#end = 0;
    if (count > this.#ends.length) this.#ends = new Int32Array(count * 2);
  }

  /** Takes a copy of a text within the frame, for the next row; false: it is not ASCII. */
  add({ bytes, view }: FrameBytes, from: number, length: number, row: number): boolean {
    const to = this.#end;
    if (to + length > this.#bytes.length) this.#grow(to + length);
    const copy = this.#bytes;
    const copyView = this.#view;
    let seen = 0;
    let done = 0;
    for (; done + 4 <= length; done += 4) {
      const word = view.getInt32(from + done, true);
      seen |= word;
      copyView.setInt32(to + done, word, true);
    }
    for (; done < length; done++) {
      const byte = bytes[from + done] ?? 0;
      seen |= byte;
      copy[to + done] = byte;
    }
    this.#end = to + length;
    this.#ends[row] = to + length;
    return (seen & 0x80808080) === 0;
  }

  /** The texts of the first `count` rows. */
  cut(count: number): string[] {
    const text = asciiText(this.#bytes, 0, this.#end);
    const ids = new Array<string>(count).fill("");
    let from = 0;
    for (let row = 0; row < count; row++) {
      const end = this.#ends[row] ?? 0;
      ids[row] = text.slice(from, end);
      from = end;
    }
    return ids;
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(needed * 2);
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
