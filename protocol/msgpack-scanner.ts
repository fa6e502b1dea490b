/**
 * Reads the structure of msgpack bytes without making objects: which value ends where. It knows all of msgpack and what
 * msgpackr adds to it:
 *
 *   d4 72 ii [keys] values...        defines record shape ii (0x40-0x7f) and is a record of it
 *   d5 72 ii hh [keys] values...     the same with a high byte: up to 8,000 shapes
 *   ii values...                     a record of a shape defined before; without a definition, ii is the integer 64-127
 *   ii hh values...                  the same with a high byte, when shape (ii, 0) is defined
 *
 * Bytes are trusted in nothing: every length is checked, nesting is bounded, and what cannot be read is
 * WEIR_FRAME_MALFORMED. Bundled strings (ext 0x62, c1) are malformed: they lie outside of the value that they belong to.
 * Called by the gateway for the head of each frame, by the reader before it decodes, and by the splitter. Linear in the bytes
 * that it passes over.
 */
import { WeirError } from "./error-codes.ts";

/** Levels of lists, maps and records in a frame; far more than an event may have. */
export const NESTING_MAX = 64;

export const KIND = { scalar: 0, text: 1, binary: 2, list: 3, map: 4, record: 5, extension: 6 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** A record shape as one definition made it. */
export interface RecordShape {
  /** Where msgpackr files it: the low six bits of the id, combined with the high byte. */
  readonly index: number;
  /** -1: defined without one. */
  readonly highByte: number;
  readonly fields: number;
  /** The definition: from its first byte to the end of its keys. */
  readonly from: number;
  readonly to: number;
  /** Position of the last field `sessionId`, or -1. */
  readonly sessionField: number;
}

/** Where a record begins: `from` - `to` is either the definition or the id that refers to one. */
export interface RecordMark {
  readonly from: number;
  readonly to: number;
  readonly shape: RecordShape;
}

/** Extensions of msgpackr that take the value after them as their content: error, cyclic reference, set, regular expression. */
const takesNextValue: ReadonlySet<number> = new Set([0x65, 0x69, 0x73, 0x78]);
const EXTENSION_BUNDLE = 0x62;
const EXTENSION_RECORD = 0x72;
export const EXTENSION_TIMESTAMP = 0xff;
export const EXTENSION_UNDEFINED = 0;
/** Of a timestamp; more make another second. */
export const NANOSECONDS_MAX = 999_999_999;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const sessionKey = new TextEncoder().encode("sessionId");

export class MsgpackScanner {
  readonly bytes: Uint8Array;
  at = 0;
  /** Of the value that `next` stood at last: bytes of a text, binary or extension; entries of a list or map. */
  length = 0;
  extensionType = 0;
  shape: RecordShape | undefined;
  /**
   * Something was met that decoders read in ways of their own: an extension that is neither a timestamp nor "undefined", a
   * timestamp that is none, a long text that begins with a byte order mark. The careful decoder says what it is.
   */
  needsCare = false;
  /** Set by whoever wants to know where records begin. */
  marks: RecordMark[] | undefined;
  #view: DataView | undefined;
  readonly #shapes: (RecordShape | undefined)[] = [];
  readonly #farShapes = new Map<number, RecordShape>();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get view(): DataView {
    return (this.#view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength));
  }

  get done(): boolean {
    return this.at === this.bytes.length;
  }

  /** Moves past a text's, binary's or extension's bytes, or fails when there are fewer. */
  advance(bytes: number): void {
    this.at += bytes;
    if (this.at > this.bytes.length) throw malformed();
  }

  /** Moves past the whole value. `levels`: how much deeper it may nest. */
  skip(levels = NESTING_MAX): void {
    this.skipRest(this.next(), levels);
  }

  /** The same when `next` has read the head already. */
  skipRest(kind: Kind, levels: number): void {
    switch (kind) {
      case KIND.scalar:
        return;
      case KIND.text:
      case KIND.binary:
        this.advance(this.length);
        return;
      case KIND.list:
        this.skipMany(this.length, levels - 1);
        return;
      case KIND.map: {
        const entries = this.length;
        if (levels <= 0) throw malformed();
        for (let entry = 0; entry < entries; entry++) {
          this.key();
          this.skip(levels - 1);
        }
        return;
      }
      case KIND.record:
        this.skipMany(this.#knownShape().fields, levels - 1);
        return;
      case KIND.extension:
        this.skipExtension(levels);
    }
  }

  skipMany(values: number, levels: number): void {
    if (levels < 0) throw malformed();
    const { bytes } = this;
    for (let left = values; left > 0; left--) {
      const token = bytes[this.at] ?? 0xc1;
      // Short texts are most of what events hold.
      if (token >= 0xa0 && token < 0xc0) this.advance(token - 0x9f);
      else this.skip(levels);
    }
  }

  /** After `next` gave an extension: moves past its bytes and past the value that it takes, if any. */
  skipExtension(levels: number): void {
    this.advance(this.length);
    if (!takesNextValue.has(this.extensionType)) return;
    if (levels <= 0) throw malformed();
    this.skip(levels - 1);
  }

  /**
   * Reads the head of the next value and says what it is. A scalar has been passed; a text, binary or extension stands
   * before its `length` bytes; a list, map or record before its first entry.
   */
  next(): Kind {
    const { bytes } = this;
    const token = bytes[this.at++];
    if (token === undefined) throw malformed();
    if (token < 0x40 || token >= 0xe0) return KIND.scalar;
    if (token < 0x80) return this.#recordOrInteger(token);
    if (token < 0x90) return this.#container(KIND.map, token & 0x0f);
    if (token < 0xa0) return this.#container(KIND.list, token & 0x0f);
    if (token < 0xc0) {
      this.length = token & 0x1f;
      return KIND.text;
    }
    return this.#nextLong(token);
  }

  #nextLong(token: number): Kind {
    switch (token) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return KIND.scalar;
      case 0xcc: // uint 8
      case 0xd0: // int 8
        return this.#scalar(1);
      case 0xcd: // uint 16
      case 0xd1: // int 16
        return this.#scalar(2);
      case 0xca: // float 32
      case 0xce: // uint 32
      case 0xd2: // int 32
        return this.#scalar(4);
      case 0xcb: // float 64
      case 0xcf: // uint 64
      case 0xd3: // int 64
        return this.#scalar(8);
      case 0xd9: // str 8, 16, 32
      case 0xda:
      case 0xdb:
        this.length = this.#unsigned(token - 0xd9);
        if (this.bytes[this.at] === 0xef) this.needsCare ||= this.#isByteOrderMark();
        return KIND.text;
      case 0xc4: // bin 8, 16, 32
      case 0xc5:
      case 0xc6:
        this.length = this.#unsigned(token - 0xc4);
        return KIND.binary;
      case 0xdc: // array 16, 32
      case 0xdd:
        return this.#container(KIND.list, this.#unsigned(token - 0xdb));
      case 0xde: // map 16, 32
      case 0xdf:
        return this.#container(KIND.map, this.#unsigned(token - 0xdd));
      case 0xd4: // fixext 1, 2, 4, 8, 16
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(token, 1 << (token - 0xd4));
      case 0xc7: // ext 8, 16, 32
      case 0xc8:
      case 0xc9:
        return this.#extension(token, this.#unsigned(token - 0xc7));
      default:
        throw malformed();
    }
  }

  /** Reads a map's key. The text's place is `at - length` to `at`; false: the key is a number, boolean or nil. */
  key(): boolean {
    const kind = this.next();
    if (kind === KIND.text) {
      this.advance(this.length);
      return true;
    }
    if (kind !== KIND.scalar) throw malformed();
    return false;
  }

  text(from: number, length: number): string {
    const { bytes } = this;
    if (length < 24) {
      let text = "";
      for (let at = from; at < from + length; at++) {
        const byte = bytes[at] ?? 0;
        if (byte >= 0x80) return decoder.decode(bytes.subarray(from, from + length));
        text += String.fromCharCode(byte);
      }
      return text;
    }
    return decoder.decode(bytes.subarray(from, from + length));
  }

  /** The names of a shape's fields, in order. */
  fieldNames(shape: RecordShape): string[] {
    const before = this.at;
    this.at = shape.from + (shape.highByte < 0 ? 3 : 4);
    this.next();
    const names: string[] = [];
    for (let field = 0; field < shape.fields; field++) {
      this.key();
      names.push(this.text(this.at - this.length, this.length));
    }
    this.at = before;
    return names;
  }

  /** Whether the key that was just read is `sessionId`. */
  isSessionKey(): boolean {
    if (this.length !== sessionKey.length) return false;
    const from = this.at - this.length;
    for (let index = 0; index < sessionKey.length; index++) if (this.bytes[from + index] !== sessionKey[index]) return false;
    return true;
  }

  #knownShape(): RecordShape {
    if (this.shape === undefined) throw malformed();
    return this.shape;
  }

  #scalar(bytes: number): Kind {
    this.advance(bytes);
    return KIND.scalar;
  }

  /** A big-endian integer of 1, 2 or 4 bytes (size 0, 1, 2). */
  #unsigned(size: number): number {
    const { bytes, at } = this;
    this.advance(1 << size);
    const first = bytes[at] ?? 0;
    if (size === 0) return first;
    const second = bytes[at + 1] ?? 0;
    if (size === 1) return (first << 8) | second;
    return ((first << 24) | (second << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
  }

  #container(kind: Kind, entries: number): Kind {
    const bytesMin = kind === KIND.map ? entries * 2 : entries;
    // Each entry has a byte at least: a length that lies costs nobody memory or time.
    if (bytesMin > this.bytes.length - this.at) throw malformed();
    this.length = entries;
    return kind;
  }

  #extension(token: number, length: number): Kind {
    const from = this.at - 1;
    const type = this.bytes[this.at];
    this.advance(1);
    if (type === EXTENSION_RECORD && token <= 0xd5 && token >= 0xd4) return this.#definition(from, length === 2);
    if (type === undefined || type === EXTENSION_BUNDLE) throw malformed();
    if (type === EXTENSION_TIMESTAMP) this.needsCare ||= length === 12 && this.#isOddTimestamp();
    else if (type !== EXTENSION_UNDEFINED) this.needsCare = true;
    this.extensionType = type;
    this.length = length;
    return KIND.extension;
  }

  /** msgpackr without its native part drops the mark from texts of more than 64 bytes, and with it keeps it. */
  #isByteOrderMark(): boolean {
    const { bytes, at } = this;
    return bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf;
  }

  /** A 96-bit timestamp with a second's parts beyond the second, or too far away for msgpackr's 48 bits of seconds. */
  #isOddTimestamp(): boolean {
    const { bytes, at } = this;
    const nanosecondsFrom = (bytes[at] ?? 0) * 2 ** 24 + ((bytes[at + 1] ?? 0) << 16) + ((bytes[at + 2] ?? 0) << 8);
    const nanoseconds = nanosecondsFrom + (bytes[at + 3] ?? 0);
    return nanoseconds > NANOSECONDS_MAX || bytes[at + 4] !== 0 || bytes[at + 5] !== 0;
  }

  #definition(from: number, hasHighByte: boolean): Kind {
    const { bytes } = this;
    this.advance(hasHighByte ? 2 : 1);
    const low = (bytes[from + 2] ?? 0) & 0x3f;
    const highByte = hasHighByte ? (bytes[from + 3] ?? 0) : -1;
    if (this.next() !== KIND.list) throw malformed();
    const fields = this.length;
    let sessionField = -1;
    for (let field = 0; field < fields; field++) {
      // msgpackr writes keys as texts only; others could mean something else in another place.
      if (this.next() !== KIND.text) throw malformed();
      this.advance(this.length);
      if (this.isSessionKey()) sessionField = field;
    }
    const to = this.at;
    const index = highByte < 0 ? low : farIndex(low, highByte);
    const before = this.#shapeAt(index);
    const shape = { index, highByte, fields, from, to, sessionField };
    // The same definition again is the same shape.
    this.shape = before !== undefined && sameBytes(bytes, before, shape) ? before : shape;
    if (index >= 0 && index < 64) this.#shapes[index] = this.shape;
    else this.#farShapes.set(index, this.shape);
    this.marks?.push({ from, to, shape: this.shape });
    return KIND.record;
  }

  #recordOrInteger(token: number): Kind {
    const low = token & 0x3f;
    let shape = this.#shapes[low];
    if (shape === undefined) return KIND.scalar;
    const from = this.at - 1;
    if (shape.highByte === 0) {
      const highByte = this.bytes[this.at];
      this.advance(1);
      if (highByte !== undefined && highByte !== 0) shape = this.#shapeAt(farIndex(low, highByte));
      if (shape === undefined) throw malformed();
    }
    this.shape = shape;
    this.marks?.push({ from, to: this.at, shape });
    return KIND.record;
  }

  #shapeAt(index: number): RecordShape | undefined {
    return index >= 0 && index < 64 ? this.#shapes[index] : this.#farShapes.get(index);
  }
}

/** How msgpackr files a shape with a high byte (`recordDefinition` in its unpack.js). */
function farIndex(low: number, highByte: number): number {
  const index = (highByte << 5) + low;
  return low < 32 ? 0 - index : index;
}

/** The index of shape (id, 0), which must be defined before ids with a higher byte can be read. */
export function baseIndexOf(bytes: Uint8Array, shape: RecordShape): number {
  return (bytes[shape.from + 2] ?? 0) & 0x3f;
}

function sameBytes(bytes: Uint8Array, left: RecordShape, right: RecordShape): boolean {
  const length = left.to - left.from;
  if (length !== right.to - right.from) return false;
  for (let index = 0; index < length; index++) if (bytes[left.from + index] !== bytes[right.from + index]) return false;
  return true;
}

export function malformed(cause?: unknown): WeirError {
  return new WeirError("WEIR_FRAME_MALFORMED", undefined, cause === undefined ? {} : { cause });
}
