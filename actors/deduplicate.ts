/**
 * Which event ids were counted within the deduplication horizon, exactly (promise 2).
 *
 * Ids are kept as 64-bit keyed fingerprints (HalfSipHash-1-3 with 64-bit output; Aumasson and Bernstein, SipHash, 2012)
 * in one open-addressing table with a byte for the slot of ingest time in which the id came: 9 bytes an entry. The key is
 * secret, so nobody can craft two ids that collide; by chance one does with odds near 1e-19 an event, below the disk's own
 * error rate. Time is the ingest time in the journal, never a clock, so a replay remembers the same ids.
 *
 * A snapshot writes only fingerprints that came since the last one, in chunks by slot; an expired slot's chunks are removed.
 */
import { assert } from "../protocol/assert.ts";
import { TextColumn } from "../protocol/text-column.ts";
import { countedBytes } from "./counted-bytes.ts";
import type { StateEntry, StateWrite } from "./effects.ts";

const SLOTS_IN_HORIZON = 24;
const LOAD_MAX = 0.7;
const CAPACITY_MIN = 64;
const ENTRY_BYTES = 9;
const EMPTY = 0;

export interface DedupKey {
  readonly low: number;
  readonly high: number;
}

export class Deduplicator {
  readonly #key: DedupKey;
  #slotMs: number;
  /** Low and high halves in turn: a look-up touches one place in memory for both. */
  #halves = new Int32Array(2 * CAPACITY_MIN);
  #slots = new Uint8Array(CAPACITY_MIN);
  #count = 0;
  #currentSlot = -1;
  #lastTimeMs = Number.NaN;
  /** Where the id of the last `lookup` is, or would go. */
  #place = 0;
  /** Fingerprints since the last snapshot, by slot. */
  #pending = new Map<number, FingerprintList>();
  /** The one of the current slot, once it has one. */
  #pendingNow: FingerprintList | undefined;
  /** How many chunks each live slot has in the store. */
  #chunks = new Map<number, number>();
  #removedChunks: [slot: number, chunks: number][] = [];

  constructor(key: DedupKey, horizonMs: number) {
    this.#key = key;
    this.#slotMs = horizonMs / SLOTS_IN_HORIZON;
  }

  /** The slot that time has reached: part of the state, for the ids that keep it in memory may all have expired. */
  get slot(): number {
    return this.#currentSlot;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#slots.length * ENTRY_BYTES;
  }

  /** See `counted-bytes.ts`; with the fingerprints that wait for a snapshot. O(slots of time). */
  get countedBytes(): number {
    let bytes = countedBytes(this.#count * (ENTRY_BYTES / LOAD_MAX), this.sizeBytes);
    for (const pending of this.#pending.values()) bytes += pending.countedBytes;
    return bytes;
  }

  /** Moves time on; ids from before the horizon are forgotten. Time that runs backwards is ignored. */
  advance(ingestTimeMs: number): void {
    // Called for every event, and those of a frame have one time.
    if (ingestTimeMs === this.#lastTimeMs) return;
    this.#lastTimeMs = ingestTimeMs;
    const slot = Math.floor(ingestTimeMs / this.#slotMs);
    if (slot <= this.#currentSlot) return;
    const expires = this.#currentSlot !== -1;
    this.#currentSlot = slot;
    this.#pendingNow = undefined;
    if (expires) this.#expire();
  }

  /**
   * Hashes the ids of `rows[from]` to before `rows[to]` (no more than HASHED_MAX) and touches the places where they will be looked up,
   * so that the processor waits for all of that memory together: a table of millions of ids lies in memory that is slow to reach
   * (`npm run bench -- path`, dedup). `lookupHashed` may follow for each.
   */
  hash(ids: TextColumn, rows: Int32Array, from: number, to: number): void {
    const halves = this.#halves;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let seen = 0;
    for (let at = from; at < to; at++) {
      fingerprint(this.#key, ids, rows[at] ?? 0);
      hashed[2 * (at - from)] = fingerprintLow;
      hashed[2 * (at - from) + 1] = fingerprintHigh;
      seen |= (halves[2 * (fingerprintLow & mask)] ?? 0) | (slots[fingerprintLow & mask] ?? 0);
    }
    touched = seen;
  }

  /** `lookup` for the row that was hashed as number `index`, from 0. */
  lookupHashed(index: number): boolean {
    fingerprintLow = hashed[2 * index] ?? 0;
    fingerprintHigh = hashed[2 * index + 1] ?? 0;
    return this.#isRemembered();
  }

  /** True when the id is remembered. When it is not, `remember` may follow. */
  lookup(ids: TextColumn, row: number): boolean {
    fingerprint(this.#key, ids, row);
    return this.#isRemembered();
  }

  #isRemembered(): boolean {
    this.#place = this.#find(fingerprintLow, fingerprintHigh);
    return this.#slots[this.#place] !== EMPTY;
  }

  /** Remembers the id of the last look-up, which did not find it: hashing it once is enough. */
  remember(): void {
    assert(this.#currentSlot >= 0, "advance before remember");
    const low = fingerprintLow;
    const high = fingerprintHigh;
    if (this.#count + 1 > this.#slots.length * LOAD_MAX) {
      this.#rebuild(this.#slots.length * 2);
      this.#place = this.#find(low, high);
    }
    this.#count++;
    this.#put(this.#place, low, high, this.#currentSlot);
    (this.#pendingNow ??= this.#pendingAt(this.#currentSlot)).push(low, high);
  }

  #pendingAt(slot: number): FingerprintList {
    let pending = this.#pending.get(slot);
    if (pending === undefined) this.#pending.set(slot, (pending = new FingerprintList()));
    return pending;
  }

  /** What changed since the last snapshot, as entries under `prefix`. */
  snapshot(table: string, prefix: string, writes: StateWrite[]): void {
    for (const [slot, chunks] of this.#removedChunks) {
      for (let chunk = 0; chunk < chunks; chunk++) writes.push({ table, key: [prefix, slot, chunk], value: undefined });
    }
    this.#removedChunks = [];
    for (const [slot, pending] of this.#pending) {
      const chunk = this.#chunks.get(slot) ?? 0;
      writes.push({ table, key: [prefix, slot, chunk], value: new Uint8Array(pending.halves().slice().buffer) });
      this.#chunks.set(slot, chunk + 1);
    }
    this.#pending.clear();
    this.#pendingNow = undefined;
  }

  restore(entries: Iterable<StateEntry>, slotReached: number): void {
    this.#currentSlot = slotReached;
    for (const { key, value } of entries) {
      const slot = Number(key[1]);
      const halves = new Int32Array(value.slice().buffer);
      this.#chunks.set(slot, Math.max(this.#chunks.get(slot) ?? 0, Number(key[2]) + 1));
      for (let at = 0; at + 1 < halves.length; at += 2) {
        if (this.#count + 1 > this.#slots.length * LOAD_MAX) this.#rebuild(this.#slots.length * 2);
        this.#insert(halves[at] ?? 0, halves[at + 1] ?? 0, slot);
      }
    }
  }

  /** Ids get the slot in which their old one ended, so that none is forgotten before its time; all are written anew. */
  changeHorizon(horizonMs: number): void {
    const slotMs = horizonMs / SLOTS_IN_HORIZON;
    if (slotMs === this.#slotMs) return;
    const moved = (slot: number): number => Math.floor(((slot + 1) * this.#slotMs) / slotMs);
    const liveSlots = this.#liveSlots();
    const pending = new Map<number, FingerprintList>();
    this.#slots.forEach((byte, at) => {
      const slot = liveSlots.get(byte);
      if (slot === undefined) return;
      const list = pending.get(moved(slot)) ?? new FingerprintList();
      list.push(this.#halves[2 * at] ?? 0, this.#halves[2 * at + 1] ?? 0);
      pending.set(moved(slot), list);
    });
    for (const [slot, chunks] of this.#chunks) this.#removedChunks.push([slot, chunks]);
    this.#chunks.clear();
    if (this.#currentSlot !== -1) this.#currentSlot = moved(this.#currentSlot);
    this.#slotMs = slotMs;
    this.#lastTimeMs = Number.NaN;
    this.#pending = new Map([...pending].filter(([slot]) => this.#isLive(slot)));
    this.#pendingNow = undefined;
    this.#slots.fill(EMPTY);
    this.#count = 0;
    for (const [slot, list] of this.#pending) {
      const halves = list.halves();
      for (let at = 0; at + 1 < halves.length; at += 2) this.#insert(halves[at] ?? 0, halves[at + 1] ?? 0, slot);
    }
  }

  /** From the byte in the table to the slot, for all that are alive. */
  #liveSlots(): Map<number, number> {
    const liveSlots = new Map<number, number>();
    for (let slot = this.#currentSlot - SLOTS_IN_HORIZON; slot <= this.#currentSlot; slot++) liveSlots.set(slotByte(slot), slot);
    return liveSlots;
  }

  #isLive(slot: number): boolean {
    return slot >= this.#currentSlot - SLOTS_IN_HORIZON;
  }

  #expire(): void {
    const dead = new Set([...this.#chunks.keys(), ...this.#pending.keys()].filter((slot) => !this.#isLive(slot)));
    if (dead.size === 0) return;
    for (const slot of dead) {
      const chunks = this.#chunks.get(slot);
      if (chunks !== undefined) this.#removedChunks.push([slot, chunks]);
      this.#chunks.delete(slot);
      this.#pending.delete(slot);
    }
    this.#pendingNow = undefined;
    this.#rebuild(this.#capacityForLive());
  }

  /** Half of it, as often as what is left would still fill at most half of what fits: the table shrinks after a flood of ids. */
  #capacityForLive(): number {
    const isLive = new Uint8Array(256);
    for (const byte of this.#liveSlots().keys()) isLive[byte] = 1;
    let live = 0;
    for (const byte of this.#slots) live += isLive[byte] ?? 0;
    let capacity = this.#slots.length;
    while (capacity > CAPACITY_MIN && live <= (capacity * LOAD_MAX) / 4) capacity /= 2;
    return capacity;
  }

  /** Copies the live entries into a new table of at least `capacity`, a power of two. */
  #rebuild(capacity: number): void {
    const [halves, slots] = [this.#halves, this.#slots];
    this.#halves = new Int32Array(2 * capacity);
    this.#slots = new Uint8Array(capacity);
    this.#count = 0;
    const liveSlots = this.#liveSlots();
    for (let at = 0; at < slots.length; at++) {
      const slot = liveSlots.get(slots[at] ?? EMPTY);
      if (slot !== undefined) this.#insert(halves[2 * at] ?? 0, halves[2 * at + 1] ?? 0, slot);
    }
  }

  #insert(low: number, high: number, slot: number): void {
    const at = this.#find(low, high);
    if (this.#slots[at] === EMPTY) this.#count++;
    this.#put(at, low, high, slot);
  }

  #put(at: number, low: number, high: number, slot: number): void {
    this.#halves[2 * at] = low;
    this.#halves[2 * at + 1] = high;
    this.#slots[at] = slotByte(slot);
  }

  /** The index that holds the fingerprint, or the empty one where it would go. Linear probing. */
  #find(low: number, high: number): number {
    const halves = this.#halves;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = low & mask;
    while (slots[at] !== EMPTY && (halves[2 * at] !== low || halves[2 * at + 1] !== high)) at = (at + 1) & mask;
    return at;
  }
}

/** 1 .. 255: distinct for all slots that are alive at once; 0 marks an empty place. */
function slotByte(slot: number): number {
  return (slot % 255) + 1;
}

/** Fingerprints, low and high halves in turn, without an object or a boxed number for each. */
class FingerprintList {
  #halves = new Int32Array(32);
  #length = 0;

  push(low: number, high: number): void {
    if (this.#length === this.#halves.length) {
      const shorter = this.#halves;
      this.#halves = new Int32Array(2 * shorter.length);
      this.#halves.set(shorter);
    }
    this.#halves[this.#length++] = low;
    this.#halves[this.#length++] = high;
  }

  get countedBytes(): number {
    return countedBytes(this.#length * 4, this.#halves.byteLength);
  }

  /** Valid until the next push. */
  halves(): Int32Array {
    return this.#halves.subarray(0, this.#length);
  }
}

// The two halves of the last fingerprint: plain variables, so that hashing an id makes no object; signed, as V8 keeps integers
// of 32 bits with their sign without a piece of memory for each.
let fingerprintLow = 0;
let fingerprintHigh = 0;

/** So many ids are hashed at once. */
export const HASHED_MAX = 128;
/** Low and high halves of the ids that were hashed last, whatever table they are for. */
const hashed = new Int32Array(2 * HASHED_MAX);
/** What `hash` saw, kept so that no compiler takes the touching away. */
export let touched = 0;

/**
 * HalfSipHash-1-3, 64-bit output, of the text's UTF-8 bytes; the result is in `fingerprintLow` and `fingerprintHigh`. All in one
 * function: its state then lives in registers, which makes it twice as fast as calls that share variables.
 *
 * `step` counts the rounds: one for each word of four bytes, one for the last word with the length, three and three to finish.
 */
function fingerprint(key: DedupKey, { bytes, view, starts, lengths }: TextColumn, row: number): void {
  const start = starts[row] ?? 0;
  const length = lengths[row] ?? 0;
  const last = length >> 2;
  let rest = length << 24;
  for (let at = start + last * 4, shift = 0; at < start + length; at++, shift += 8) rest |= (bytes[at] ?? 0) << shift;
  let v0 = key.low | 0;
  let v1 = key.high ^ 0xee;
  let v2 = 0x6c796765 ^ key.low;
  let v3 = 0x74656462 ^ key.high;
  let low = 0;
  for (let step = 0; step <= last + 6; step++) {
    let word = 0;
    if (step <= last) {
      word = step < last ? view.getInt32(start + step * 4, true) : rest;
      v3 ^= word;
    } else if (step === last + 1) {
      v2 ^= 0xee;
    } else if (step === last + 4) {
      low = v1 ^ v3;
      v1 ^= 0xdd;
    }
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    if (step <= last) v0 ^= word;
  }
  fingerprintLow = low;
  fingerprintHigh = v1 ^ v3;
}

/** The last fingerprint as a pair, for tests. */
export function fingerprintOf(key: DedupKey, text: string): readonly [low: number, high: number] {
  fingerprint(key, TextColumn.of([text]), 0);
  return [fingerprintLow >>> 0, fingerprintHigh >>> 0];
}
