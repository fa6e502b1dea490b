/**
 * From bytes to the one string instance that stands for them: a text that was seen before costs a hash and a comparison of
 * words, and no string is made. Strings that come back are the same instance, so the hash that V8 keeps in a string is there
 * already when a later stage uses it as the key of a Map.
 *
 * A set-associative cache: a text has four places, and drives out what stands in one of them when all are taken. So it is
 * bounded whatever is sent, and nothing but speed depends on what is in it. The plain reader uses it.
 */

import { UNKNOWN } from "./field-column.ts";
import { nonZeroHash64 } from "./hash64.ts";
import { newTextNumber } from "./text-numbers.ts";

/** What one reading of a frame hands from part to part. `view` and `bytes` cover the same memory. */
export interface FrameBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export function frameBytesOf(bytes: Uint8Array): FrameBytes {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** In place of a frame that nobody reads any more. */
export const noFrame = frameBytesOf(new Uint8Array(0));

const WAYS = 4;
/**
 * A place, a line or two of a processor's cache: length, hash, last word of the text, its number, the two words
 * of its `nonZeroHash64`, then its whole words.
 */
const KNOWN_WORD = 3;
const TEXT_WORD = 6;
/** Words of a place. For ids, of which there are many, one line; longer texts than fit are rarely the same, and made anew. */
export const PLACE_WORDS = { ids: 16, texts: 32 } as const;
const NOWHERE = -1;

/** Which texts are taken: those of ids must be ASCII, so that no question of encoding comes up. */
export const TEXTS = { ascii: 0, utf8: 1 } as const;
type Texts = (typeof TEXTS)[keyof typeof TEXTS];

export class Interner {
  readonly #texts: Texts;
  readonly #placeMask: number;
  readonly #placeWords: number;
  readonly #textBytesMax: number;
  readonly #words: Int32Array;
  readonly #strings: string[];
  /** Where the words of the text are that was given last. */
  #given = NOWHERE;
  /** Texts that others have driven out. */
  evicted = 0;

  /** `capacity`: a power of two. */
  constructor(capacity: number, texts: Texts, placeWords: number = PLACE_WORDS.texts) {
    this.#texts = texts;
    this.#placeMask = capacity - 1;
    this.#placeWords = placeWords;
    this.#textBytesMax = (placeWords - TEXT_WORD) * 4;
    this.#words = new Int32Array(capacity * placeWords);
    this.#strings = new Array<string>(capacity).fill("");
  }

  /** The text of these bytes, which lie within the frame; undefined: it is not of the kind that is taken. */
  text(frame: FrameBytes, from: number, length: number): string | undefined {
    return this.hashed(frame, from, length, hashOf(frame, from, length));
  }

  /** The same for one who has a hash of the bytes; the same text must always come with the same hash. */
  hashed(frame: FrameBytes, from: number, length: number, hash: number): string | undefined {
    this.#given = NOWHERE;
    if (length === 0) return "";
    if (length > this.#textBytesMax) return this.#make(frame.bytes, from, length);
    // Most texts stand in the place that their hash says, so that one line of memory is touched; else in one beside it.
    const home = hash & this.#placeMask;
    for (let way = 0; way < WAYS; way++) {
      const place = home ^ way;
      const start = place * this.#placeWords;
      if (!this.#holds(start, frame, from, length, hash)) continue;
      this.#given = start;
      return this.#strings[place];
    }
    const text = this.#make(frame.bytes, from, length);
    if (text !== undefined) this.#keep(this.#placeToFill(home, hash), frame, from, length, hash, text);
    return text;
  }

  /** The number of the text given last, or UNKNOWN: it is not kept. */
  get number(): number {
    return this.#given === NOWHERE ? UNKNOWN : (this.#words[this.#given + KNOWN_WORD] ?? UNKNOWN);
  }

  /** Writes the two words of its hash. It must be kept. */
  writeHash(into: Uint32Array, at: number): void {
    into[at] = this.#words[this.#given + KNOWN_WORD + 1] ?? 0;
    into[at + 1] = this.#words[this.#given + KNOWN_WORD + 2] ?? 0;
  }

  /** Touches the places of the first `count` hashes, so that lookups soon after wait less. The result says nothing. */
  fetch(hashes: Int32Array, count: number): number {
    const words = this.#words;
    let seen = 0;
    for (let index = 0; index < count; index++) seen |= words[((hashes[index] ?? 0) & this.#placeMask) * this.#placeWords] ?? 0;
    return seen;
  }

  #holds(start: number, frame: FrameBytes, from: number, length: number, hash: number): boolean {
    const words = this.#words;
    if (words[start] !== length || words[start + 1] !== hash || words[start + 2] !== lastWordOf(frame, from, length))
      return false;
    const { view } = frame;
    const last = from + length - 4;
    for (let at = from, word = start + TEXT_WORD; at <= last; at += 4)
      if (view.getInt32(at, true) !== words[word++]) return false;
    return true;
  }

  #placeToFill(home: number, hash: number): number {
    for (let way = 0; way < WAYS; way++) if (this.#words[(home ^ way) * this.#placeWords] === 0) return home ^ way;
    this.evicted++;
    return home ^ (hash >>> 30);
  }

  #keep(place: number, frame: FrameBytes, from: number, length: number, hash: number, text: string): void {
    const words = this.#words;
    const start = place * this.#placeWords;
    words[start] = length;
    words[start + 1] = hash;
    words[start + 2] = lastWordOf(frame, from, length);
    nonZeroHash64(text, textHash);
    words[start + KNOWN_WORD] = newTextNumber();
    words[start + KNOWN_WORD + 1] = textHash[0] ?? 0;
    words[start + KNOWN_WORD + 2] = textHash[1] ?? 0;
    this.#given = start;
    const last = from + length - 4;
    for (let at = from, word = start + TEXT_WORD; at <= last; at += 4) words[word++] = frame.view.getInt32(at, true);
    this.#strings[place] = text;
  }

  #make(bytes: Uint8Array, from: number, length: number): string | undefined {
    const end = from + length;
    let seen = 0;
    for (let at = from; at < end; at++) seen |= bytes[at] ?? 0;
    if (seen < 0x80) return asciiText(bytes, from, end);
    return this.#texts === TEXTS.utf8 ? utf8Text(bytes.subarray(from, end)) : undefined;
  }
}

const textHash = new Uint32Array(2);

/** The last four bytes of a text as a little-endian word; of a shorter one all that it has. */
function lastWordOf({ bytes, view }: FrameBytes, from: number, length: number): number {
  if (length >= 4) return view.getInt32(from + length - 4, true);
  let word = 0;
  for (let index = 0; index < length; index++) word |= (bytes[from + index] ?? 0) << (index * 8);
  return word;
}

export function hashOf(frame: FrameBytes, from: number, length: number): number {
  const { view } = frame;
  let hash = length;
  const last = from + length - 4;
  for (let at = from; at < last; at += 4) hash = mix(hash, view.getInt32(at, true));
  hash = mix(hash, lastWordOf(frame, from, length));
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return (mixed << 15) | (mixed >>> 17);
}

const fatal = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const BYTE_ORDER_MARK = "\uFEFF";

/** undefined: decoders may differ on it (broken UTF-8, or a byte order mark, which some take away). */
function utf8Text(bytes: Uint8Array): string | undefined {
  try {
    const text = fatal.decode(bytes);
    return text.startsWith(BYTE_ORDER_MARK) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Whether bytes within the frame are all ASCII; four at a time. */
export function isAscii({ bytes, view }: FrameBytes, from: number, length: number): boolean {
  const end = from + length;
  let seen = 0;
  let at = from;
  for (; at + 4 <= end; at += 4) seen |= view.getInt32(at, true);
  for (; at < end; at++) seen |= bytes[at] ?? 0;
  return (seen & 0x80808080) === 0;
}

/** What Node's Buffer has and other runtimes lack. */
interface Latin1Source {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
}
const latin1Slice = (globalThis as { readonly Buffer?: { readonly prototype: Latin1Source } }).Buffer?.prototype.latin1Slice;

/** The text of bytes that are known to be ASCII. */
export function asciiText(bytes: Uint8Array, from: number, end: number): string {
  return latin1Slice === undefined ? fatal.decode(bytes.subarray(from, end)) : latin1Slice.call(bytes, from, end);
}
