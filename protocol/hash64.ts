/**
 * A 64-bit hash of a text: the first two 32-bit words of MurmurHash3_x86_128 (Austin Appleby, public domain), seed 0, over the
 * UTF-8 bytes. It is part of the stored format of `distinct`: changing it would make merged estimates wrong.
 * 32-bit integer operations only; nothing is allocated per call, except when a longer text than ever before comes.
 */
const encoder = new TextEncoder();
const BLOCK_BYTES = 16;

let scratch = new Uint8Array(1024);
let scratchView = new DataView(scratch.buffer);

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** Writes the hash into `into`: word 0 is the first of the digest, word 1 the second. A lone surrogate counts as U+FFFD. */
export function hash64(text: string, into: Uint32Array): void {
  const length = encodePadded(text);
  const view = scratchView;
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  let at = 0;
  for (const blocksEnd = length - (length % BLOCK_BYTES); at < blocksEnd; at += BLOCK_BYTES) {
    h1 ^= scramble(view.getInt32(at, true), C1, 15, C2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= scramble(view.getInt32(at + 4, true), C2, 16, C3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= scramble(view.getInt32(at + 8, true), C3, 17, C4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= scramble(view.getInt32(at + 12, true), C4, 18, C1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  // The tail is padded with zeros, and a word of zeros scrambles to 0: no branches on its length are needed.
  if (at < length) {
    h1 ^= scramble(view.getInt32(at, true), C1, 15, C2);
    h2 ^= scramble(view.getInt32(at + 4, true), C2, 16, C3);
    h3 ^= scramble(view.getInt32(at + 8, true), C3, 17, C4);
    h4 ^= scramble(view.getInt32(at + 12, true), C4, 18, C1);
  }
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = avalanche((h2 + h1) | 0);
  h3 = avalanche((h3 + h1) | 0);
  h4 = avalanche((h4 + h1) | 0);
  h1 = (avalanche(h1) + h2 + h3 + h4) | 0;
  into[0] = h1;
  into[1] = (h2 + h1) | 0;
}

/** The same, with (0, 1) in place of (0, 0), which may then stand for no text. */
export function nonZeroHash64(text: string, into: Uint32Array): void {
  hash64(text, into);
  if (into[0] === 0 && into[1] === 0) into[1] = 1;
}

/** Puts the text's UTF-8 bytes and a block of zeros into the scratch buffer and returns the number of bytes without zeros. */
function encodePadded(text: string): number {
  const bytesMax = text.length * 3 + BLOCK_BYTES;
  if (scratch.length < bytesMax) {
    scratch = new Uint8Array(bytesMax * 2);
    scratchView = new DataView(scratch.buffer);
  }
  const length = encode(text);
  const view = scratchView;
  view.setFloat64(length, 0);
  view.setFloat64(length + 8, 0);
  return length;
}

function encode(text: string): number {
  const bytes = scratch;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Plain ASCII, as nearly all ids are, needs no encoder call.
    if (unit >= 0x80) return encoder.encodeInto(text, bytes).written;
    bytes[index] = unit;
  }
  return text.length;
}

function scramble(word: number, first: number, turn: number, second: number): number {
  return Math.imul(rotate(Math.imul(word, first), turn), second);
}

function rotate(word: number, turn: number): number {
  return (word << turn) | (word >>> (32 - turn));
}

function avalanche(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
