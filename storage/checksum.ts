/**
 * CRC-32 (ISO 3309), which finds every burst of up to 32 bits: LMDB has no checksums, and a bit that flips on the disk would be
 * believed. Node has had it since 20.15; before that a table does the same, some ten times slower.
 */
import * as zlib from "node:zlib";

const POLYNOMIAL = 0xedb88320;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ ((rest & 1) === 1 ? POLYNOMIAL : 0);
  return rest;
});

export function crc32ByTable(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (sum >>> 8) ^ (table[(sum ^ byte) & 0xff] ?? 0);
  return (sum ^ 0xffffffff) >>> 0;
}

export const crc32: (bytes: Uint8Array) => number =
  (zlib as { readonly crc32?: (bytes: Uint8Array) => number }).crc32 ?? crc32ByTable;

const SEAL_BYTES = 4;

/** A copy of the value with its checksum behind it. */
export function seal(value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(value.length + SEAL_BYTES);
  sealed.set(value);
  new DataView(sealed.buffer).setUint32(value.length, crc32(value), true);
  return sealed;
}

/** A view of the value; undefined when it is not what was sealed. */
export function unseal(sealed: Uint8Array): Uint8Array | undefined {
  const end = sealed.length - SEAL_BYTES;
  if (end < 0) return undefined;
  const value = sealed.subarray(0, end);
  const sum = new DataView(sealed.buffer, sealed.byteOffset, sealed.length).getUint32(end, true);
  return crc32(value) === sum ? value : undefined;
}
