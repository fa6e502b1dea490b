/**
 * The record shapes that frames have defined, by the bytes of their definition, so that the keys of a shape are read once and
 * not with each frame. Whatever is sent, a definition costs the time of its bytes: it is hashed word by word, compared with one
 * other at most, and its keys become no strings (`npm run bench -- hostile`: twin shapes, key orders). Bounded: a shape has four
 * places, and drives the one that was met longest ago out of the last of them; its number, under which plans are filed, goes on.
 */
import { asciiText, frameBytesOf, hashOf, isAscii, type FrameBytes } from "./interner.ts";
import type { PathNode } from "./plain-paths.ts";

/** The keys of a shape, in order, without doubles. */
export interface RecordKeys {
  /** Another shape may have it later. -1: it is too long to be kept. */
  readonly number: number;
  readonly count: number;
  /** Bytes of the keys and their heads: a record has them in the definition only. */
  readonly keyBytes: number;
  /** The list of keys as it stood in the frame. */
  readonly definition: FrameBytes;
  readonly hash: number;
  /** A second hash, of another kind: lists that were made to share the first are told apart without comparing them. */
  readonly check: number;
}

/** What a shape means at one place of an event. */
export interface RecordPlan {
  readonly keys: RecordKeys;
  readonly fields: readonly PathNode[];
  /** `shortTextFrom` of each field. */
  readonly shortTextFrom: Uint8Array;
  readonly keyBytes: number;
  /** All that the place requires is there. */
  readonly isComplete: boolean;
}

const KEYS_MAX = 256;
/** Longer ones are read anew each time. */
const DEFINITION_BYTES_KEPT = 8_192;
const BUCKETS = 256;
const WAYS = 4;
/** More than twice the keys. */
const KEY_PLACES = 1_024;
const COMPARED_MAX = 2 * KEYS_MAX;
const PROTO = "__proto__";

export class ShapeRegistry {
  /** Shapes that others have driven out. */
  evicted = 0;
  /** Those met last stand in front. */
  readonly #buckets: RecordKeys[][] = Array.from({ length: BUCKETS }, () => []);

  /** The shape whose list of keys is `bytes[from .. end]`; undefined: it is not one of a plain event. */
  keysOf(frame: FrameBytes, from: number, end: number): RecordKeys | undefined {
    const length = end - from;
    const hash = hashOf(frame, from, length);
    const check = checkOf(frame, from, end);
    const at = hash & (BUCKETS - 1);
    const bucket = this.#buckets[at] ?? [];
    let way = 0;
    while (way < bucket.length && (bucket[way]?.hash !== hash || bucket[way]?.check !== check)) way++;
    const known = bucket[way];
    if (known !== undefined && isSame(known.definition, frame, from, length)) {
      if (way > 0) moveForward(bucket, way, known);
      return known;
    }
    const count = keysIn(frame, from, end);
    if (count < 0) return undefined;
    // One with the same hashes that is another is driven out, so that no search compares two.
    const isRoom = known === undefined && bucket.length < WAYS;
    const number = isRoom ? at * WAYS + bucket.length : ((known ?? bucket[WAYS - 1])?.number ?? 0);
    if (!isRoom) this.evicted++;
    const isKept = length <= DEFINITION_BYTES_KEPT;
    const definition = copyOf(frame.bytes, from, end);
    const made = { number: isKept ? number : -1, count, keyBytes: length, definition, hash, check };
    if (isKept) bucket[isRoom ? bucket.length : known === undefined ? WAYS - 1 : way] = made;
    return made;
  }
}

function moveForward(bucket: RecordKeys[], way: number, keys: RecordKeys): void {
  const before = bucket[way - 1];
  if (before === undefined) return;
  bucket[way] = before;
  bucket[way - 1] = keys;
}

function copyOf(bytes: Uint8Array, from: number, end: number): FrameBytes {
  // Not `slice`: that of a Buffer is a view.
  return frameBytesOf(new Uint8Array(bytes.subarray(from, end)));
}

function checkOf({ bytes, view }: FrameBytes, from: number, end: number): number {
  let check = 0;
  let at = from;
  for (; at + 4 <= end; at += 4) check = (Math.imul(check, 31) + view.getInt32(at)) | 0;
  for (; at < end; at++) check = (Math.imul(check, 31) + (bytes[at] ?? 0)) | 0;
  return check;
}

/** Whether `length` bytes from `from` on are these. */
function isSame(known: FrameBytes, frame: FrameBytes, from: number, length: number): boolean {
  if (known.bytes.length !== length) return false;
  let at = 0;
  for (; at + 4 <= length; at += 4) if (known.view.getInt32(at) !== frame.view.getInt32(from + at)) return false;
  for (; at < length; at++) if (known.bytes[at] !== frame.bytes[from + at]) return false;
  return true;
}

// Of the list of keys that `keysIn` reads: where each begins and how long it is, and by the hash: its number and one.
const keyStarts = new Int32Array(KEYS_MAX);
const keyLengths = new Int32Array(KEYS_MAX);
const keyPlaces = new Uint16Array(KEY_PLACES);
const keyHashes = new Int32Array(KEYS_MAX);

/** How many keys a list has, all of them ASCII; -1: it has one twice, or one that is no plain key. */
function keysIn(frame: FrameBytes, from: number, end: number): number {
  const { bytes } = frame;
  let count = 0;
  for (let at = from + (bytes[from] === 0xdc ? 3 : 1); at < end; count++) {
    const head = keyHead(bytes, at);
    const length = head === 1 ? (bytes[at] ?? 0) - 0xa0 : (bytes[at + 1] ?? 0);
    at += head;
    // msgpackr renames `__proto__`.
    if (!isAscii(frame, at, length) || (length === PROTO.length && asciiText(bytes, at, at + length) === PROTO)) return -1;
    keyStarts[count] = at;
    keyLengths[count] = length;
    at += length;
  }
  return hasTwins(frame, count) ? -1 : count;
}

/** Whether two keys are the same. Keys that were made to share a hash are compared with each other until they are too many. */
function hasTwins(frame: FrameBytes, count: number): boolean {
  keyPlaces.fill(0);
  let compared = 0;
  for (let key = 0; key < count; key++) {
    const hash = hashOf(frame, keyStarts[key] ?? 0, keyLengths[key] ?? 0);
    keyHashes[key] = hash;
    let place = hash & (KEY_PLACES - 1);
    for (let other = keyPlaces[place] ?? 0; other > 0; other = keyPlaces[place] ?? 0) {
      if (keyHashes[other - 1] === hash && isSameKey(frame, key, other - 1)) return true;
      // Nobody's keys meet so often by chance: it is left to the reference.
      if (++compared > COMPARED_MAX) return true;
      place = (place + 1) & (KEY_PLACES - 1);
    }
    keyPlaces[place] = key + 1;
  }
  return false;
}

function isSameKey({ bytes }: FrameBytes, left: number, right: number): boolean {
  const length = keyLengths[left] ?? 0;
  if (length !== keyLengths[right]) return false;
  const leftAt = keyStarts[left] ?? 0;
  const rightAt = keyStarts[right] ?? 0;
  for (let at = 0; at < length; at++) if (bytes[leftAt + at] !== bytes[rightAt + at]) return false;
  return true;
}

/** Where a list of short text keys ends; -1: it is not one, or it goes on past the bytes. */
export function endOfKeys(bytes: Uint8Array, from: number): number {
  const { count, start } = listHead(bytes, from);
  if (count > KEYS_MAX) return -1;
  let at = start;
  for (let index = 0; index < count; index++) {
    const head = keyHead(bytes, at);
    if (head === 0) return -1;
    at += head === 1 ? (bytes[at] ?? 0) - 0x9f : (bytes[at + 1] ?? 0) + 2;
  }
  return at <= bytes.length ? at : -1;
}

/** How many keys a list has that `endOfKeys` has passed. */
export function fieldsOfKeys(bytes: Uint8Array, from: number): number {
  const token = bytes[from] ?? 0x90;
  return token < 0xa0 ? token - 0x90 : ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
}

/** Hands out the keys of a definition, by where they stand in its bytes. */
export function forEachKey({ bytes }: FrameBytes, take: (from: number, length: number, index: number) => void): void {
  let index = 0;
  for (let at = bytes[0] === 0xdc ? 3 : 1; at < bytes.length; index++) {
    const head = keyHead(bytes, at);
    const length = head === 1 ? (bytes[at] ?? 0) - 0xa0 : (bytes[at + 1] ?? 0);
    take(at + head, length, index);
    at += head + length;
  }
}

/** Which key has this name, or -1. */
export function keyNamed({ definition }: RecordKeys, name: Uint8Array): number {
  let found = -1;
  forEachKey(definition, (from, length, index) => {
    if (length === name.length && name.every((byte, at) => byte === definition.bytes[from + at])) found = index;
  });
  return found;
}

function listHead(bytes: Uint8Array, from: number): { readonly count: number; readonly start: number } {
  const token = bytes[from] ?? 0xc1;
  if (token >= 0x90 && token < 0xa0) return { count: token - 0x90, start: from + 1 };
  if (token === 0xdc) return { count: ((bytes[from + 1] ?? 0xff) << 8) | (bytes[from + 2] ?? 0xff), start: from + 3 };
  return { count: Number.POSITIVE_INFINITY, start: from };
}

/** Bytes of the head of a text up to 255 bytes long; 0: it is something else. */
function keyHead(bytes: Uint8Array, at: number): 0 | 1 | 2 {
  const token = bytes[at] ?? 0xc1;
  if (token >= 0xa0 && token < 0xc0) return 1;
  return token === 0xd9 ? 2 : 0;
}
