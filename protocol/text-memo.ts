/**
 * Small whole numbers by the numbers of texts (`text-numbers.ts`): a table with one place for each that drives out what stands there.
 * Bounded, and exact: what it does not hold has to be worked out again. A look-up costs one line of memory, where a Map by text
 * costs the text too (`npm run bench -- path`).
 */
import { NO_TEXT_NUMBER, textGeneration } from "./text-numbers.ts";

export const NOT_KNOWN = -1;

export class TextMemo {
  readonly #mask: number;
  /** Number and what is known of it, in turn. */
  readonly #entries: Int32Array;
  #generation = textGeneration();

  /** `capacity`: a power of two. */
  constructor(capacity: number) {
    this.#mask = capacity - 1;
    this.#entries = new Int32Array(2 * capacity);
  }

  get sizeBytes(): number {
    return this.#entries.byteLength;
  }

  clear(): void {
    this.#entries.fill(0);
  }

  /** NOT_KNOWN, or what was put. */
  get(textNumber: number): number {
    const at = 2 * (textNumber & this.#mask);
    if (this.#entries[at] !== textNumber || textNumber === NO_TEXT_NUMBER) return NOT_KNOWN;
    return this.#generation === textGeneration() ? (this.#entries[at + 1] ?? NOT_KNOWN) : NOT_KNOWN;
  }

  /** `value`: 0 or more. */
  put(textNumber: number, value: number): void {
    if (textNumber === NO_TEXT_NUMBER) return;
    if (this.#generation !== textGeneration()) {
      this.#entries.fill(0);
      this.#generation = textGeneration();
    }
    const at = 2 * (textNumber & this.#mask);
    this.#entries[at] = textNumber;
    this.#entries[at + 1] = value;
  }
}
