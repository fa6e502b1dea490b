/**
 * A growing byte writer and its reader, for states, snapshots and journal records: little-endian, no framing.
 * Equal values always make equal bytes, so bytes can be compared and hashed.
 */
import { assert } from "./assert.ts";
import type { FrameBytes, Interner } from "./interner.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Their length is one byte. */
const SHORT_TEXT_UNITS = 32;

export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** Forgets what was written and keeps the memory. */
  clear(): void {
    this.#length = 0;
  }

  /** A copy of all that was written; the writer can go on. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** All that was written, without a copy: the writer must not be used any more. */
  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What was written from position `start` on, without a copy: it holds until the writer is cleared and used again. */
  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#length);
  }

  /** Copies all that was written to a place in other bytes, which have room for it. */
  copyTo(target: Uint8Array, at: number): void {
    target.set(this.#bytes.subarray(0, this.#length), at);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u16(value: number): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  /** Over four bytes that were written before. */
  u32At(at: number, value: number): void {
    assert(at + 4 <= this.#length, "only what was written can be written over");
    this.#view.setUint32(at, value, true);
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** An unsigned integer up to 2^53 - 1, seven bits a byte, low bits first (LEB128). */
  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, "varint takes a safe unsigned integer");
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Bytes as they are; their number must be known to the reader. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A length, then the bytes. */
  block(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** The same for a part of them, without a view. */
  part(bytes: Uint8Array, from: number, to: number): void {
    this.varint(to - from);
    this.#reserve(to - from);
    for (let at = from; at < to; at++) this.#bytes[this.#length++] = bytes[at] ?? 0;
  }

  /** A text as UTF-8 block. */
  text(text: string): void {
    if (text.length > SHORT_TEXT_UNITS || !this.#shortText(text)) this.block(encoder.encode(text));
  }

  /** A short text of ASCII, for which the encoder takes longer than a loop; false: it has other characters. */
  #shortText(text: string): boolean {
    this.#reserve(text.length + 1);
    const start = this.#length;
    this.#bytes[start] = text.length;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit >= 0x80) return false;
      this.#bytes[start + 1 + at] = unit;
    }
    this.#length = start + 1 + text.length;
    return true;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads what a `ByteWriter` wrote, in the same order. Reading past the end throws a RangeError. */
export class ByteReader implements FrameBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, start = 0) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  get done(): boolean {
    return this.#at >= this.bytes.length;
  }

  get position(): number {
    return this.#at;
  }

  u8(): number {
    return this.view.getUint8(this.#at++);
  }

  /** The byte that comes next; it stays there. */
  peek(): number {
    return this.view.getUint8(this.#at);
  }

  u16(): number {
    const value = this.view.getUint16(this.#at, true);
    this.#at += 2;
    return value;
  }

  u32(): number {
    const value = this.view.getUint32(this.#at, true);
    this.#at += 4;
    return value;
  }

  f64(): number {
    const value = this.view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  /** A view, not a copy, of the next bytes. */
  raw(length: number): Uint8Array {
    if (length > this.bytes.length - this.#at) throw new RangeError("read past the end");
    const bytes = this.bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  block(): Uint8Array {
    return this.raw(this.varint());
  }

  text(): string {
    return decoder.decode(this.block());
  }

  /** The same for texts that come again and again: a known one costs a tenth of decoding it. */
  internedText(interner: Interner): string {
    const length = this.varint();
    if (length > this.bytes.length - this.#at) throw new RangeError("read past the end");
    const known = interner.text(this, this.#at, length);
    if (known === undefined) return decoder.decode(this.raw(length));
    this.#at += length;
    return known;
  }
}
