/**
 * The fast way of `splitFrame`: one pass over the bytes of a msgpack frame, for frames as clients send them. It makes no object
 * for an event; shares are copied run by run. What is not plain (a shape that is defined twice, a session id that is not ASCII,
 * an extension, deep nesting) is left to the general way, which splits any frame. `split-frame.property.test.ts` holds both to
 * the same laws, and `npm run bench -- ingest` shows what it buys: a fifth of the gateway's time.
 *
 *   frame   {t, seq, events: [A, b, c, D, e]}          A, D: events that define record shapes
 *   share   {shapes: [every shape of the frame, as a record of nils], events: [a, b, e]}
 *
 * An event may use shapes that another one defined. So a share begins with all of them, and its events keep their references;
 * where an event defined a shape there is a reference now. An integer 64-127 reads as such a reference once its shape is
 * defined: a frame that has one before the definition is not plain.
 */
import type { PartitionId } from "./ids.ts";
import type { FrameBytes } from "./interner.ts";
import { limits } from "./limits.ts";
import { shareGrowthMax } from "./msgpack-slices.ts";
import { EXTENSION_RECORD, GIVE_UP, isListToken, NO_TOKEN, scalarSize } from "./plain-cursor.ts";
import { endOfKeys } from "./plain-shapes.ts";
import { SessionHash } from "./plain-session-hash.ts";

/** One host's part of a frame. `bytes` are overwritten by the next call. */
export interface PlainShare {
  readonly host: number;
  readonly bytes: Uint8Array;
  /** Row of the share -> row of the frame. */
  readonly indexes: readonly number[];
}

export interface PlainSplit {
  readonly bytes: Uint8Array;
  readonly tenant: string;
  readonly partitionCount: number;
  readonly hostOf: (partition: PartitionId) => number;
}

/** The shares of a frame; one host: all events are that host's; undefined: it is not plain. */
export function splitPlainFrame(request: PlainSplit): PlainShare[] | number | undefined {
  return splitter.split(request);
}

interface Shape {
  readonly fields: number;
  /** Which of them is `sessionId`, or -1. */
  readonly sessionField: number;
}

/** The definition of a shape: `from` is its `d4`, `to` its first value. */
interface Definition {
  readonly from: number;
  readonly to: number;
  readonly id: number;
  readonly fields: number;
}

/** What goes to one host. */
interface Part {
  readonly host: number;
  readonly rows: number[];
  bytes: number;
  /** The run of events that is to be copied next, and where to. */
  from: number;
  to: number;
  at: number;
}

/** Deeper than any event that the reader takes. */
const LEVELS_MAX = 16;
const SHAPE_IDS = 64;
const FIXED_MAP = 0x80;
const KEY_EVENTS = Uint8Array.of(0xa6, 0x65, 0x76, 0x65, 0x6e, 0x74, 0x73);
const KEY_SHAPES = Uint8Array.of(0xa6, 0x73, 0x68, 0x61, 0x70, 0x65, 0x73);
const KEY_SESSION = Uint8Array.of(0xa9, 0x73, 0x65, 0x73, 0x73, 0x69, 0x6f, 0x6e, 0x49, 0x64);
const LIST_32_HEAD_BYTES = 5;
const SCRATCH_BYTES = 256 * 1024;

/** Bytes of a whole value with this token, where the token alone says it; else 0. */
const valueBytes = Uint8Array.from({ length: 256 }, (_, token) => {
  if (token < 0x40 || token >= 0xe0) return 1;
  if (token >= 0xa0 && token < 0xc0) return token - 0x9f;
  return token === 0xcb ? 9 : scalarSize(token);
});

class PlainSplitter {
  readonly #sessionHash = new SessionHash();
  #bytes: Uint8Array = new Uint8Array(0);
  #frame: FrameBytes = { bytes: this.#bytes, view: new DataView(this.#bytes.buffer) };
  readonly #shapes = new Array<Shape | undefined>(SHAPE_IDS).fill(undefined);
  #definitions: Definition[] = [];
  /** Which of 64-127 were met as integers. */
  readonly #integers = new Uint8Array(SHAPE_IDS);
  /** Of each event: where it begins, and its host; behind the last one: where that ends. */
  readonly #starts = new Int32Array(limits.frameEventsMax + 1);
  readonly #hosts = new Uint16Array(limits.frameEventsMax);
  #count = 0;
  #hostOf: PlainSplit["hostOf"] = () => 0;
  #partitionCount = 1;
  /** Entries of the map or list whose head was read last. */
  #length = 0;
  #out = new Uint8Array(SCRATCH_BYTES);

  split({ bytes, tenant, partitionCount, hostOf }: PlainSplit): PlainShare[] | number | undefined {
    this.#bytes = bytes;
    this.#frame = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
    this.#shapes.fill(undefined);
    this.#integers.fill(0);
    this.#definitions = [];
    this.#count = 0;
    this.#sessionHash.setTenant(tenant);
    this.#partitionCount = partitionCount;
    this.#hostOf = hostOf;
    if (this.#container() !== bytes.length || this.#count === 0) return undefined;
    return this.#onlyHost() ?? this.#write(this.#parts());
  }

  /** A map or record with one list `events`. */
  #container(): number {
    const token = this.#bytes[0] ?? NO_TOKEN;
    let at = 0;
    let entries = 0;
    let names = -1;
    if (token === 0xd4) {
      at = this.#define(0);
      entries = this.#definitions[0]?.fields ?? 0;
      names = this.#firstKey();
    } else {
      at = this.#mapHead(0, token);
      entries = this.#length;
    }
    for (let left = entries; left > 0 && at >= 0; left--) {
      const keyAt = names < 0 ? at : names;
      const afterKey = this.#key(keyAt);
      if (afterKey < 0) return GIVE_UP;
      if (names < 0) at = afterKey;
      else names = afterKey;
      at = this.#isAt(keyAt, KEY_EVENTS) ? this.#events(at) : this.#skip(at, LEVELS_MAX);
      // What stands beside the events is in no share: a `seq` of 64 harms none of them.
      if (this.#count === 0) this.#integers.fill(0);
    }
    return at;
  }

  /** Where the keys of the record at the top begin. */
  #firstKey(): number {
    return (this.#bytes[3] ?? 0) === 0xdc ? 6 : 4;
  }

  #events(listAt: number): number {
    const token = this.#bytes[listAt] ?? NO_TOKEN;
    if (!isListToken(token) || this.#count > 0) return GIVE_UP;
    let at = this.#listHead(listAt, token);
    const count = this.#length;
    if (count === 0 || count > limits.frameEventsMax || count > this.#bytes.length - at) return GIVE_UP;
    this.#count = count;
    for (let row = 0; row < count && at >= 0; row++) {
      this.#starts[row] = at;
      at = this.#event(at, row);
    }
    this.#starts[count] = at;
    return at <= this.#bytes.length ? at : GIVE_UP;
  }

  #event(eventAt: number, row: number): number {
    const token = this.#bytes[eventAt] ?? NO_TOKEN;
    let at = eventAt + 1;
    let shape: Shape | undefined;
    if (token >= 0x40 && token < 0x80) {
      shape = this.#shapes[token & 0x3f];
      if (shape === undefined) return GIVE_UP;
    } else if (token === 0xd4) {
      at = this.#define(eventAt);
      if (at < 0) return GIVE_UP;
      shape = this.#shapes[(this.#bytes[eventAt + 2] ?? 0) & 0x3f];
    }
    if (shape === undefined) return this.#mapEvent(eventAt, token, row);
    const { fields, sessionField } = shape;
    if (sessionField < 0) return GIVE_UP;
    at = this.#skipMany(at, sessionField, LEVELS_MAX);
    at = this.#session(at, row);
    return this.#skipMany(at, fields - sessionField - 1, LEVELS_MAX);
  }

  #mapEvent(eventAt: number, token: number, row: number): number {
    let at = this.#mapHead(eventAt, token);
    let found = false;
    for (let left = this.#length; left > 0 && at >= 0; left--) {
      const keyAt = at;
      at = this.#key(at);
      if (at < 0) return GIVE_UP;
      if (!this.#isAt(keyAt, KEY_SESSION)) at = this.#skip(at, LEVELS_MAX);
      else if (found) return GIVE_UP;
      else {
        found = true;
        at = this.#session(at, row);
      }
    }
    return found ? at : GIVE_UP;
  }

  #session(at: number, row: number): number {
    if (at < 0) return GIVE_UP;
    const bytes = this.#bytes;
    const token = bytes[at] ?? NO_TOKEN;
    let from = at + 1;
    let length = token - 0xa0;
    if (token === 0xd9) {
      from = at + 2;
      length = bytes[at + 1] ?? 0;
    } else if (token < 0xa0 || token >= 0xc0) return GIVE_UP;
    const next = from + length;
    if (length === 0 || next > bytes.length) return GIVE_UP;
    for (let each = from; each < next; each++) if ((bytes[each] ?? 0) >= 0x80) return GIVE_UP;
    const hash = this.#sessionHash.hash(this.#frame, from, length) >>> 0;
    this.#hosts[row] = this.#hostOf((hash % this.#partitionCount) as PartitionId);
    return next;
  }

  /** Where the value that begins here ends. A text that goes on past the bytes is found out at the next token or at the end. */
  #skip(at: number, levels: number): number {
    const token = this.#bytes[at] ?? NO_TOKEN;
    const size = valueBytes[token] ?? 0;
    if (size > 0) return at + size;
    if (token < 0x80) {
      const shape = this.#shapes[token & 0x3f];
      if (shape !== undefined) return this.#skipMany(at + 1, shape.fields, levels - 1);
      this.#integers[token & 0x3f] = 1;
      return at + 1;
    }
    if (isListToken(token)) {
      const first = this.#listHead(at, token);
      return this.#skipMany(first, this.#length, levels - 1);
    }
    if (token < 0x90 || token === 0xde) return this.#skipMap(at, token, levels - 1);
    if (token === 0xd9) return at + 2 + (this.#bytes[at + 1] ?? 0);
    if (token === 0xda) return at + 3 + (((this.#bytes[at + 1] ?? 0) << 8) | (this.#bytes[at + 2] ?? 0));
    return this.#skipExtension(at, token, levels);
  }

  #skipMany(from: number, count: number, levels: number): number {
    if (levels < 0 || from < 0) return GIVE_UP;
    const bytes = this.#bytes;
    let at = from;
    for (let left = count; left > 0; left--) {
      const size = valueBytes[bytes[at] ?? NO_TOKEN] ?? 0;
      at = size > 0 ? at + size : this.#skip(at, levels);
      if (at < 0) return GIVE_UP;
    }
    return at;
  }

  #skipMap(mapAt: number, token: number, levels: number): number {
    let at = this.#mapHead(mapAt, token);
    if (levels < 0) return GIVE_UP;
    for (let left = this.#length; left > 0 && at >= 0; left--) {
      at = this.#key(at);
      if (at >= 0) at = this.#skip(at, levels);
    }
    return at;
  }

  /** Timestamps, msgpackr's "undefined", and records; all others have rules of their own. */
  #skipExtension(at: number, token: number, levels: number): number {
    const type = this.#bytes[at + 1];
    if (token === 0xd6 && type === 0xff) return at + 6;
    if (token === 0xd7 && type === 0xff) return at + 10;
    if (token !== 0xd4) return GIVE_UP;
    if (type === 0) return at + 3;
    const first = this.#define(at);
    return first < 0 ? GIVE_UP : this.#skipMany(first, this.#definitions.at(-1)?.fields ?? 0, levels - 1);
  }

  /** Takes the definition that begins here; gives the place of its first value. */
  #define(at: number): number {
    const bytes = this.#bytes;
    const id = bytes[at + 2] ?? 0;
    if (bytes[at + 1] !== EXTENSION_RECORD || id < 0x40 || id >= 0x80) return GIVE_UP;
    const index = id & 0x3f;
    if (this.#shapes[index] !== undefined || this.#integers[index] === 1) return GIVE_UP;
    const to = endOfKeys(bytes, at + 3);
    if (to < 0) return GIVE_UP;
    let keyAt = this.#listHead(at + 3, bytes[at + 3] ?? NO_TOKEN);
    const fields = this.#length;
    let sessionField = -1;
    for (let field = 0; field < fields; field++) {
      if (this.#isAt(keyAt, KEY_SESSION)) {
        if (sessionField >= 0) return GIVE_UP;
        sessionField = field;
      }
      keyAt = this.#key(keyAt);
      if (keyAt < 0) return GIVE_UP;
    }
    this.#shapes[index] = { fields, sessionField };
    this.#definitions.push({ from: at, to, id, fields });
    return to;
  }

  #mapHead(at: number, token: number): number {
    const bytes = this.#bytes;
    this.#length = token === 0xde ? ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0) : token - FIXED_MAP;
    if (token >= FIXED_MAP && token < 0x90) return at + 1;
    return token === 0xde ? at + 3 : GIVE_UP;
  }

  #listHead(at: number, token: number): number {
    const bytes = this.#bytes;
    const high = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    if (token < 0xa0) {
      this.#length = token - 0x90;
      return at + 1;
    }
    this.#length = token === 0xdc ? high : high * 0x1_0000 + (((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0));
    return token === 0xdc ? at + 3 : at + LIST_32_HEAD_BYTES;
  }

  /** Passes a key; one with a longer head than it needs could be `sessionId` or `events` under another spelling. */
  #key(at: number): number {
    const token = this.#bytes[at] ?? NO_TOKEN;
    if (token >= 0xa0 && token < 0xc0) return at + token - 0x9f;
    const length = this.#bytes[at + 1] ?? 0;
    return token === 0xd9 && length > 31 ? at + 2 + length : GIVE_UP;
  }

  #isAt(at: number, text: Uint8Array): boolean {
    for (let index = 0; index < text.length; index++) if (this.#bytes[at + index] !== text[index]) return false;
    return true;
  }

  /** The host of all events; undefined: there are several. */
  #onlyHost(): number | undefined {
    const host = this.#hosts[0];
    for (let row = 1; row < this.#count; row++) if (this.#hosts[row] !== host) return undefined;
    return host;
  }

  #parts(): Part[] {
    const parts: Part[] = [];
    for (let row = 0; row < this.#count; row++) {
      const host = this.#hosts[row] ?? 0;
      let part = parts[0];
      for (let index = 1; part !== undefined && part.host !== host; index++) part = parts[index];
      if (part === undefined) parts.push((part = { host, rows: [], bytes: 0, from: 0, to: 0, at: 0 }));
      part.rows.push(row);
      part.bytes += (this.#starts[row + 1] ?? 0) - (this.#starts[row] ?? 0);
    }
    return parts;
  }

  #write(parts: readonly Part[]): PlainShare[] | undefined {
    const shapesBytes = this.#definitions.reduce((sum, { from, to, fields }) => sum + to - from + fields, 0);
    const headBytes = 1 + KEY_SHAPES.length + KEY_EVENTS.length + 2 * LIST_32_HEAD_BYTES + shapesBytes;
    const needed = parts.reduce((sum, { bytes }) => sum + headBytes + bytes, 0);
    // Many hosts and long shapes: the general way gives each share those that its events use.
    if (needed > shareGrowthMax(this.#bytes.length)) return undefined;
    if (needed > this.#out.length) this.#out = new Uint8Array(needed * 2);
    let end = 0;
    return parts.map((part) => {
      const start = end;
      part.at = this.#writeHead(start, part.rows.length);
      for (const row of part.rows) this.#extend(part, this.#starts[row] ?? 0, this.#starts[row + 1] ?? 0);
      this.#copyRun(part);
      end = part.at;
      return { host: part.host, bytes: this.#out.subarray(start, end), indexes: part.rows };
    });
  }

  #writeHead(start: number, count: number): number {
    const out = this.#out;
    let at = start;
    out[at++] = FIXED_MAP | (this.#definitions.length > 0 ? 2 : 1);
    if (this.#definitions.length > 0) {
      out.set(KEY_SHAPES, at);
      at = this.#writeListHead(at + KEY_SHAPES.length, this.#definitions.length);
      for (const { from, to, fields } of this.#definitions) {
        out.set(this.#bytes.subarray(from, to), at);
        at += to - from;
        out.fill(0xc0, at, at + fields);
        at += fields;
      }
    }
    out.set(KEY_EVENTS, at);
    return this.#writeListHead(at + KEY_EVENTS.length, count);
  }

  #writeListHead(at: number, count: number): number {
    this.#out[at] = 0xdd;
    for (let index = 1, shift = 24; shift >= 0; index++, shift -= 8) this.#out[at + index] = (count >>> shift) & 0xff;
    return at + LIST_32_HEAD_BYTES;
  }

  /** Events that lie side by side are copied in one go. */
  #extend(part: Part, from: number, to: number): void {
    if (part.to !== from) {
      this.#copyRun(part);
      part.from = from;
    }
    part.to = to;
  }

  #copyRun(part: Part): void {
    let from = part.from;
    if (from < (this.#definitions.at(-1)?.to ?? 0)) {
      for (const definition of this.#definitions) {
        if (definition.from < from || definition.to > part.to) continue;
        this.#copy(part, from, definition.from);
        this.#out[part.at++] = definition.id;
        from = definition.to;
      }
    }
    this.#copy(part, from, part.to);
  }

  #copy(part: Part, from: number, to: number): void {
    if (to <= from) return;
    this.#out.set(this.#bytes.subarray(from, to), part.at);
    part.at += to - from;
  }
}

const splitter = new PlainSplitter();
