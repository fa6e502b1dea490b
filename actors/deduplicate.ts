/**
 * Which event ids were counted within the deduplication horizon, exactly (promise 2).
 *
 * Ids are kept as 64-bit keyed fingerprints (HalfSipHash-1-3 with 64-bit output; Aumasson and Bernstein, SipHash, 2012)
 * in an open-addressing table (`id-table.ts`) with a byte for the slot of ingest time in which the id came: 9 bytes a place. The
 * key is secret, so nobody can craft two ids that collide; by chance one does with odds near 1e-19 an event, below the disk's own
 * error rate. Time is the ingest time in the journal, never a clock, so a replay remembers the same ids.
 *
 * A snapshot writes only fingerprints that came since the last one, which are marked in the table, in chunks by slot; an expired
 * slot's chunks are removed. Ids that expire are forgotten at once, and leave the table little by little, as events come.
 */
import { assert } from "../protocol/assert.ts";
import { TextColumn } from "../protocol/text-column.ts";
import { countedBytes } from "./counted-bytes.ts";
import type { StateEntry, StateWrite } from "./effects.ts";
import { ID_BYTES, ID_LOAD_MAX, IdTable, MARK } from "./id-table.ts";

const SLOTS_IN_HORIZON = 24;
/** While expired ids leave the table: so many places are looked through for each event, */
const SWEPT_PER_EVENT = 32;
/** and such a part of all with each new time of receipt, since a tenant that is refused has a frame a second. */
const SWEPT_SHARE = 1 / 256;

export interface DedupKey {
  readonly low: number;
  readonly high: number;
}

export class Deduplicator {
  readonly #key: DedupKey;
  #slotMs: number;
  /** By the byte of a slot, with and without mark. */
  #isLive = new Uint8Array(2 * MARK);
  #table = new IdTable(this.#isLive);
  /** Live ids by the byte of their slot, and how many of them wait for a snapshot. */
  readonly #counts = new Int32Array(MARK);
  readonly #pending = new Int32Array(MARK);
  #count = 0;
  #currentSlot = -1;
  #currentByte = 0;
  #lastTimeMs = Number.NaN;
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
    return this.#table.sizeBytes;
  }

  /** See `counted-bytes.ts`. */
  get countedBytes(): number {
    return countedBytes(this.#count * (ID_BYTES / ID_LOAD_MAX), this.sizeBytes);
  }

  /** Moves time on; ids from before the horizon are forgotten. Time that runs backwards is ignored. */
  advance(ingestTimeMs: number): void {
    // Called for every event, and those of a frame have one time.
    if (ingestTimeMs === this.#lastTimeMs) return;
    this.#lastTimeMs = ingestTimeMs;
    if (this.#table.isSweeping) this.#table.sweep(this.#table.places * SWEPT_SHARE);
    const slot = Math.floor(ingestTimeMs / this.#slotMs);
    if (slot > this.#currentSlot) this.#moveTo(slot);
  }

  /**
   * Hashes the ids of `rows[from]` to before `rows[to]` (no more than HASHED_MAX) and touches the places where they will be looked up,
   * so that the processor waits for all of that memory together: a table of millions of ids lies in memory that is slow to reach
   * (`npm run bench -- path`, dedup). `lookupHashed` may follow for each.
   */
  hash(ids: TextColumn, rows: Int32Array, from: number, to: number): void {
    const table = this.#table;
    if (table.isSweeping) table.sweep((to - from) * SWEPT_PER_EVENT);
    let seen = 0;
    for (let at = from; at < to; at++) {
      fingerprint(this.#key, ids, rows[at] ?? 0);
      hashed[2 * (at - from)] = fingerprintLow;
      hashed[2 * (at - from) + 1] = fingerprintHigh;
      seen |= table.touch(fingerprintLow);
    }
    touched = seen;
  }

  /** True when the id that was hashed as number `index`, from 0, is remembered. When it is not, `remember` may follow. */
  lookupHashed(index: number): boolean {
    fingerprintLow = hashed[2 * index] ?? 0;
    fingerprintHigh = hashed[2 * index + 1] ?? 0;
    return this.#isLive[this.#table.find(fingerprintLow, fingerprintHigh)] === 1;
  }

  /** Remembers the id of the last look-up, which did not find it: hashing it once is enough. */
  remember(): void {
    assert(this.#currentSlot >= 0, "advance before remember");
    const byte = this.#currentByte;
    this.#table.put(fingerprintLow, fingerprintHigh, byte | MARK);
    this.#countOne(byte | MARK, 1);
  }

  /** What changed since the last snapshot, as entries under `prefix`. The same for the same ids, however they came here. */
  snapshot(table: string, prefix: string, writes: StateWrite[]): void {
    for (const [slot, chunks] of this.#removedChunks) {
      for (let chunk = 0; chunk < chunks; chunk++) writes.push({ table, key: [prefix, slot, chunk], value: undefined });
    }
    this.#removedChunks = [];
    for (const slot of this.#liveSlots()) {
      const pending = this.#pending[slotByte(slot)] ?? 0;
      if (pending === 0) continue;
      const list = new Int32Array(2 * pending);
      this.#table.takeMarked(slotByte(slot), list);
      const chunk = this.#chunks.get(slot) ?? 0;
      writes.push({ table, key: [prefix, slot, chunk], value: new Uint8Array(list.buffer) });
      this.#chunks.set(slot, chunk + 1);
    }
    this.#pending.fill(0);
  }

  restore(entries: Iterable<StateEntry>, slotReached: number): void {
    this.#reach(slotReached);
    for (const { key, value } of entries) {
      const slot = Number(key[1]);
      const halves = new Int32Array(value.slice().buffer);
      this.#chunks.set(slot, Math.max(this.#chunks.get(slot) ?? 0, Number(key[2]) + 1));
      for (let at = 0; at + 1 < halves.length; at += 2) this.#insert(halves[at] ?? 0, halves[at + 1] ?? 0, slotByte(slot));
    }
  }

  /** Ids get the slot in which their old one ended, so that none is forgotten before its time; all are written anew. */
  changeHorizon(horizonMs: number): void {
    const slotMs = horizonMs / SLOTS_IN_HORIZON;
    if (slotMs === this.#slotMs) return;
    const moved = (slot: number): number => Math.floor(((slot + 1) * this.#slotMs) / slotMs);
    const movedTo = new Map(this.#liveSlots().map((slot) => [slotByte(slot), moved(slot)]));
    const slotReached = this.#currentSlot === -1 ? -1 : moved(this.#currentSlot);
    const before = this.#table;
    for (const [slot, chunks] of this.#chunks) this.#removedChunks.push([slot, chunks]);
    this.#chunks.clear();
    this.#slotMs = slotMs;
    this.#lastTimeMs = Number.NaN;
    this.#forgetAll();
    this.#isLive = new Uint8Array(2 * MARK);
    this.#table = new IdTable(this.#isLive);
    this.#reach(slotReached);
    before.forEach((low, high, byte) => {
      const slot = movedTo.get(byte & ~MARK) ?? -1;
      if (this.#isAlive(slot)) this.#insert(low, high, slotByte(slot) | MARK);
    });
  }

  /** What expires is forgotten here; the table gives its places back later, or now when nothing is left. */
  #moveTo(slot: number): void {
    const before = this.#currentSlot;
    let expired = 0;
    for (let old = Math.max(0, before - SLOTS_IN_HORIZON); old <= before && old < slot - SLOTS_IN_HORIZON; old++) {
      expired += this.#counts[slotByte(old)] ?? 0;
      this.#counts[slotByte(old)] = 0;
      this.#pending[slotByte(old)] = 0;
    }
    this.#count -= expired;
    if (this.#count === 0 && expired > 0) this.#table.clear();
    // Bytes come again some time: what died before must be gone by then.
    else if (expired > 0 && this.#table.isSweeping) this.#table.sweep(Number.POSITIVE_INFINITY);
    this.#reach(slot);
    if (this.#count > 0 && expired > 0) this.#table.beginSweep();
    for (const [old, chunks] of this.#chunks) {
      if (this.#isAlive(old)) continue;
      this.#removedChunks.push([old, chunks]);
      this.#chunks.delete(old);
    }
  }

  #reach(slot: number): void {
    this.#currentSlot = slot;
    this.#currentByte = slotByte(slot);
    this.#isLive.fill(0);
    for (const live of this.#liveSlots()) this.#isLive[slotByte(live)] = this.#isLive[slotByte(live) | MARK] = 1;
  }

  #liveSlots(): number[] {
    const slots: number[] = [];
    for (let slot = this.#currentSlot - SLOTS_IN_HORIZON; slot <= this.#currentSlot; slot++) if (slot >= 0) slots.push(slot);
    return slots;
  }

  #isAlive(slot: number): boolean {
    return slot >= 0 && slot >= this.#currentSlot - SLOTS_IN_HORIZON;
  }

  #insert(low: number, high: number, byte: number): void {
    const known = this.#table.find(low, high);
    if (this.#isLive[known] === 1) this.#countOne(known, -1);
    this.#table.put(low, high, byte);
    this.#countOne(byte, 1);
  }

  #countOne(byte: number, by: 1 | -1): void {
    const slot = byte & ~MARK;
    this.#count += by;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + by;
    if (byte !== slot) this.#pending[slot] = (this.#pending[slot] ?? 0) + by;
  }

  #forgetAll(): void {
    this.#count = 0;
    this.#counts.fill(0);
    this.#pending.fill(0);
  }
}

/** 1 .. 127: distinct for all slots that are alive at once, or were when the last ones died. */
function slotByte(slot: number): number {
  return (slot % (MARK - 1)) + 1;
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
