/**
 * Which partition an event belongs to: MurmurHash3 (x86, 32 bit, seed 0; Austin Appleby, public domain)
 * over the UTF-8 bytes of `tenant`, one zero byte, `sessionId`; modulo the partition count.
 * The rule is part of the on-disk format: changing it would move sessions away from their state.
 * An event without a usable session id counts as session "".
 */
import type { PartitionId } from "./ids.ts";

const encoder = new TextEncoder();
let scratch = new Uint8Array(4096);
/** The tenant whose `tenant \0` stands at the start of the scratch buffer, and the place for a session id behind it. */
let scratchTenant: string | undefined;
let scratchRest = scratch;

export function partitionOf(tenant: string, sessionId: string, partitionCount: number): PartitionId {
  const length = encodeKey(tenant, sessionId);
  // Only now: a long key gets a larger scratch buffer.
  return (murmur3(scratch, length) % partitionCount) as PartitionId;
}

/** Writes `tenant \0 sessionId` into the scratch buffer and returns its length in bytes. The tenant mostly stands there. */
function encodeKey(tenant: string, sessionId: string): number {
  const bytesMax = (tenant.length + sessionId.length) * 3 + 1;
  if (tenant !== scratchTenant || scratch.length < bytesMax) {
    if (scratch.length < bytesMax) scratch = new Uint8Array(bytesMax * 2);
    const end = encoder.encodeInto(tenant, scratch).written;
    scratch[end] = 0;
    scratchTenant = tenant;
    scratchRest = scratch.subarray(end + 1);
  }
  // Half the cost of a loop over the id, which decoders give out as a slice of a longer text.
  return scratch.length - scratchRest.length + encoder.encodeInto(sessionId, scratchRest).written;
}

/** MurmurHash3_x86_32 of the first `length` bytes, as an unsigned 32-bit integer. */
export function murmur3(bytes: Uint8Array, length: number, seed = 0): number {
  let hash = seed;
  const blocksEnd = length & ~3;
  for (let at = 0; at < blocksEnd; at += 4) {
    const block = byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24);
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
  // The callers stay inside; a default for what can't be missing would cost a check per byte.
  return bytes[at] as number;
}
