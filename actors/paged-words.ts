/**
 * Memory in pages of one length: it grows without copying, and without room for twice as much. Only the first page grows by
 * doubling, so that a tenant with three sessions takes no whole page. Pages stay until all of it goes.
 */
export class PagedWords {
  readonly #pageWords: number;
  readonly ints: Int32Array[] = [];
  /** The same memory: a float takes two words, from an even one on. */
  readonly floats: Float64Array[] = [];
  #words = 0;

  /** `pageWords`: even; `firstWords`: what the first page begins with, `pageWords` divided by a power of two. */
  constructor(pageWords: number, firstWords: number) {
    this.#pageWords = pageWords;
    this.#push(firstWords);
  }

  get sizeBytes(): number {
    return this.#words * 4;
  }

  /** Makes room for all words before `end`. */
  reserve(end: number): void {
    while (end > this.#words) {
      const [first] = this.ints;
      if (first === undefined || first.length === this.#pageWords) {
        this.#push(this.#pageWords);
        continue;
      }
      this.ints.length = this.floats.length = this.#words = 0;
      this.#push(first.length * 2);
      this.ints[0]?.set(first);
    }
  }

  #push(words: number): void {
    const page = new Int32Array(words);
    this.ints.push(page);
    this.floats.push(new Float64Array(page.buffer));
    this.#words += words;
  }
}
