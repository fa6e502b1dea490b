/**
 * The heads of msgpack values, found by position, for the plain reader, which extends this class: a part of its own would cost
 * a load for each token. A method gives the position behind what it has read, or GIVE_UP when it is nothing plain.
 */
import { frameBytesOf, noFrame } from "./interner.ts";
import { endOfKeys, ShapeRegistry, type RecordKeys } from "./plain-shapes.ts";

export const GIVE_UP = -1;
/** Stands for a token behind the end: msgpack never uses it. */
export const NO_TOKEN = 0xc1;
export const EXTENSION_RECORD = 0x72;

const SHAPE_IDS = 64;
const HIGH_WORD = 2 ** 32;

export class PlainCursor {
  protected frame = noFrame;
  protected bytes = noFrame.bytes;
  protected end = 0;
  protected readonly registry = new ShapeRegistry();
  /** The shapes that the frame has defined, by the low bits of their id. */
  protected readonly shapes = new Array<RecordKeys | undefined>(SHAPE_IDS).fill(undefined);

  /** Where the definitions of shapes begin that were read. */
  protected definitions: number[] = [];

  /** The text that `textAt` found last. */
  protected from = 0;
  /** Its bytes; or the entries of the map, record or list whose head was read last. */
  protected length = 0;
  /** The keys when that was a record. */
  protected keys: RecordKeys | undefined;

  protected open(bytes: Uint8Array): void {
    this.frame = frameBytesOf(bytes);
    this.bytes = bytes;
    this.end = bytes.length;
    this.definitions = [];
  }

  protected close(): void {
    this.frame = noFrame;
    this.bytes = noFrame.bytes;
    this.end = 0;
    this.shapes.fill(undefined);
  }

  /** Finds the text that stands here, all of it within the bytes. */
  protected textAt(at: number): number {
    const { bytes } = this;
    const token = bytes[at] ?? NO_TOKEN;
    if (token >= 0xa0 && token < 0xc0) {
      this.from = at + 1;
      this.length = token - 0xa0;
    } else if (token === 0xd9) {
      this.from = at + 2;
      this.length = bytes[at + 1] ?? 0;
    } else if (token === 0xda) {
      this.from = at + 3;
      this.length = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    } else return GIVE_UP;
    const next = this.from + this.length;
    return next <= this.end ? next : GIVE_UP;
  }

  /** Finds a map's key. One that begins with a byte order mark is another key to some decoders. */
  protected keyAt(at: number): number {
    const next = this.textAt(at);
    return next >= 0 && (this.length === 0 || (this.bytes[this.from] ?? 0x80) < 0x80) ? next : GIVE_UP;
  }

  /** Reads the head of a map or record: how many fields it has, and the keys of a record. */
  protected headAt(at: number, token: number): number {
    const { bytes } = this;
    this.keys = undefined;
    if (token >= 0x80 && token < 0x90) {
      this.length = token - 0x80;
      return at + 1;
    }
    if (token >= 0x40 && token < 0x80) {
      this.keys = this.shapes[token & 0x3f];
      if (this.keys === undefined) return GIVE_UP;
      this.length = this.keys.count;
      return at + 1;
    }
    if (token === 0xd4 && bytes[at + 1] === EXTENSION_RECORD) return this.#define(at + 2);
    if (token !== 0xde) return GIVE_UP;
    this.length = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    return at + 3;
  }

  /** A record's definition from its id on. */
  #define(at: number): number {
    const id = this.bytes[at] ?? NO_TOKEN;
    const next = id >= 0x40 && id < 0x80 ? endOfKeys(this.bytes, at + 1) : GIVE_UP;
    if (next < 0) return GIVE_UP;
    const keys = this.registry.keysOf(this.frame, at + 1, next);
    if (keys === undefined) return GIVE_UP;
    this.shapes[id & 0x3f] = keys;
    this.definitions.push(at - 2);
    this.keys = keys;
    this.length = keys.count;
    return next;
  }

  protected listHeadAt(at: number, token: number): number {
    const { bytes } = this;
    if (token < 0xa0) {
      this.length = token - 0x90;
      return at + 1;
    }
    const high = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    this.length = token === 0xdc ? high : high * 0x1_0000 + (((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0));
    return token === 0xdc ? at + 3 : at + 5;
  }

  /** The extension that encoders write for `undefined`: the same as an absent field. */
  protected undefinedAt(at: number): number {
    return this.bytes[at] === 0xd4 && this.bytes[at + 1] === 0 ? at + 3 : GIVE_UP;
  }
}

export function isListToken(token: number): boolean {
  return (token >= 0x90 && token < 0xa0) || token === 0xdc || token === 0xdd;
}

/** Bytes of a number, boolean or nil with its token; 0: it is something else, or a float 64, which has a way of its own. */
export function scalarSize(token: number): number {
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return 1;
    case 0xcc:
    case 0xd0:
      return 2;
    case 0xcd:
    case 0xd1:
      return 3;
    case 0xca:
    case 0xce:
    case 0xd2:
      return 5;
    case 0xcf:
    case 0xd3:
      return 9;
    default:
      return 0;
  }
}

/** The number behind its token. Integers beyond 2^53 are rounded, which leaves them beyond it. */
export function numberAt(view: DataView, token: number, at: number): number {
  switch (token) {
    case 0xca:
      return view.getFloat32(at);
    case 0xcc:
      return view.getUint8(at);
    case 0xcd:
      return view.getUint16(at);
    case 0xce:
      return view.getUint32(at);
    case 0xcf:
      return view.getUint32(at) * HIGH_WORD + view.getUint32(at + 4);
    case 0xd0:
      return view.getInt8(at);
    case 0xd1:
      return view.getInt16(at);
    case 0xd2:
      return view.getInt32(at);
    default:
      return view.getInt32(at) * HIGH_WORD + view.getUint32(at + 4);
  }
}
