/** The hash of `protocol/partition-hash.ts` (MurmurHash3), with the tenant's part of the key hashed once. */
const TENANT_BYTES_MAX: usize = 1024;
/** Where the bytes of `tenant \0` are to be written before `setTenant`. */
export const tenant: usize = memory.data(1024);
export const tenantBytesMax: usize = TENANT_BYTES_MAX;

let prefixBytes: u32 = 0;
let prefixHash: u32 = 0;
/** The bytes of the prefix that make no whole block, and eight times how many they are. */
let rest: u32 = 0;
let restBits: u32 = 0;

export function setTenant(bytes: u32): void {
  prefixBytes = bytes;
  prefixHash = 0;
  const end: usize = tenant + bytes;
  let at: usize = tenant;
  for (; at + 4 <= end; at += 4) prefixHash = mix(prefixHash, load<u32>(at));
  rest = 0;
  restBits = 0;
  for (; at < end; at++, restBits += 8) rest |= (<u32>load<u8>(at)) << restBits;
}

/** Bits that are set when a byte of the session id hashed last was not ASCII. */
export let notAscii: u32 = 0;

/** Of a session id, at least one byte long. */
export function hashSession(from: usize, length: u32): u32 {
  const end: usize = from + length;
  let hash: u32 = prefixHash;
  let block: u32 = rest;
  let bits: u32 = restBits;
  let at: usize = from;
  let seen: u32 = 0;
  if (bits > 0) {
    for (; bits < 32 && at < end; bits += 8) {
      const byte: u32 = load<u8>(at++);
      seen |= byte;
      block |= byte << bits;
    }
    if (bits === 32) {
      hash = mix(hash, block);
      block = 0;
      bits = 0;
    }
  }
  for (; at + 4 <= end; at += 4) {
    const whole = load<u32>(at);
    seen |= whole;
    hash = mix(hash, whole);
  }
  for (; at < end; bits += 8) {
    const byte: u32 = load<u8>(at++);
    seen |= byte;
    block |= byte << bits;
  }
  notAscii = seen & 0x80808080;
  // A block of zeros scrambles to 0.
  hash ^= scramble(block) ^ (prefixBytes + length);
  hash = (hash ^ (hash >>> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >>> 13)) * 0xc2b2ae35;
  return hash ^ (hash >>> 16);
}

function mix(hash: u32, block: u32): u32 {
  return rotl<u32>(hash ^ scramble(block), 13) * 5 + 0xe6546b64;
}

function scramble(block: u32): u32 {
  return rotl<u32>(block * 0xcc9e2d51, 15) * 0x1b873593;
}
