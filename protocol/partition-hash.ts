/**
 * Which partition an event belongs to: MurmurHash3 (x86, 32 bit, seed 0; Austin Appleby, public domain)
 * over the UTF-8 bytes of `tenant`, one zero byte, `sessionId`; modulo the partition count.
 * The rule is part of the on-disk format: changing it would move sessions away from their state.
 * An event without a usable session id counts as session "".
 */
import type { PartitionId } from "./ids.ts";

const encoder = new TextEncoder();
let scratch = new Uint8Array(4096);

export function partitionOf(tenant: string, sessionId: string, partitionCount: number): PartitionId {
  return (murmur3(scratch, encodeKey(tenant, sessionId)) % partitionCount) as PartitionId;
}

/** Writes `tenant \0 sessionId` into the scratch buffer and returns its length in bytes. */
function encodeKey(tenant: string, sessionId: string): number {
  const bytesMax = (tenant.length + sessionId.length) * 3 + 1;
  if (scratch.length < bytesMax) scratch = new Uint8Array(bytesMax * 2);
  let end = writeText(tenant, 0);
  scratch[end++] = 0;
  end = writeText(sessionId, end);
  return end;
}

function writeText(text: string, start: number): number {
  let end = start;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Plain ASCII, as nearly all ids are, needs no encoder call.
    if (unit >= 0x80) return start + encoder.encodeInto(text, scratch.subarray(start)).written;
    scratch[end++] = unit;
  }
  return end;
}

/** MurmurHash3_x86_32 of the first `length` bytes, as an unsigned 32-bit integer. */
export function murmur3(bytes: Uint8Array, length: number, seed = 0): number {
  let hash = seed;
  const blocksEnd = length & ~3;
  for (let at = 0; at < blocksEnd; at += 4) {
    const block =
      byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24);
    hash ^= scramble(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = length - 1; at >= blocksEnd; at--) tail = (tail << 8) | byte(bytes, at);
  if (length > blocksEnd) hash ^= scramble(tail);
  hash ^= length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scramble(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
