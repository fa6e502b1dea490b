/** A growing set of small numbers, a bit for each number up to the largest: a plain Set costs ten times the time to add to. */
const NO_WORDS = new Int32Array(0);

export class NumberSet {
  #words = NO_WORDS;
  count = 0;

  add(number: number): void {
    const at = number >>> 5;
    if (at >= this.#words.length) this.#grow(at);
    const word = this.#words[at] ?? 0;
    const bit = 1 << (number & 31);
    if ((word & bit) !== 0) return;
    this.#words[at] = word | bit;
    this.count++;
  }

  /** Takes out up to `max` numbers, lowest first. */
  take(max: number): number[] {
    const taken: number[] = [];
    for (let at = 0; at < this.#words.length && taken.length < max; at++) {
      let word = this.#words[at] ?? 0;
      for (; word !== 0 && taken.length < max; word &= word - 1) taken.push((at << 5) + 31 - Math.clz32(word & -word));
      this.#words[at] = word;
    }
    this.count -= taken.length;
    if (this.count === 0) this.#words = NO_WORDS;
    return taken;
  }

  #grow(at: number): void {
    const words = new Int32Array(Math.max(at + 1, Math.ceil(this.#words.length * 1.5)));
    words.set(this.#words);
    this.#words = words;
  }
}
