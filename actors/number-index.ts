/**
 * From a text's hash to the number of what bears that text: open addressing, eight bytes a place. Whether the text is the same
 * only the caller can say: it goes on with `next` while that is not so. A removed entry leaves no mark, for those behind it move
 * up (Knuth, The Art of Computer Programming 3, 6.4, algorithm R).
 */
const LOAD_MAX = 0.75;
const GROWTH = 1.3;
const CAPACITY_MIN = 16;
const NONE = -1;

export class NumberIndex {
  /** Hash, and number + 1, in turn. 0: a free place. */
  #entries = new Int32Array(2 * CAPACITY_MIN);
  #capacity = CAPACITY_MIN;
  count = 0;

  get sizeBytes(): number {
    return this.#entries.byteLength;
  }

  /** The place of the first entry with that hash; -1 when there is none. */
  first(hash: number): number {
    return this.#from(this.#home(hash), hash);
  }

  next(place: number, hash: number): number {
    return this.#from(this.#after(place), hash);
  }

  numberAt(place: number): number {
    return (this.#entries[2 * place + 1] as number) - 1;
  }

  add(hash: number, number: number): void {
    if (this.count + 1 > this.#capacity * LOAD_MAX) this.#grow();
    this.count++;
    this.#put(hash, number + 1);
  }

  remove(hash: number, number: number): void {
    let hole = this.first(hash);
    while (hole !== NONE && this.numberAt(hole) !== number) hole = this.next(hole, hash);
    if (hole === NONE) return;
    this.count--;
    const entries = this.#entries;
    for (let place = this.#after(hole); entries[2 * place + 1] !== 0; place = this.#after(place)) {
      // It may move up unless its home lies behind the hole.
      const home = this.#home(entries[2 * place] as number);
      const isBetween = hole < place ? home > hole && home <= place : home > hole || home <= place;
      if (isBetween) continue;
      entries[2 * hole] = entries[2 * place] as number;
      entries[2 * hole + 1] = entries[2 * place + 1] as number;
      hole = place;
    }
    entries[2 * hole] = entries[2 * hole + 1] = 0;
  }

  #from(start: number, hash: number): number {
    const entries = this.#entries;
    let place = start;
    for (;;) {
      if (entries[2 * place + 1] === 0) return NONE;
      if (entries[2 * place] === hash) return place;
      place = this.#after(place);
    }
  }

  /** Spread over any capacity, not only powers of two. */
  #home(hash: number): number {
    return Math.floor(((hash >>> 0) / 0x1_0000_0000) * this.#capacity);
  }

  #after(place: number): number {
    return place + 1 === this.#capacity ? 0 : place + 1;
  }

  #put(hash: number, entry: number): void {
    const entries = this.#entries;
    let place = this.#home(hash);
    while (entries[2 * place + 1] !== 0) place = this.#after(place);
    entries[2 * place] = hash;
    entries[2 * place + 1] = entry;
  }

  #grow(): void {
    const before = this.#entries;
    this.#capacity = Math.ceil(this.#capacity * GROWTH);
    this.#entries = new Int32Array(2 * this.#capacity);
    for (let at = 0; at < before.length; at += 2) {
      if (before[at + 1] !== 0) this.#put(before[at] as number, before[at + 1] as number);
    }
  }
}
