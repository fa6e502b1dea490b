/**
 * Numbers that the values of dimensions keep. A text's number from the reader (`protocol/text-numbers.ts`) goes when other texts drive
 * the text out of the interner, which holds a few thousand: of a dimension with more values nearly every text comes with a number
 * that nobody has seen, and its series was found by the text alone, in a Map for each partition. Here a text has the same number for
 * a whole generation, for all metrics and partitions of the thread, so that `recent-series.ts` knows it.
 *
 *   memo    number from the reader -> number here                        for texts that the interner still holds
 *   index   hash of the text -> address of its piece, + 1 its number     for all
 *   blocks  piece: bytes of the text | its words
 *
 * Texts are hashed and their places touched for all rows together, so that the processor waits for all of that memory at once. The
 * key of the hash is secret: nobody can make values that crowd in one place. Bounded: when it is full all is forgotten, with the
 * next batch, and a generation begins. Nothing but speed depends on it: an event of 10,000 series costs a sixth less CPU
 * (`npm run bench -- scale --micro`). The plain version is `SeriesTable.of` (`test/actors/series-table.property.test.ts`).
 */
import { UNKNOWN, type FieldColumn } from "../protocol/field-column.ts";
import { NOT_KNOWN, TextMemo } from "../protocol/text-memo.ts";
import type { DedupKey } from "./deduplicate.ts";
import { NumberIndex } from "./number-index.ts";
import { equalsLoaded, hashLoaded, loadText, storeLoaded, TEXT_BYTES_MAX, wordsOf } from "./text-words.ts";
import { offsetIn, WordBlocks } from "./word-blocks.ts";

/** Bounds of what is kept: with them about 30 MiB. */
const TEXTS_MAX = 2 ** 19;
const BLOCK_BYTES_MAX = 2 ** 24;
const MEMO_TEXTS = 8_192;
/** Longer texts have no number. A unit takes up to three bytes. */
const TEXT_UNITS_MAX = Math.floor(TEXT_BYTES_MAX / 3);
const CAPACITY_MIN = 256;

export class ValueNumbers {
  readonly #textsMax: number;
  readonly #memo = new TextMemo(MEMO_TEXTS);
  #index = new NumberIndex();
  #blocks = new WordBlocks();
  generation = 0;
  /** Texts that were forgotten. */
  evicted = 0;
  /** Rows whose text has to be looked for: index, text, hash. */
  #pending = 0;
  #indexes = new Int32Array(CAPACITY_MIN);
  #hashes = new Int32Array(CAPACITY_MIN);
  readonly #texts: string[] = [];
  /** What `settle` saw, kept so that no compiler takes the touching away. */
  touched = 0;

  constructor(textsMax = TEXTS_MAX) {
    this.#textsMax = textsMax;
  }

  get count(): number {
    return this.#index.count;
  }

  get sizeBytes(): number {
    return this.#index.sizeBytes + this.#blocks.sizeBytes + this.#memo.sizeBytes;
  }

  /** Before the rows of a batch: numbers that it gets are good until the next one. */
  begin(): void {
    if (!this.#isFull) return;
    this.generation++;
    this.evicted += this.count;
    this.#index = new NumberIndex();
    this.#blocks = new WordBlocks();
    this.#memo.clear();
  }

  /**
   * Replaces the numbers of texts at `index`, for those from `from` to before `to` that have a flag; of texts that are not known by
   * these the text is kept for `settle`. What is no text has a number below 0, which is left alone.
   */
  read(column: FieldColumn, rows: Int32Array, from: number, to: number, flags: Uint8Array, numbers: Int32Array): void {
    const { others } = column;
    for (let index = from; index < to; index++) {
      const textNumber = numbers[index] ?? 0;
      if (textNumber < 0 || flags[index] !== 1) continue;
      const known = this.#memo.get(textNumber);
      if (known === NOT_KNOWN) this.#keep(others[rows[index] ?? 0], index);
      else numbers[index] = known;
    }
  }

  /** Writes the numbers of the texts that were kept; UNKNOWN for those that can't have one. */
  settle(key: DedupKey, numbers: Int32Array): void {
    const pending = this.#pending;
    this.#pending = 0;
    for (let at = 0; at < pending; at++) this.#hashes[at] = hashOf(key, this.#texts[at] ?? "");
    this.touched = this.#touch(pending);
    for (let at = 0; at < pending; at++) {
      const index = this.#indexes[at] ?? 0;
      const number = this.#numberOf(this.#texts[at] ?? "", this.#hashes[at] ?? 0);
      if (number !== UNKNOWN) this.#memo.put(numbers[index] ?? 0, number);
      numbers[index] = number;
      this.#texts[at] = "";
    }
  }

  get #isFull(): boolean {
    return this.count >= this.#textsMax || this.#blocks.sizeBytes >= BLOCK_BYTES_MAX;
  }

  /** What is no text is kept as one that gets no number. */
  #keep(value: unknown, index: number): void {
    if (this.#pending === this.#indexes.length) this.#grow();
    this.#indexes[this.#pending] = index;
    this.#texts[this.#pending++] = typeof value === "string" && value.length <= TEXT_UNITS_MAX ? value : "";
  }

  #touch(pending: number): number {
    const index = this.#index;
    const blocks = this.#blocks;
    let seen = 0;
    for (let at = 0; at < pending; at++) {
      const place = index.first(this.#hashes[at] ?? 0);
      if (place < 0) continue;
      const block = index.numberAt(place);
      seen |= blocks.page(block)[offsetIn(block)] ?? 0;
    }
    return seen;
  }

  #numberOf(text: string, hash: number): number {
    if (text === "") return UNKNOWN;
    const lengthBytes = loadText(text);
    // Without a sign for half of a pair, texts that differ would have the same bytes.
    if (lengthBytes !== text.length && !text.isWellFormed()) return UNKNOWN;
    const index = this.#index;
    for (let place = index.first(hash); place !== -1; place = index.next(place, hash)) {
      const block = index.numberAt(place);
      const page = this.#blocks.page(block);
      const at = offsetIn(block);
      if (page[at] === lengthBytes && equalsLoaded(page, at + 1, lengthBytes)) return block + 1;
    }
    if (this.#isFull) return UNKNOWN;
    const block = this.#blocks.take(1 + wordsOf(lengthBytes));
    const page = this.#blocks.page(block);
    page[offsetIn(block)] = lengthBytes;
    storeLoaded(page, offsetIn(block) + 1, lengthBytes);
    index.add(hash, block);
    return block + 1;
  }

  #grow(): void {
    const [indexes, hashes] = [this.#indexes, this.#hashes];
    this.#indexes = new Int32Array(2 * indexes.length);
    this.#indexes.set(indexes);
    this.#hashes = new Int32Array(2 * hashes.length);
    this.#hashes.set(hashes);
  }
}

function hashOf(key: DedupKey, text: string): number {
  return hashLoaded(key, loadText(text));
}

/** One for all metrics and partitions of the thread. */
export const valueNumbers = new ValueNumbers();
