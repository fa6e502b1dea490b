/**
 * The numbers of texts that came lately. A text has two places, by its last characters, and drives out what stands in one of
 * them when both are taken. Readers give out texts that come often as the same instance, so that a hit is a comparison of
 * addresses, and hashing and comparing the text is spared. Bounded; nothing but speed depends on what is in it.
 */
const SLOTS_MIN = 16;
const SLOTS_MAX = 512;
/** So many slots for each text. */
const ROOM = 4;
/** Estimated memory of a slot: the text, its address, its end and its number. */
const SLOT_BYTES = 72;
const NONE = -1;

export class RecentNumbers {
  #texts: (string | undefined)[] = new Array<undefined>(SLOTS_MIN).fill(undefined);
  /** The last characters of the text, so that another text need not be touched; and the number. */
  #entries = new Int32Array(2 * SLOTS_MIN);

  get sizeBytes(): number {
    return this.#texts.length * SLOT_BYTES;
  }

  /** -1: it did not come lately. */
  find(text: string): number {
    const end = endOf(text);
    const home = this.#home(end);
    if (this.#holds(home, text, end)) return this.#entries[2 * home + 1] as number;
    if (this.#holds(home ^ 1, text, end)) return this.#entries[2 * (home ^ 1) + 1] as number;
    return NONE;
  }

  /** A text that `find` does not find. */
  note(text: string, number: number): void {
    const end = endOf(text);
    const home = this.#home(end);
    const slot = this.#texts[home] !== undefined && this.#texts[home ^ 1] === undefined ? home ^ 1 : home;
    this.#texts[slot] = text;
    this.#entries[2 * slot] = end;
    this.#entries[2 * slot + 1] = number;
  }

  /** Must be called before the number becomes another text's. */
  forget(text: string): void {
    const end = endOf(text);
    const home = this.#home(end);
    if (this.#holds(home, text, end)) this.#texts[home] = undefined;
    if (this.#holds(home ^ 1, text, end)) this.#texts[home ^ 1] = undefined;
  }

  /** Makes room in proportion to `count` texts, so that few of them take little. */
  sizeFor(count: number): void {
    if (count * ROOM <= this.#texts.length || this.#texts.length === SLOTS_MAX) return;
    const slots = this.#texts.length * 2;
    this.#texts = new Array<undefined>(slots).fill(undefined);
    this.#entries = new Int32Array(2 * slots);
  }

  #holds(slot: number, text: string, end: number): boolean {
    return this.#entries[2 * slot] === end && this.#texts[slot] === text;
  }

  #home(end: number): number {
    return (Math.imul(end, 0x9e37_79b1) >>> 16) & (this.#texts.length - 1);
  }
}

function endOf(text: string): number {
  const { length } = text;
  if (length < 4) return length;
  const last = text.charCodeAt(length - 1) | (text.charCodeAt(length - 2) << 8);
  return last | (text.charCodeAt(length - 3) << 16) | (text.charCodeAt(length - 4) << 24);
}
