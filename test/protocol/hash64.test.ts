/** The hash is part of the stored format: these digests (first two words, from the reference C code) must never change. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hash64 } from "../../protocol/hash64.ts";

const vectors: readonly (readonly [text: string, first: number, second: number])[] = [
  ["", 0x00000000, 0x00000000],
  ["a", 0xa794933c, 0x5556b01b],
  ["abc", 0x75cdc6d1, 0xa2b006a5],
  ["user-1", 0x27bd6b36, 0x825f5697],
  ["0", 0x0ab2409e, 0xa5eb34f8],
  ["-1.5", 0x9ecc7b16, 0xe0a35a68],
  ["true", 0xb209b3f4, 0x4b380c97],
  ["I will not buy this record, it is scratched.", 0xa0a9683b, 0x25ac5e40],
  ["The quick brown fox jumps over the lazy dog", 0x2f1583c3, 0xecee2c67],
  ["0123456789abcdef", 0xfb7d4409, 0x36aed30a],
  ["0123456789abcdef0", 0x1f8a3855, 0x60920c06],
  ["123e4567-e89b-12d3-a456-426614174000", 0xda9a4950, 0x65af0cda],
  ["héllo wörld", 0x31b759f2, 0x489f6d8b],
  ["日本語テキスト", 0x230fb271, 0x63ccd1b7],
  ["👋🏽 hi", 0xebb43075, 0x6a24972e],
  ["x".repeat(1000), 0x02508d27, 0x189b6cff],
];

function hashOf(text: string): number[] {
  const hash = new Uint32Array(2);
  hash64(text, hash);
  return [...hash];
}

test("gives the words of MurmurHash3_x86_128, whatever was hashed before", () => {
  for (const [text, ...words] of [...vectors, ...vectors.toReversed()]) assert.deepEqual(hashOf(text), words, text.slice(0, 50));
});

test("takes texts longer than any before, and long ones that are not ASCII", () => {
  assert.deepEqual(hashOf("x".repeat(1000)), [0x02508d27, 0x189b6cff]);
  hashOf("日".repeat(40_000));
  assert.deepEqual(hashOf("abc"), [0x75cdc6d1, 0xa2b006a5]);
  assert.notDeepEqual(hashOf("日".repeat(40_000)), hashOf("日".repeat(40_001)));
});

test("a lone surrogate hashes as U+FFFD", () => {
  assert.deepEqual(hashOf("x\ud800"), hashOf("x\ufffd"));
});

test("every bit is set in about half of the hashes, and half of them flip with one bit of the text", () => {
  const texts = 20_000;
  const set = new Uint32Array(64);
  let flipped = 0;
  for (let index = 0; index < texts; index++) {
    const [first = 0, second = 0] = hashOf(`user-${index}`);
    const [other = 0, otherSecond = 0] = hashOf(`user-${index ^ 1}`);
    for (let bit = 0; bit < 32; bit++) {
      set[bit] = (set[bit] ?? 0) + ((first >>> bit) & 1);
      set[bit + 32] = (set[bit + 32] ?? 0) + ((second >>> bit) & 1);
      flipped += (((first ^ other) >>> bit) & 1) + (((second ^ otherSecond) >>> bit) & 1);
    }
  }
  // Six standard deviations of a fair coin.
  for (const count of set) assert.ok(Math.abs(count - texts / 2) < 6 * Math.sqrt(texts / 4), `${count}`);
  assert.ok(Math.abs(flipped / (texts * 64) - 0.5) < 0.005, `${flipped / (texts * 64)}`);
});
