/**
 * The session and user ids of a frame, first as places in its bytes and then, many rows at once, as strings. The plain reader
 * uses one of these for each of the two.
 */
import { UNKNOWN, type FieldColumn } from "./field-column.ts";
import type { FrameBytes, Interner } from "./interner.ts";

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

  /** Forgets the text of a row. */
  forget(row: number): void {
    this.#lengths[row % ROWS_AT_ONCE] = 0;
  }

  /** Remembers a text of one byte or more, within the frame, for a row. */
  add(row: number, from: number, length: number, hash: number): void {
    const place = row % ROWS_AT_ONCE;
    this.#froms[place] = from;
    this.#lengths[place] = length;
    this.#hashes[place] = hash;
  }

  /** Puts the texts of rows `from` to `to` (no more than ROWS_AT_ONCE) into a column with hashes; false: one is not ASCII. */
  resolve(
    interner: Interner,
    frame: FrameBytes,
    from: number,
    to: number,
    texts: (string | undefined)[],
    column: FieldColumn,
  ): boolean {
    const { kinds, firstKind, hashes, firstHash } = column;
    this.fetched = interner.fetch(this.#hashes, to - from);
    for (let row = from; row < to; row++) {
      const place = row - from;
      const length = this.#lengths[place] ?? 0;
      if (length === 0) continue;
      const text = interner.hashed(frame, this.#froms[place] ?? 0, length, this.#hashes[place] ?? 0);
      if (text === undefined) return false;
      texts[row] = text;
      const { number } = interner;
      kinds[firstKind + row] = number;
      if (number !== UNKNOWN && hashes !== undefined) interner.writeHash(hashes, firstHash + 2 * row);
      this.#lengths[place] = 0;
    }
    return true;
  }
}
