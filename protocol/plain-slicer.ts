/**
 * The fast way of `sliceEvent` (`msgpack-slices.ts`): an event of a frame whose shapes the plain reader knows, alone, with the
 * shapes that it uses. It makes no object for a token and nothing that is kept, and it scans no other event, however many shapes
 * the frame defines: a dead letter costs a quarter of what it did, and an invalid event, which is cut out to be read by the
 * reference (`odd-rows.ts`), half (`npm run bench -- ingest`: 3 of 100 events). `plain-slicer.property.test.ts` holds its bytes
 * to those of `sliceEvent`; what it is not sure of it leaves to that.
 */
import { frameBytesOf, noFrame, type FrameBytes } from "./interner.ts";
import { EXTENSION_TIMESTAMP, EXTENSION_UNDEFINED, NANOSECONDS_MAX } from "./msgpack-scanner.ts";
import { eventGrowthMax, EVENT_NESTING_MAX } from "./msgpack-slices.ts";
import { endOfKeys, EXTENSION_RECORD, fieldsOfKeys, GIVE_UP, isListToken, NO_TOKEN, scalarSize } from "./plain-tokens.ts";

const SHAPE_IDS = 64;
const DEFINITION_HEAD_BYTES = 3;
const NO_PLACE = -1;
const NOT_LOOKED_UP = -2;
const LIST_OF_ONE = 0x91;
/** From, to, and the place of the definition. */
const MARK_WORDS = 3;
/** Longer events get memory of their own, when it is known how much. */
const SMALL_EVENT_BYTES = 4 * 1024;
const SCRATCH_BYTES = 1 + eventGrowthMax(SMALL_EVENT_BYTES) + SMALL_EVENT_BYTES;

/** Where a frame defines its record shapes: found by id and place in the time of a binary search. */
export class FrameShapes {
  readonly #places: (number[] | undefined)[] = new Array<number[] | undefined>(SHAPE_IDS).fill(undefined);
  #taken = 0;

  /** Takes what is new in a frame's list of places, ascending, which has grown since the last call. */
  take(bytes: Uint8Array, definitions: readonly number[]): void {
    for (; this.#taken < definitions.length; this.#taken++) {
      const place = definitions[this.#taken] ?? 0;
      const id = (bytes[place + 2] ?? 0) & 0x3f;
      const places = this.#places[id];
      if (places === undefined) this.#places[id] = [place];
      else places.push(place);
    }
  }

  /** The last definition of a shape that begins before a place in the frame, or -1. */
  placeBefore(id: number, before: number): number {
    const places = this.#places[id];
    if (places === undefined) return NO_PLACE;
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((places[middle] ?? 0) < before) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? NO_PLACE : (places[low - 1] ?? NO_PLACE);
  }
}

class PlainSlicer {
  #frame = noFrame;
  #bytes = noFrame.bytes;
  #shapes = new FrameShapes();
  #start = 0;
  /** By id: the place of the definition that holds where the walk is. */
  readonly #holding = new Int32Array(SHAPE_IDS);
  /** The same for the output. */
  readonly #written = new Int32Array(SHAPE_IDS);
  #marks = new Int32Array(MARK_WORDS * 16);
  #markCount = 0;
  readonly #scratch = frameBytesOf(new Uint8Array(SCRATCH_BYTES));
  /** Entries of the map or list whose head was read last. */
  #length = 0;

  /** See `PlainSlice`. */
  listOfOne(frame: FrameBytes, shapes: FrameShapes, start: number): Uint8Array | undefined {
    const end = this.walk(frame, shapes, start);
    if (end < 0) return undefined;
    const size = end - start;
    const out = this.#outFor(size);
    if (out === undefined) return undefined;
    const isScratch = out === this.#scratch.bytes;
    const length = this.#copyAll(isScratch ? this.#scratch.view : frameBytesOf(out).view, size);
    return length < 0 ? undefined : out.subarray(0, length);
  }

  /** Where the event that begins at `start` ends. The bytes are forgotten by `release`. */
  walk(frame: FrameBytes, shapes: FrameShapes, start: number): number {
    this.#frame = frame;
    this.#bytes = frame.bytes;
    this.#shapes = shapes;
    this.#start = start;
    this.#holding.fill(NOT_LOOKED_UP);
    this.#markCount = 0;
    const end = this.#skip(start, EVENT_NESTING_MAX);
    return end <= frame.bytes.length ? end : GIVE_UP;
  }

  /** The places of the definitions within the event that was walked. */
  definitions(): number[] {
    const places: number[] = [];
    for (let mark = 0; mark < this.#markCount; mark++) {
      const from = this.#marks[mark * MARK_WORDS] ?? 0;
      if (from === this.#marks[mark * MARK_WORDS + 2]) places.push(from);
    }
    return places;
  }

  release(): void {
    this.#frame = noFrame;
    this.#bytes = noFrame.bytes;
  }

  #skip(at: number, levels: number): number {
    const bytes = this.#bytes;
    const token = bytes[at] ?? NO_TOKEN;
    if (token < 0x40 || token >= 0xe0) return at + 1;
    if (token >= 0xa0 && token < 0xc0) return at + token - 0x9f;
    if (token < 0x80) return this.#recordOrInteger(at, token & 0x3f, levels);
    if (token < 0x90 || token === 0xde || token === 0xdf) return this.#skipMap(at, token, levels - 1);
    if (isListToken(token)) {
      const first = this.#listHead(at, token);
      return this.#skipMany(first, this.#length, levels - 1);
    }
    if (token === 0xcb) return at + 9;
    const size = scalarSize(token);
    if (size > 0) return at + size;
    if (token >= 0xd9 && token <= 0xdb) return this.#skipText(at, token);
    if (token >= 0xc4 && token <= 0xc6) return at + 1 + (1 << (token - 0xc4)) + this.#unsigned(at + 1, token - 0xc4);
    return this.#skipExtension(at, token, levels);
  }

  #skipMany(from: number, count: number, levels: number): number {
    // Each takes a byte at least.
    if (levels < 0 || from < 0 || count > this.#bytes.length - from) return GIVE_UP;
    const bytes = this.#bytes;
    let at = from;
    for (let left = count; left > 0 && at >= 0; left--) {
      const token = bytes[at] ?? NO_TOKEN;
      at = token >= 0xa0 && token < 0xc0 ? at + token - 0x9f : this.#skip(at, levels);
    }
    return at;
  }

  #skipMap(mapAt: number, token: number, levels: number): number {
    const size = token === 0xde ? 1 : 2;
    let at = token < 0x90 ? mapAt + 1 : mapAt + 1 + (1 << size);
    const entries = token < 0x90 ? token - 0x80 : this.#unsigned(mapAt + 1, size);
    if (levels < 0 || entries * 2 > this.#bytes.length - at) return GIVE_UP;
    for (let left = entries; left > 0 && at >= 0; left--) {
      at = this.#key(at);
      if (at >= 0) at = this.#skip(at, levels);
    }
    return at;
  }

  /** Texts, and what stands for a number, boolean or nil. */
  #key(at: number): number {
    const token = this.#bytes[at] ?? NO_TOKEN;
    if (token >= 0xa0 && token < 0xc0) return at + token - 0x9f;
    if (token >= 0xd9 && token <= 0xdb) return this.#skipText(at, token);
    if (token < 0x40 || token >= 0xe0) return at + 1;
    if (token < 0x80) return this.#placeOf(token & 0x3f) < 0 ? at + 1 : GIVE_UP;
    const size = token === 0xcb ? 9 : scalarSize(token);
    return size > 0 ? at + size : GIVE_UP;
  }

  /** A long text; decoders differ on one that begins with a byte order mark. */
  #skipText(at: number, token: number): number {
    const bytes = this.#bytes;
    const from = at + 1 + (1 << (token - 0xd9));
    const isMarked = bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf;
    return isMarked ? GIVE_UP : from + this.#unsigned(at + 1, token - 0xd9);
  }

  #recordOrInteger(at: number, id: number, levels: number): number {
    const place = this.#placeOf(id);
    if (place < 0) return at + 1;
    this.#mark(at, at + 1, place);
    return this.#skipMany(at + 1, fieldsOfKeys(this.#bytes, place + DEFINITION_HEAD_BYTES), levels - 1);
  }

  /** Timestamps, msgpackr's "undefined", and records. */
  #skipExtension(at: number, token: number, levels: number): number {
    const bytes = this.#bytes;
    if (token === 0xd4 && bytes[at + 1] === EXTENSION_RECORD) return this.#define(at, levels);
    const isFixed = token >= 0xd4 && token <= 0xd8;
    if (!isFixed && token !== 0xc7) return GIVE_UP;
    const length = isFixed ? 1 << (token - 0xd4) : (bytes[at + 1] ?? 0);
    const from = isFixed ? at + 2 : at + 3;
    const type = bytes[from - 1];
    if (type === EXTENSION_UNDEFINED) return from + length;
    if (type !== EXTENSION_TIMESTAMP || (length === 12 && this.#isOddTimestamp(from))) return GIVE_UP;
    return from + length;
  }

  /** As `MsgpackScanner` has it. */
  #isOddTimestamp(at: number): boolean {
    return this.#unsigned(at, 2) > NANOSECONDS_MAX || this.#bytes[at + 4] !== 0 || this.#bytes[at + 5] !== 0;
  }

  #define(at: number, levels: number): number {
    const id = this.#bytes[at + 2] ?? 0;
    const keysAt = at + DEFINITION_HEAD_BYTES;
    const to = id >= 0x40 && id < 0x80 ? endOfKeys(this.#bytes, keysAt) : GIVE_UP;
    if (to < 0) return GIVE_UP;
    this.#holding[id & 0x3f] = at;
    this.#mark(at, to, at);
    return this.#skipMany(to, fieldsOfKeys(this.#bytes, keysAt), levels - 1);
  }

  #placeOf(id: number): number {
    let place = this.#holding[id] ?? NO_PLACE;
    if (place === NOT_LOOKED_UP) this.#holding[id] = place = this.#shapes.placeBefore(id, this.#start);
    return place;
  }

  #mark(from: number, to: number, place: number): void {
    const at = this.#markCount++ * MARK_WORDS;
    if (at === this.#marks.length) {
      const grown = new Int32Array(2 * at);
      grown.set(this.#marks);
      this.#marks = grown;
    }
    this.#marks[at] = from;
    this.#marks[at + 1] = to;
    this.#marks[at + 2] = place;
  }

  #listHead(at: number, token: number): number {
    if (token < 0xa0) {
      this.#length = token - 0x90;
      return at + 1;
    }
    this.#length = this.#unsigned(at + 1, token - 0xdb);
    return at + 1 + (1 << (token - 0xdb));
  }

  /** A big-endian integer of 1, 2 or 4 bytes (size 0, 1, 2). */
  #unsigned(at: number, size: number): number {
    const bytes = this.#bytes;
    const first = bytes[at] ?? 0;
    if (size === 0) return first;
    const high = (first << 8) | (bytes[at + 1] ?? 0);
    return size === 1 ? high : high * 0x1_0000 + (((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0));
  }

  /** Memory for the event with its shapes and a byte before it; undefined: they would be many times its own size. */
  #outFor(size: number): Uint8Array | undefined {
    if (size <= SMALL_EVENT_BYTES) return this.#scratch.bytes;
    const length = this.#copyAll(undefined, size);
    return length < 0 ? undefined : new Uint8Array(length);
  }

  #definitionEnd(place: number): number {
    return endOfKeys(this.#bytes, place + DEFINITION_HEAD_BYTES);
  }

  /** Whether a reference in the output would be read as this shape, or as one of the same bytes; then it is that. */
  #isWritten(place: number): boolean {
    const id = (this.#bytes[place + 2] ?? 0) & 0x3f;
    const before = this.#written[id] ?? NO_PLACE;
    if (before === place) return true;
    this.#written[id] = place;
    return before >= 0 && this.#isSame(before, place);
  }

  #isSame(left: number, right: number): boolean {
    const bytes = this.#bytes;
    const length = this.#definitionEnd(left) - left;
    if (length !== this.#definitionEnd(right) - right) return false;
    for (let index = 0; index < length; index++) if (bytes[left + index] !== bytes[right + index]) return false;
    return true;
  }

  /** Writes the list of one event, or only counts its bytes; -1: shapes would be many times the event's `size`. */
  #copyAll(out: DataView | undefined, size: number): number {
    const { bytes } = this.#frame;
    const marks = this.#marks;
    const bytesMax = eventGrowthMax(size);
    this.#written.fill(NO_PLACE);
    out?.setUint8(0, LIST_OF_ONE);
    let to = 1;
    let from = this.#start;
    for (let mark = 0, at = 0; mark < this.#markCount; mark++, at += MARK_WORDS) {
      const place = marks[at + 2] ?? 0;
      to = this.#copy(out, to, from, marks[at] ?? 0);
      from = marks[at + 1] ?? 0;
      if (this.#isWritten(place)) {
        out?.setUint8(to, bytes[place + 2] ?? 0);
        to++;
      } else {
        const end = this.#definitionEnd(place);
        if (to - 1 + end - place > bytesMax) return NO_PLACE;
        to = this.#copy(out, to, place, end);
      }
    }
    return this.#copy(out, to, from, this.#start + size);
  }

  /** Word by word: views for a copy by the runtime cost more than that for the short pieces of an event. */
  #copy(out: DataView | undefined, to: number, from: number, end: number): number {
    if (out === undefined) return to + end - from;
    const { bytes, view } = this.#frame;
    let at = from;
    let target = to;
    for (; at + 4 <= end; at += 4, target += 4) out.setInt32(target, view.getInt32(at));
    for (; at < end; at++, target++) out.setUint8(target, bytes[at] ?? 0);
    return target;
  }
}

const slicer = new PlainSlicer();

/**
 * The event that begins at `start`, as a msgpack list of one: the event itself is what stands behind the first byte. The bytes
 * hold until the next call. undefined: its shapes would be many times its size, or it is not sure to be read right.
 */
export function plainListOfOne(frame: FrameBytes, shapes: FrameShapes, start: number): Uint8Array | undefined {
  try {
    return slicer.listOfOne(frame, shapes, start);
  } finally {
    slicer.release();
  }
}

/** Where the event ends, and where the definitions of shapes within it begin; undefined: it is not sure to be read right. */
export function walkPlainEvent(
  frame: FrameBytes,
  shapes: FrameShapes,
  start: number,
): { readonly end: number; readonly definitions: readonly number[] } | undefined {
  try {
    const end = slicer.walk(frame, shapes, start);
    return end < 0 ? undefined : { end, definitions: slicer.definitions() };
  } finally {
    slicer.release();
  }
}
