/**
 * Keys of a `Store` as bytes whose plain byte order is the order of the keys: part by part, numbers before texts, a key
 * before its longer ones; numbers by value, texts by code point. Every text survives, NUL and lone surrogates too
 * (lmdb's own ordered-binary breaks on NUL in texts of 64 characters and more, and a session id may hold one).
 *
 *   number   0x10, then 8 bytes: the IEEE double, big-endian, sign bit flipped (all bits when negative)
 *   text     0x20, then UTF-8 (a surrogate without its pair as 3 bytes), each 0x00 as 0x00 0xFF, then 0x00
 *
 * After the end of a text comes a tag or nothing, both below 0xFF, so a text sorts before what it is a prefix of.
 * (The scheme is that of FoundationDB's tuple layer.) A table's keys start with its name as a text: they are one range.
 * The rule is part of the on-disk format.
 */
import { assert } from "../protocol/assert.ts";
import type { StoreKey } from "./ports.ts";

/** The longest key that LMDB takes with pages of 4 KiB, table name included; a key of one text may have 1900 bytes. */
export const STORE_KEY_BYTES_MAX = 1978;

const NUMBER = 0x10;
const TEXT = 0x20;
const ABOVE_ALL_TAGS = 0xff;

// A text unit takes at most 3 bytes, so a text cut off here is already too long.
const scratch = new Uint8Array(STORE_KEY_BYTES_MAX * 4);
const float = new Float64Array(1);
const floatBytes = new Uint8Array(float.buffer);
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** The key's bytes in a buffer that the next call overwrites. A key that is too long is a bug of the caller. */
export function encodeKeyFast(table: string, key: StoreKey): Uint8Array {
  let end = writeText(table, 0);
  for (const part of key) {
    end = typeof part === "number" ? writeNumber(part, end) : writeText(part, end);
    assert(end <= STORE_KEY_BYTES_MAX, `a store key has at most ${STORE_KEY_BYTES_MAX} bytes`);
  }
  return scratch.subarray(0, end);
}

/** Throws what `encodeKeyFast` would; for nearly all keys by looking at lengths only. */
export function checkKey(table: string, key: StoreKey): void {
  let bytesMax = table.length * 3 + 2;
  for (const part of key) {
    bytesMax += typeof part === "number" ? (Number.isNaN(part) ? Infinity : 9) : part.length * 3 + 2;
  }
  if (bytesMax > STORE_KEY_BYTES_MAX) encodeKeyFast(table, key);
}

/** The key's bytes, the caller's own. */
export function encodeKey(table: string, key: StoreKey): Uint8Array {
  return Uint8Array.from(encodeKeyFast(table, key));
}

/** Bytes after every key of the table and before every key of the next one. */
export function tableEnd(table: string): Uint8Array {
  return Uint8Array.from([...encodeKeyFast(table, []), ABOVE_ALL_TAGS]);
}

/** The key of a table's entry, without the table's name. */
export function decodeKey(bytes: Uint8Array): StoreKey {
  const parts: (string | number)[] = [];
  for (let at = skipText(bytes, 0); at < bytes.length;) {
    if (bytes[at] === NUMBER) {
      parts.push(readNumber(bytes, at));
      at += 9;
    } else {
      assert(bytes[at] === TEXT, "a store key has parts of two kinds");
      const end = skipText(bytes, at);
      parts.push(readText(bytes, at + 1, end - 1));
      at = end;
    }
  }
  return parts;
}

function writeNumber(value: number, start: number): number {
  assert(!Number.isNaN(value), "NaN has no place in the order of keys");
  float[0] = value + 0; // -0 becomes 0
  const negative = value < 0;
  scratch[start] = NUMBER;
  for (let index = 0; index < 8; index++) {
    const byte = floatBytes[littleEndian ? 7 - index : index] ?? 0;
    scratch[start + 1 + index] = negative ? ~byte : index === 0 ? byte ^ 0x80 : byte;
  }
  return start + 9;
}

function readNumber(bytes: Uint8Array, start: number): number {
  const negative = ((bytes[start + 1] ?? 0) & 0x80) === 0;
  for (let index = 0; index < 8; index++) {
    const byte = bytes[start + 1 + index] ?? 0;
    floatBytes[littleEndian ? 7 - index : index] = negative ? ~byte : index === 0 ? byte ^ 0x80 : byte;
  }
  return float[0] ?? 0;
}

function writeText(text: string, start: number): number {
  assert(text.length < STORE_KEY_BYTES_MAX, `a store key has at most ${STORE_KEY_BYTES_MAX} bytes`);
  let end = start;
  scratch[end++] = TEXT;
  for (let index = 0; index < text.length; index++) {
    let unit = text.charCodeAt(index);
    if (unit > 0 && unit < 0x80) {
      scratch[end++] = unit;
      continue;
    }
    unit = text.codePointAt(index) ?? 0;
    if (unit === 0) {
      scratch[end++] = 0;
      scratch[end++] = 0xff;
    } else if (unit < 0x800) {
      scratch[end++] = 0xc0 | (unit >> 6);
      scratch[end++] = 0x80 | (unit & 0x3f);
    } else if (unit < 0x10000) {
      scratch[end++] = 0xe0 | (unit >> 12);
      scratch[end++] = 0x80 | ((unit >> 6) & 0x3f);
      scratch[end++] = 0x80 | (unit & 0x3f);
    } else {
      index++; // a pair of surrogates is one code point
      scratch[end++] = 0xf0 | (unit >> 18);
      scratch[end++] = 0x80 | ((unit >> 12) & 0x3f);
      scratch[end++] = 0x80 | ((unit >> 6) & 0x3f);
      scratch[end++] = 0x80 | (unit & 0x3f);
    }
  }
  scratch[end++] = 0;
  return end;
}

/** The position after the text whose tag is at `start`. */
function skipText(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (bytes[at] !== 0 || bytes[at + 1] === 0xff) {
    assert(at < bytes.length, "a text in a store key has an end");
    at += bytes[at] === 0 ? 2 : 1;
  }
  return at + 1;
}

function readText(bytes: Uint8Array, start: number, end: number): string {
  if (isPlain(bytes, start, end)) {
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
  }
  let text = "";
  for (let at = start; at < end;) {
    const lead = bytes[at] ?? 0;
    const size = lead === 0 ? 2 : lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    let unit = size === 4 ? lead & 0x07 : size === 3 ? lead & 0x0f : lead < 0x80 ? lead : lead & 0x1f;
    if (lead >= 0x80) for (let index = 1; index < size; index++) unit = (unit << 6) | ((bytes[at + index] ?? 0) & 0x3f);
    text += String.fromCodePoint(unit);
    at += size;
  }
  return text;
}

/** Nearly every text is: ASCII without NUL. */
function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === 0 || byte >= 0x80) return false;
  }
  return true;
}
