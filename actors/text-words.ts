/**
 * A text as UTF-8 in words, to be hashed, compared and kept without an object of its own. One text is loaded at a time, into
 * memory that all share. The rest of its last word is zero.
 */
import { assert } from "../protocol/assert.ts";
import type { DedupKey } from "./deduplicate.ts";

/** The longest text that can be loaded; the protocol's ids are at most 256 bytes. */
export const TEXT_BYTES_MAX = 512;

const words = new Int32Array(TEXT_BYTES_MAX / 4);
const bytes = new Uint8Array(words.buffer);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Loads a text; returns its bytes. */
export function loadText(text: string): number {
  const { length } = text;
  if (length > TEXT_BYTES_MAX) return loadUtf8(text);
  const whole = length & ~3;
  let seen = 0;
  let at = 0;
  for (; at < whole; at += 4) {
    const a = text.charCodeAt(at);
    const b = text.charCodeAt(at + 1);
    const c = text.charCodeAt(at + 2);
    const d = text.charCodeAt(at + 3);
    seen |= a | b | c | d;
    words[at >> 2] = a | (b << 8) | (c << 16) | (d << 24);
  }
  if (at < length) {
    let last = 0;
    for (let shift = 0; at < length; at++, shift += 8) {
      const unit = text.charCodeAt(at);
      seen |= unit;
      last |= unit << shift;
    }
    words[whole >> 2] = last;
  }
  return seen < 0x80 ? length : loadUtf8(text);
}

function loadUtf8(text: string): number {
  const { read, written } = encoder.encodeInto(text, bytes);
  assert(read === text.length, "a text is longer than any id");
  bytes.fill(0, written, (written + 3) & ~3);
  return written;
}

export function wordsOf(lengthBytes: number): number {
  return (lengthBytes + 3) >> 2;
}

/**
 * HalfSipHash-1-3 of the loaded text: without the key nobody can make ids that crowd in one place of a table. The rounds are those
 * of `fingerprint` (`deduplicate.ts`), written out here too: its 64 bits of a column's text would cost calls and a second half.
 */
export function hashLoaded(key: DedupKey, lengthBytes: number): number {
  let v0 = key.low | 0;
  let v1 = key.high | 0;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const count = wordsOf(lengthBytes);
  // All words and the length, then three rounds to finish.
  for (let step = 0; step < count + 4; step++) {
    const word = step < count ? (words[step] as number) : step === count ? lengthBytes : 0;
    if (step === count + 1) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}

export function equalsLoaded(page: Int32Array, at: number, lengthBytes: number): boolean {
  const count = wordsOf(lengthBytes);
  for (let index = 0; index < count; index++) if (page[at + index] !== words[index]) return false;
  return true;
}

export function storeLoaded(page: Int32Array, at: number, lengthBytes: number): void {
  const count = wordsOf(lengthBytes);
  for (let index = 0; index < count; index++) page[at + index] = words[index] as number;
}

export function storedText(page: Int32Array, at: number, lengthBytes: number): string {
  return decoder.decode(new Uint8Array(page.buffer, at * 4, lengthBytes));
}
