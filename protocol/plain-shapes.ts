/**
 * The record shapes that frames have defined, by the bytes of their definition, so that the keys of a shape are read once and
 * not with each frame. Bounded: when it is full it takes no new ones, and whoever owns it starts with a new one.
 */
import type { PathNode } from "./plain-paths.ts";

/** The keys of a shape, in order, without doubles. */
export interface RecordKeys {
  readonly number: number;
  readonly names: readonly string[];
  /** Bytes of the keys and their heads: a record has them in the definition only. */
  readonly keyBytes: number;
  /** The list of keys as it stood in the frame. */
  readonly definition: Uint8Array;
  readonly hash: number;
  /** A second hash, of another kind: lists that were made to share the first are told apart without comparing them. */
  readonly check: number;
}

/** What a shape means at one place of an event. */
export interface RecordPlan {
  readonly fields: readonly PathNode[];
  /** `shortTextFrom` of each field. */
  readonly shortTextFrom: Uint8Array;
  readonly keyBytes: number;
  /** All that the place requires is there. */
  readonly isComplete: boolean;
}

const SHAPES_MAX = 1_024;
const KEYS_MAX = 256;
const DEFINITION_BYTES_MAX = 8_192;
const BUCKETS = 256;
/** Lists of keys can be chosen to share a bucket: no search is longer than this, and the oldest is read anew. */
const BUCKET_SHAPES_MAX = 16;

export class ShapeRegistry {
  readonly #buckets: RecordKeys[][] = Array.from({ length: BUCKETS }, () => []);
  #count = 0;

  get isFull(): boolean {
    return this.#count >= SHAPES_MAX;
  }

  /** The shape whose list of keys is `bytes[from .. end]`; undefined: it is not one of a plain event, or there is no room. */
  keysOf(bytes: Uint8Array, from: number, end: number): RecordKeys | undefined {
    if (end - from > DEFINITION_BYTES_MAX) return undefined;
    let hash = end - from;
    let check = 0;
    for (let at = from; at < end; at++) {
      const byte = bytes[at] ?? 0;
      hash = (Math.imul(hash, 31) + byte) | 0;
      const mixed = Math.imul(check ^ byte, 0x9e3779b1);
      check = (mixed << 13) | (mixed >>> 19);
    }
    const bucket = this.#buckets[(hash ^ (hash >>> 16)) & (BUCKETS - 1)];
    for (const keys of bucket ?? []) {
      if (keys.hash === hash && keys.check === check && isSame(keys.definition, bytes, from, end)) return keys;
    }
    if (this.isFull) return undefined;
    const names = namesIn(bytes, from, end);
    if (names === undefined) return undefined;
    const made = { number: this.#count++, names, keyBytes: end - from, definition: bytes.slice(from, end), hash, check };
    if (bucket !== undefined && bucket.push(made) > BUCKET_SHAPES_MAX) bucket.shift();
    return made;
  }
}

function isSame(definition: Uint8Array, bytes: Uint8Array, from: number, end: number): boolean {
  if (definition.length !== end - from) return false;
  for (let at = from; at < end; at++) if (definition[at - from] !== bytes[at]) return false;
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

function namesIn(bytes: Uint8Array, from: number, end: number): string[] | undefined {
  const names: string[] = [];
  let at = listHead(bytes, from).start;
  while (at < end) {
    const head = keyHead(bytes, at);
    const next = head === 1 ? at + (bytes[at] ?? 0) - 0x9f : at + (bytes[at + 1] ?? 0) + 2;
    let name = "";
    for (at += head; at < next; at++) {
      const byte = bytes[at] ?? 0x80;
      if (byte >= 0x80) return undefined;
      name += String.fromCharCode(byte);
    }
    // msgpackr renames it.
    if (name === "__proto__") return undefined;
    names.push(name);
  }
  return new Set(names).size === names.length ? names : undefined;
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
