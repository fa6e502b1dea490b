/** Msgpack written into one buffer that is used again: a frame fuzz makes millions of frames, and encoders would be half of its time. */
const encoder = new TextEncoder();

export class MsgpackWriter {
  #bytes = new Uint8Array(4_096);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** A copy of what was written; the next frame begins. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    return taken;
  }

  raw(bytes: Uint8Array | readonly number[]): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  list(count: number): void {
    if (count < 16) this.raw([0x90 | count]);
    else this.raw([0xdc, count >> 8, count & 0xff]);
  }

  /** `isWide`: with a head of five bytes. */
  map(count: number, isWide = false): void {
    if (isWide) this.raw([0xdf, 0, 0, count >> 8, count & 0xff]);
    else if (count < 16) this.raw([0x80 | count]);
    else this.raw([0xde, count >> 8, count & 0xff]);
  }

  /** `isWide`: with a head of five bytes. */
  text(text: string, isWide = false): void {
    this.textBytes(encoder.encode(text), isWide);
  }

  /** A text of these bytes, whatever they are. */
  textBytes(bytes: Uint8Array, isWide = false): void {
    if (isWide || bytes.length > 0xffff) this.#head32(0xdb, bytes.length);
    else if (bytes.length < 32) this.raw([0xa0 | bytes.length]);
    else if (bytes.length < 256) this.raw([0xd9, bytes.length]);
    else this.raw([0xda, bytes.length >> 8, bytes.length & 0xff]);
    this.raw(bytes);
  }

  double(value: number): void {
    this.#reserve(9);
    this.#bytes[this.#at] = 0xcb;
    this.#view.setFloat64(this.#at + 1, value);
    this.#at += 9;
  }

  /** As an unsigned integer of 64 bits. */
  uint64(value: number): void {
    this.#reserve(9);
    this.#bytes[this.#at] = 0xcf;
    this.#view.setBigUint64(this.#at + 1, BigInt(value));
    this.#at += 9;
  }

  /** The timestamp extension, in the smallest form that holds it. */
  timestamp(timeMs: number): void {
    const seconds = Math.floor(timeMs / 1_000);
    const nanoseconds = (timeMs - seconds * 1_000) * 1_000_000;
    this.#reserve(10);
    if (nanoseconds === 0) {
      this.raw([0xd6, 0xff]);
      this.#view.setUint32(this.#at, seconds);
      this.#at += 4;
      return;
    }
    this.raw([0xd7, 0xff]);
    this.#view.setUint32(this.#at, nanoseconds * 4 + Math.floor(seconds / 2 ** 32));
    this.#view.setUint32(this.#at + 4, seconds % 2 ** 32);
    this.#at += 8;
  }

  #head32(token: number, length: number): void {
    this.#reserve(5);
    this.#bytes[this.#at] = token;
    this.#view.setUint32(this.#at + 1, length);
    this.#at += 5;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.#at + bytes));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
