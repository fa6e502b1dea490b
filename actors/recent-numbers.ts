/**
 * The numbers of texts that came lately: a text has one place, by its last characters, and drives out what stands there. Readers
 * give out texts that come often as the same instance, so that a hit is a comparison of addresses, and hashing and comparing the
 * text is spared. Bounded; nothing but speed depends on what is in it.
 */
const SLOTS_MIN = 16;
const SLOTS_MAX = 512;
/** Estimated memory of a slot: the text, its address and its number. */
const SLOT_BYTES = 68;
const NONE = -1;

export class RecentNumbers {
  #texts: (string | undefined)[] = new Array<undefined>(SLOTS_MIN).fill(undefined);
  #numbers = new Int32Array(SLOTS_MIN);

  get sizeBytes(): number {
    return this.#texts.length * SLOT_BYTES;
  }

  /** -1: it did not come lately. */
  find(text: string): number {
    const slot = this.#slotOf(text);
    return this.#texts[slot] === text ? (this.#numbers[slot] as number) : NONE;
  }

  note(text: string, number: number): void {
    const slot = this.#slotOf(text);
    this.#texts[slot] = text;
    this.#numbers[slot] = number;
  }

  /** Must be called before the number becomes another text's. */
  forget(text: string): void {
    const slot = this.#slotOf(text);
    if (this.#texts[slot] === text) this.#texts[slot] = undefined;
  }

  /** Makes room in proportion to `count` texts, so that few of them take little. */
  sizeFor(count: number): void {
    if (count * 2 <= this.#texts.length || this.#texts.length === SLOTS_MAX) return;
    const slots = this.#texts.length * 2;
    this.#texts = new Array<undefined>(slots).fill(undefined);
    this.#numbers = new Int32Array(slots);
  }

  #slotOf(text: string): number {
    const { length } = text;
    if (length < 4) return length;
    const a = text.charCodeAt(length - 1) | (text.charCodeAt(length - 2) << 8);
    const b = text.charCodeAt(length - 3) | (text.charCodeAt(length - 4) << 8);
    return (Math.imul(a | (b << 16), 0x9e37_79b1) >>> 16) & (this.#texts.length - 1);
  }
}
