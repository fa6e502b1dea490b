/** Small damage to bytes: flipped bits, other tokens, cuts, splices, lengths that are off by some. */
import type { Random } from "./random.ts";

/** Bytes that mean something to msgpack, to JSON or to a framing. */
const tokens = [
  0x00, 0x01, 0x40, 0x60, 0x72, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91, 0x9f, 0xa0, 0xa1, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc6,
  0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xcf, 0xd0, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff,
  0x22, 0x2c, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x0a, 0x0d,
];

type Mutation = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}

function replaced(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]);
}

function span(bytes: Uint8Array, random: Random): [from: number, to: number] {
  const from = random.below(bytes.length + 1);
  return [from, Math.min(bytes.length, from + random.below(24))];
}

const mutations: readonly Mutation[] = [
  (bytes, random) => {
    const at = random.below(bytes.length);
    return changed(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)));
  },
  (bytes, random) => changed(bytes, random.below(bytes.length), random.pick(tokens)),
  (bytes, random) => changed(bytes, random.below(bytes.length), random.below(256)),
  // A length, or a number, that is off by a little.
  (bytes, random) => {
    const at = random.below(bytes.length);
    return changed(bytes, at, (bytes[at] ?? 0) + random.pick([-2, -1, 1, 2, 16, 128]));
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => replaced(bytes, ...span(bytes, random), new Uint8Array(0)),
  (bytes, random) => {
    const [at] = span(bytes, random);
    return replaced(
      bytes,
      at,
      at,
      Uint8Array.from({ length: 1 + random.below(8) }, () => random.pick(tokens)),
    );
  },
  // Something of it twice, or something of another one.
  (bytes, random) => {
    const [at] = span(bytes, random);
    return replaced(bytes, at, at, bytes.subarray(...span(bytes, random)));
  },
  (bytes, random, other) => replaced(bytes, ...span(bytes, random), other.subarray(...span(other, random))),
  (bytes, random, other) =>
    Buffer.concat([bytes.subarray(0, random.below(bytes.length)), other.subarray(random.below(other.length))]),
];

/** Mostly one or two changes: with more of them nothing is left of what the bytes meant. */
export function mutate(bytes: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let mutated = bytes;
  for (let left = 1 + Math.floor(random.next() ** 2 * 5); left > 0 && mutated.length > 0; left--) {
    mutated = random.pick(mutations)(mutated, random, other);
  }
  return mutated;
}
