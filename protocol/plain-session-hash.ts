/**
 * The hash of `partition-hash.ts` over the bytes of a session id as they stand in a frame, with the tenant's part of the key
 * hashed once. It equals that of `partitionOf` (a property test holds it to that); the plain reader calls it.
 */
import type { FrameBytes } from "./interner.ts";

export class SessionHash {
  #tenant: string | undefined;
  #prefixBytes = 0;
  #prefixHash = 0;
  /** The bytes of the prefix that make no whole block, and how many they are. */
  #rest = 0;
  #restBytes = 0;

  setTenant(tenant: string): void {
    if (tenant === this.#tenant) return;
    const bytes = encoder.encode(`${tenant}\0`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let hash = 0;
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) hash = mix(hash, view.getInt32(at, true));
    this.#tenant = tenant;
    this.#prefixBytes = bytes.length;
    this.#prefixHash = hash;
    this.#restBytes = bytes.length - at;
    this.#rest = 0;
    for (let shift = 0; at < bytes.length; at++, shift += 8) this.#rest |= (bytes[at] ?? 0) << shift;
  }

  /** As a signed 32-bit integer; the id is ASCII or valid UTF-8. */
  hash({ bytes, view }: FrameBytes, from: number, length: number): number {
    const end = from + length;
    let hash = this.#prefixHash;
    let block = this.#rest;
    let filled = this.#restBytes;
    let at = from;
    if (filled > 0) {
      for (; filled < 4 && at < end; filled++) block |= (bytes[at++] ?? 0) << (filled * 8);
      if (filled === 4) {
        hash = mix(hash, block);
        block = 0;
        filled = 0;
      }
    }
    for (; at + 4 <= end; at += 4) hash = mix(hash, view.getInt32(at, true));
    for (; at < end; filled++) block |= (bytes[at++] ?? 0) << (filled * 8);
    // A block of zeros scrambles to 0.
    hash ^= scramble(block) ^ (this.#prefixBytes + length);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  }
}

const encoder = new TextEncoder();

function mix(hash: number, block: number): number {
  const mixed = hash ^ scramble(block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function scramble(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}
