/**
 * HyperLogLog with 2^12 registers (Flajolet, Fusy, Gandouet, Meunier 2007) over 64-bit hashes, with the improved raw estimator
 * of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284, algorithm 6), which needs no
 * correction tables and holds over the whole range.
 * It starts sparse, as the set of the hashes themselves (exact but for 64-bit collisions), and turns into registers with hash
 * number 257. Registers are the maximum over all hashes, so both forms follow from the set of hashes alone: any order of
 * adds and merges gives the same bytes.
 *
 *   hash    |<- 12 bits: register ->|<- 52 bits: rank = leading zeros + 1 ->|
 */
import { assert } from "../../protocol/assert.ts";
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";

const PRECISION = 12;
const REGISTERS = 1 << PRECISION;
const RANK_MAX = 64 - PRECISION + 1;
const SPARSE_HASHES_MAX = 256;
/** A form byte of the stored state; sparse states start with their number of hashes instead. */
const DENSE_FORM = SPARSE_HASHES_MAX + 1;
const SLOT_WORDS_MIN = 8;
const NO_SLOTS = new Uint32Array(0);

export const STANDARD_ERROR = 1.04 / Math.sqrt(REGISTERS);

export class HyperLogLog {
  /** Number of hashes while sparse. */
  #hashes = 0;
  /** Open addressing, (low, high) pairs, a power of two of them or none, at most 3/4 full; (0, 0) is a free slot. */
  #slots = NO_SLOTS;
  /** Set from the moment on when the state is dense. */
  #registers: Uint8Array | undefined = undefined;

  addHash(high: number, low: number): void {
    // Hash (0, 0) can't be told from a free slot; it counts as (0, 1), also where there are no slots.
    const nonZeroLow = high === 0 && low === 0 ? 1 : low;
    if (this.#registers !== undefined) addRank(this.#registers, high, nonZeroLow);
    else this.#addSparse(high, nonZeroLow);
  }

  merge(from: HyperLogLog): void {
    const registers = from.#registers;
    if (registers === undefined) {
      const slots = from.#slots;
      for (let at = 0; at < slots.length; at += 2) {
        const low = slots[at] ?? 0;
        const high = slots[at + 1] ?? 0;
        if (low !== 0 || high !== 0) this.addHash(high, low);
      }
      return;
    }
    const into = (this.#registers ??= this.#toRegisters());
    for (let index = 0; index < REGISTERS; index++) {
      const rank = registers[index] ?? 0;
      if (rank > (into[index] ?? 0)) into[index] = rank;
    }
  }

  estimate(): number {
    if (this.#registers === undefined) return this.#hashes;
    return Math.max(SPARSE_HASHES_MAX + 1, Math.round(estimateOf(this.#registers)));
  }

  write(writer: ByteWriter): void {
    if (this.#registers !== undefined) {
      writer.varint(DENSE_FORM);
      writer.raw(this.#registers);
      return;
    }
    writer.varint(this.#hashes);
    const sorted = this.#sortedHashes();
    for (let at = 0; at < sorted.length; at++) writer.u32(sorted[at] ?? 0);
  }

  static read(reader: ByteReader): HyperLogLog {
    const state = new HyperLogLog();
    const form = reader.varint();
    assert(form <= DENSE_FORM, "a distinct state is sparse or dense");
    if (form === DENSE_FORM) {
      state.#registers = reader.raw(REGISTERS).slice();
      return state;
    }
    state.#slots = new Uint32Array(slotWordsFor(form));
    for (let left = form; left > 0; left--) {
      const low = reader.u32();
      state.#addSparse(reader.u32(), low);
    }
    return state;
  }

  sizeBytes(): number {
    const overhead = 56;
    const typedArray = 200;
    if (this.#registers !== undefined) return overhead + typedArray + REGISTERS;
    return this.#hashes === 0 ? overhead : overhead + typedArray + this.#slots.byteLength;
  }

  #addSparse(high: number, low: number): void {
    if ((this.#hashes + 1) * 8 > this.#slots.length * 3) this.#growSlots();
    const slots = this.#slots;
    const at = findSlot(slots, high, low);
    if (slots[at] === low && slots[at + 1] === high) return;
    if (this.#hashes === SPARSE_HASHES_MAX) {
      this.#registers = this.#toRegisters();
      addRank(this.#registers, high, low);
      return;
    }
    slots[at] = low;
    slots[at + 1] = high;
    this.#hashes++;
  }

  #growSlots(): void {
    const old = this.#slots;
    const grown = new Uint32Array(Math.max(SLOT_WORDS_MIN, old.length * 2));
    for (let at = 0; at < old.length; at += 2) {
      const low = old[at] ?? 0;
      const high = old[at + 1] ?? 0;
      if (low === 0 && high === 0) continue;
      const to = findSlot(grown, high, low);
      grown[to] = low;
      grown[to + 1] = high;
    }
    this.#slots = grown;
  }

  /** Leaves the sparse form. */
  #toRegisters(): Uint8Array {
    const registers = new Uint8Array(REGISTERS);
    const slots = this.#slots;
    for (let at = 0; at < slots.length; at += 2) {
      const low = slots[at] ?? 0;
      const high = slots[at + 1] ?? 0;
      if (low !== 0 || high !== 0) addRank(registers, high, low);
    }
    this.#slots = NO_SLOTS;
    this.#hashes = 0;
    return registers;
  }

  /** (low, high) pairs in the order of their 64-bit values. */
  #sortedHashes(): Uint32Array {
    const slots = this.#slots;
    const pairs = new Uint32Array(this.#hashes * 2);
    let end = 0;
    for (let at = 0; at < slots.length; at += 2) {
      const low = slots[at] ?? 0;
      const high = slots[at + 1] ?? 0;
      if (low === 0 && high === 0) continue;
      pairs[end++] = low;
      pairs[end++] = high;
    }
    // Sorts in place without making BigInts. Every platform that the server runs on is little-endian: low word first.
    new BigUint64Array(pairs.buffer).sort();
    return pairs;
  }
}

/** As `#growSlots` would have made them by then. */
function slotWordsFor(hashes: number): number {
  let words = hashes === 0 ? 0 : SLOT_WORDS_MIN;
  while (hashes * 8 > words * 3) words *= 2;
  return words;
}

/** The slot that holds the hash, or the free one where it belongs. There is always a free one. */
function findSlot(slots: Uint32Array, high: number, low: number): number {
  const mask = slots.length - 1;
  let at = (low << 1) & mask;
  for (;;) {
    const slotLow = slots[at] ?? 0;
    const slotHigh = slots[at + 1] ?? 0;
    if ((slotLow === low && slotHigh === high) || (slotLow === 0 && slotHigh === 0)) return at;
    at = (at + 2) & mask;
  }
}

function addRank(registers: Uint8Array, high: number, low: number): void {
  const index = high >>> (32 - PRECISION);
  const upper = (high << PRECISION) | (low >>> (32 - PRECISION));
  const rank = upper !== 0 ? Math.clz32(upper) + 1 : Math.min(RANK_MAX, 33 + Math.clz32(low << PRECISION));
  if (rank > (registers[index] ?? 0)) registers[index] = rank;
}

function estimateOf(registers: Uint8Array): number {
  const registersByRank = new Uint32Array(RANK_MAX + 1);
  for (const rank of registers) registersByRank[rank] = (registersByRank[rank] ?? 0) + 1;
  let z = REGISTERS * tau(1 - (registersByRank[RANK_MAX] ?? 0) / REGISTERS);
  for (let rank = RANK_MAX - 1; rank >= 1; rank--) z = (z + (registersByRank[rank] ?? 0)) / 2;
  z += REGISTERS * sigma((registersByRank[0] ?? 0) / REGISTERS);
  return (REGISTERS * REGISTERS) / (2 * Math.LN2 * z);
}

/** Stands in for the ranks below 1, which registers can't show; x is the share of registers that are 0. */
function sigma(x: number): number {
  if (x === 1) return Infinity;
  let sum = x;
  let power = x;
  for (let weight = 1, last = -1; sum !== last; weight *= 2) {
    last = sum;
    power *= power;
    sum += power * weight;
  }
  return sum;
}

/** Stands in for the ranks past the last; x is the share of registers that are not at the highest rank. */
function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let sum = 1 - x;
  let root = x;
  for (let weight = 0.5, last = -1; sum !== last; weight /= 2) {
    last = sum;
    root = Math.sqrt(root);
    sum -= (1 - root) ** 2 * weight;
  }
  return sum / 3;
}
