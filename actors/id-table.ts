/**
 * Fingerprints of 64 bits with a byte each, at least 1 (what it means is the caller's): open addressing in segments that grow,
 * split and shrink by themselves, so that nothing is ever rebuilt all at once and memory stays near the count. One table that
 * doubles is half empty afterwards, and an event waits for all of it (`npm run bench -- memory`, `micro`; decision 0027).
 *
 *   low half:  the first bits -> directory -> segment         extendible hashing (Fagin et al., 1979)
 *              the next ones, scaled to the segment's length -> place         linear probing
 *
 * A segment grows by about a third, of which each has its own measure, so that not all grow at the same time. Scaling does for any
 * length, and keeps entries in the order of their low halves but for their neighbours: a rebuild reads and writes in order. A
 * full one of the largest size becomes two. A byte may cease to be live at any time: its entries may be overwritten, fall out
 * of what is rebuilt, and a sweep takes the rest, a few segments at a time.
 * Which segments there are and where an entry lies depends on how it all came about; what can be read does not.
 */
import { assert } from "../protocol/assert.ts";

/** Bytes of a place. */
export const ID_BYTES = 9;
export const ID_LOAD_MAX = 0.78;
/** Marks an entry until `takeMarked`: bytes are below it. */
export const MARK = 0x80;
const EMPTY = 0;
const PLACES_MIN = 64;
/** So a rebuild takes about half a millisecond at most. */
const PLACES_MAX = 2 ** 13;
/** So many bits of a fingerprint are scaled to a place: the product stays within 32. */
const SCALED_BITS = 18;
/** Then there are as few bits left to scale as places: more entries than memory holds. */
const DEPTH_MAX = 19;
/** Smaller ones double. */
const STEPS_FROM_PLACES = 1_024;
const GROWTH_MIN = 1.4;
const GROWTH_RANGE = 0.2;
const GOLDEN = 0.6180339887498949;
/** Two siblings that hold less together are one again. */
const MERGED_IDS_MAX = PLACES_MAX / 4;
/** Of its objects, about. */
const SEGMENT_BYTES = 320;

class Segment {
  /** It has all fingerprints whose low half begins with these bits. */
  readonly prefix: number;
  readonly depth: number;
  readonly places: number;
  /** Low and high halves in turn: a look-up touches one place in memory for both. */
  readonly halves: Int32Array;
  readonly bytes: Uint8Array;
  readonly usedMax: number;
  /** Places that are not empty, dead ones too. */
  used = 0;

  /** With room for more than `ids`. */
  constructor(prefix: number, depth: number, ids: number) {
    this.prefix = prefix;
    this.depth = depth;
    this.places = placesFor(ids, prefix);
    const memory = new ArrayBuffer(this.places * ID_BYTES);
    this.halves = new Int32Array(memory, 0, 2 * this.places);
    this.bytes = new Uint8Array(memory, 8 * this.places);
    this.usedMax = Math.floor(this.places * ID_LOAD_MAX);
  }
}

function placesFor(ids: number, prefix: number): number {
  const growth = GROWTH_MIN + GROWTH_RANGE * ((prefix * GOLDEN) % 1);
  const least = (ids + 1) / ID_LOAD_MAX;
  const places = least < STEPS_FROM_PLACES ? 2 ** Math.ceil(Math.log2(least)) : Math.ceil(least * growth);
  return Math.min(PLACES_MAX, Math.max(PLACES_MIN, places));
}

export class IdTable {
  /** By byte, with and without mark: whether entries with it count. The caller changes it. */
  readonly #isLive: Uint8Array;
  /** By the first `#depth` bits of the low half; a segment of fewer bits stands in several places. */
  #directory: Segment[] = [];
  #depth = 0;
  #places = 0;
  #segments = 0;
  /** Where in the directory the sweep has come to: at its end when there is none. */
  #sweptTo = 1;
  /** Where the last `find` ended. */
  #segment!: Segment;
  #place = 0;

  constructor(isLive: Uint8Array) {
    this.#isLive = isLive;
    this.clear();
  }

  get sizeBytes(): number {
    return this.#places * ID_BYTES + this.#segments * SEGMENT_BYTES;
  }

  get places(): number {
    return this.#places;
  }

  clear(): void {
    this.#places = this.#segments = this.#depth = 0;
    this.#directory = [];
    this.#refill([], [new Segment(0, 0, 0)]);
    this.#segment = this.#segmentOf(0);
    this.#sweptTo = 1;
  }

  /** Something of the memory in which `find` will look, so that it comes near; nothing else depends on it. */
  touch(low: number): number {
    const segment = this.#segmentOf(low);
    const { halves, bytes } = segment;
    const at = homeIn(segment, low);
    return (halves[2 * at] ?? 0) | (bytes[at] ?? 0);
  }

  /** The byte of the fingerprint, with its mark; 0: it is not there. */
  find(low: number, high: number): number {
    const segment = this.#segmentOf(low);
    const at = placeIn(segment, low, high);
    this.#segment = segment;
    this.#place = at;
    return segment.bytes[at] ?? EMPTY;
  }

  /** Puts the fingerprint where the last `find`, which was for it, has ended. */
  put(low: number, high: number, byte: number): void {
    if (this.#segment.bytes[this.#place] === EMPTY) {
      while (this.#segment.used >= this.#segment.usedMax) {
        this.#makeRoom(this.#segment);
        this.find(low, high);
      }
      this.#segment.used++;
    }
    write(this.#segment, this.#place, low, high, byte);
  }

  /** Takes the marks of a byte away, and writes the halves of those entries to the list, ascending by low half and high half. */
  takeMarked(byte: number, list: Int32Array): void {
    let end = 0;
    for (const segment of this.#each()) {
      let first = 0;
      while (segment.bytes[first] !== EMPTY) first++;
      // Before the first empty place lie some that had no room at the end: they come last.
      end = takeBetween(segment, byte, 0, first, segment.places / 2, list, end);
      end = takeBetween(segment, byte, first, segment.places, segment.places, list, end);
      end = takeBetween(segment, byte, 0, first, segment.places, list, end);
    }
    assert(end === list.length, "as many entries are marked as were counted");
  }

  /** Calls `visit` for each live entry. */
  forEach(visit: (low: number, high: number, byte: number) => void): void {
    for (const { halves, bytes } of this.#each()) {
      for (let at = 0; at < bytes.length; at++) {
        const byte = bytes[at] ?? EMPTY;
        if (this.#isLive[byte] === 1) visit(halves[2 * at] ?? 0, halves[2 * at + 1] ?? 0, byte);
      }
    }
  }

  get isSweeping(): boolean {
    return this.#sweptTo < this.#directory.length;
  }

  /** Dead entries are to go. An earlier sweep must have ended. */
  beginSweep(): void {
    assert(!this.isSweeping, "one sweep at a time");
    this.#sweptTo = 0;
  }

  /** Goes on with a sweep, about so many places; a segment at least. */
  sweep(places: number): void {
    for (let swept = 0; this.isSweeping && swept < places;) {
      const segment = this.#directory[this.#sweptTo] as Segment;
      swept += segment.places;
      const live = this.#countLive(segment);
      const kept = live === segment.used ? segment : new Segment(segment.prefix, segment.depth, live);
      if (kept !== segment) this.#refill([segment], [kept]);
      this.#sweptTo += 1 << (this.#depth - kept.depth);
      this.#mergeBack(kept);
      if (!this.isSweeping) this.#shrinkDirectory();
    }
  }

  /** With the sibling before it, which has been swept, and so on. */
  #mergeBack(swept: Segment): void {
    for (let second = swept; (second.prefix & 1) === 1;) {
      const { prefix, depth, used } = second;
      const first = this.#directory[(prefix - 1) << (this.#depth - depth)] as Segment;
      if (first.depth !== depth || first.used + used > MERGED_IDS_MAX) return;
      const merged = new Segment(prefix >>> 1, depth - 1, first.used + used);
      this.#refill([first, second], [merged]);
      second = merged;
    }
  }

  #shrinkDirectory(): void {
    while (this.#depth > 0 && this.#directory.every(({ depth }) => depth < this.#depth)) {
      this.#directory = this.#directory.filter((_, index) => index % 2 === 0);
      this.#depth--;
    }
    this.#sweptTo = this.#directory.length;
  }

  /** Without what is dead, larger, or as two. */
  #makeRoom(segment: Segment): void {
    const { prefix, depth } = segment;
    const live = this.#countLive(segment);
    if (live < Math.floor(PLACES_MAX * ID_LOAD_MAX)) return this.#refill([segment], [new Segment(prefix, depth, live)]);
    if (depth === this.#depth) this.#doubleDirectory();
    const left = this.#countLeft(segment);
    this.#refill([segment], [new Segment(2 * prefix, depth + 1, left), new Segment(2 * prefix + 1, depth + 1, live - left)]);
  }

  #doubleDirectory(): void {
    assert(this.#depth < DEPTH_MAX, "fingerprints are spread evenly");
    this.#directory = this.#directory.flatMap((segment) => [segment, segment]);
    this.#depth++;
    this.#sweptTo *= 2;
  }

  /** Puts the targets into the directory in place of the sources, and the sources' live entries into them. */
  #refill(sources: readonly Segment[], targets: readonly Segment[]): void {
    for (const target of targets) {
      const span = 1 << (this.#depth - target.depth);
      for (let index = 0; index < span; index++) this.#directory[target.prefix * span + index] = target;
      this.#places += target.places;
      this.#segments++;
    }
    for (const source of sources) {
      this.#places -= source.places;
      this.#segments--;
      for (const target of targets) move(source, target, this.#isLive);
    }
  }

  #countLive({ bytes }: Segment): number {
    let live = 0;
    for (let at = 0; at < bytes.length; at++) live += this.#isLive[bytes[at] ?? EMPTY] ?? 0;
    return live;
  }

  /** How many live entries go into the first of the two that the segment becomes. */
  #countLeft({ halves, bytes, depth, prefix }: Segment): number {
    let left = 0;
    for (let at = 0; at < bytes.length; at++) {
      if (isUnder(halves[2 * at] ?? 0, 2 * prefix, depth + 1)) left += this.#isLive[bytes[at] ?? EMPTY] ?? 0;
    }
    return left;
  }

  *#each(): Generator<Segment, void> {
    for (let index = 0; index < this.#directory.length;) {
      const segment = this.#directory[index] as Segment;
      yield segment;
      index += 1 << (this.#depth - segment.depth);
    }
  }

  #segmentOf(low: number): Segment {
    // Not by 32 - depth: a shift by 32 is none.
    return this.#directory[(low >>> 1) >>> (31 - this.#depth)] as Segment;
  }
}

/** Whether the low half begins with so many bits of a prefix. */
function isUnder(low: number, prefix: number, depth: number): boolean {
  // Not by 32 - depth: a shift by 32 is none.
  return (low >>> 1) >>> (31 - depth) === prefix;
}

/** Where the fingerprint would lie if nothing else did. */
function homeIn({ depth, places }: Segment, low: number): number {
  return Math.imul((low << depth) >>> (32 - SCALED_BITS), places) >>> SCALED_BITS;
}

/** The index that holds the fingerprint, or the empty one where it would go. */
function placeIn(segment: Segment, low: number, high: number): number {
  const { halves, bytes, places } = segment;
  let at = homeIn(segment, low);
  while (bytes[at] !== EMPTY && (halves[2 * at] !== low || halves[2 * at + 1] !== high)) at = at + 1 === places ? 0 : at + 1;
  return at;
}

function write({ halves, bytes }: Segment, at: number, low: number, high: number, byte: number): void {
  halves[2 * at] = low;
  halves[2 * at + 1] = high;
  bytes[at] = byte;
}

/** Those of a segment's live entries that belong into another one. No two are the same, so it need not be looked for. */
function move(source: Segment, target: Segment, isLive: Uint8Array): void {
  const { halves, bytes } = source;
  const { halves: toHalves, bytes: toBytes, places, depth, prefix } = target;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (isLive[byte] !== 1) continue;
    const low = halves[2 * at] as number;
    if (!isUnder(low, prefix, depth)) continue;
    let to = Math.imul((low << depth) >>> (32 - SCALED_BITS), places) >>> SCALED_BITS;
    while (toBytes[to] !== EMPTY) to = to + 1 === places ? 0 : to + 1;
    toHalves[2 * to] = low;
    toHalves[2 * to + 1] = halves[2 * at + 1] as number;
    toBytes[to] = byte;
    target.used++;
  }
}

/** Of `takeMarked`: those between two places whose home is before another one. Returns where the list ends now. */
function takeBetween(
  segment: Segment,
  byte: number,
  from: number,
  to: number,
  homeBefore: number,
  list: Int32Array,
  end: number,
): number {
  const { halves, bytes } = segment;
  const marked = byte | MARK;
  for (let place = from; place < to; place++) {
    if (bytes[place] !== marked) continue;
    const low = halves[2 * place] as number;
    if (homeIn(segment, low) >= homeBefore) continue;
    bytes[place] = byte;
    const high = halves[2 * place + 1] as number;
    let at = end;
    // Only neighbours may lie in another order.
    for (; at > 0 && isBefore(low, high, list[at - 2] as number, list[at - 1] as number); at -= 2) {
      list[at] = list[at - 2] as number;
      list[at + 1] = list[at - 1] as number;
    }
    list[at] = low;
    list[at + 1] = high;
    end += 2;
  }
  return end;
}

function isBefore(low: number, high: number, otherLow: number, otherHigh: number): boolean {
  return low === otherLow ? high < otherHigh : low >>> 0 < otherLow >>> 0;
}
