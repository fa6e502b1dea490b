/**
 * From bytes to the one string instance that stands for them: a text that was seen before costs a hash and a comparison of
 * words, and no string is made. Strings that come back are the same instance, so the hash that V8 keeps in a string is there
 * already when a later stage uses it as the key of a Map.
 *
 * A set-associative cache: a text has four places, and drives out what stands in one of them when all are taken. So it is
 * bounded whatever is sent, and nothing but speed depends on what is in it. It is for texts in
 * states; those of frames have tables of their own (`wasm/read-texts.ts`).
 */

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
/** A place, a line or two of a processor's cache: length, hash, last word of the text, then its whole words. */
const TEXT_WORD = 3;
const PLACE_WORDS = 32;
/** Longer ones are rarely the same, and made anew. */
const TEXT_BYTES_MAX = (PLACE_WORDS - TEXT_WORD) * 4;

export class Interner {
  readonly #placeMask: number;
  readonly #words: Int32Array;
  readonly #strings: string[];
  /** Texts that others have driven out. */
  evicted = 0;

  /** `capacity`: a power of two. */
  constructor(capacity: number) {
    this.#placeMask = capacity - 1;
    this.#words = new Int32Array(capacity * PLACE_WORDS);
    this.#strings = new Array<string>(capacity).fill("");
  }

  /** The text of these bytes, which lie within the frame; undefined: decoders may differ on it. */
  text(frame: FrameBytes, from: number, length: number): string | undefined {
    if (length === 0) return "";
    if (length > TEXT_BYTES_MAX) return make(frame.bytes, from, length);
    const hash = hashOf(frame, from, length);
    // Most texts stand in the place that their hash says, so that one line of memory is touched; else in one beside it.
    const home = hash & this.#placeMask;
    for (let way = 0; way < WAYS; way++) {
      const place = home ^ way;
      if (this.#holds(place * PLACE_WORDS, frame, from, length, hash)) return this.#strings[place];
    }
    const text = make(frame.bytes, from, length);
    if (text !== undefined) this.#keep(this.#placeToFill(home, hash), frame, from, length, hash, text);
    return text;
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
    for (let way = 0; way < WAYS; way++) if (this.#words[(home ^ way) * PLACE_WORDS] === 0) return home ^ way;
    this.evicted++;
    return home ^ (hash >>> 30);
  }

  #keep(place: number, frame: FrameBytes, from: number, length: number, hash: number, text: string): void {
    const words = this.#words;
    const start = place * PLACE_WORDS;
    words[start] = length;
    words[start + 1] = hash;
    words[start + 2] = lastWordOf(frame, from, length);
    const last = from + length - 4;
    for (let at = from, word = start + TEXT_WORD; at <= last; at += 4) words[word++] = frame.view.getInt32(at, true);
    this.#strings[place] = text;
  }
}

function make(bytes: Uint8Array, from: number, length: number): string | undefined {
  const end = from + length;
  let seen = 0;
  for (let at = from; at < end; at++) seen |= bytes[at] ?? 0;
  return seen < 0x80 ? asciiText(bytes, from, end) : utf8Text(bytes.subarray(from, end));
}

/** The last four bytes of a text as a little-endian word; of a shorter one all that it has. */
function lastWordOf({ bytes, view }: FrameBytes, from: number, length: number): number {
  if (length >= 4) return view.getInt32(from + length - 4, true);
  let word = 0;
  for (let index = 0; index < length; index++) word |= (bytes[from + index] ?? 0) << (index * 8);
  return word;
}

function hashOf(frame: FrameBytes, from: number, length: number): number {
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

/** Of bytes that are known to be well-formed. */
export function textOf(bytes: Uint8Array, from: number, end: number, isAscii: boolean): string {
  return isAscii ? asciiText(bytes, from, end) : fatal.decode(bytes.subarray(from, end));
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
