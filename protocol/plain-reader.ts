/**
 * The fast way from a msgpack frame's bytes to columns: one pass, no object per event. It reads an event only when it is plain,
 * which is to say surely valid and without anything unusual; at the first byte of which it is not sure it gives up, and the
 * reference (`event-reader.ts`) decides: on the event alone where such are few (`odd-rows.ts`), else on the frame. So it never
 * refuses an event itself, and what it gives equals what the reference gives (a property test holds it to that).
 *
 * Plain are: maps and inline records with text keys; ASCII ids; well-formed texts where somebody wants them; exact numbers,
 * booleans, nil, lists; all well inside of the limits. Partition hosts, recovery and the warehouse writer call it.
 *
 * Inside, a method that reads something gives the position behind it, or GIVE_UP. A position may pass the end of the bytes
 * only where nothing is read any more but tokens: the frame's last position is compared with its length.
 */
import { FRAME_FORMATS, type EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import { NUMBER } from "./field-column.ts";
import type { FieldValue } from "./field-path.ts";
import { ColumnsPool } from "./columns-pool.ts";
import { hashOf, Interner, isAscii, PLACE_WORDS, TEXTS } from "./interner.ts";
import { limits } from "./limits.ts";
import { areFewOdd, readOddRow, type OddRow } from "./odd-rows.ts";
import { FIRST_WANTED_COLUMN, noColumns, PlainColumns, TYPE_COLUMN } from "./plain-columns.ts";
import { EXTENSION_RECORD, GIVE_UP, isListToken, NO_TOKEN, numberAt, PlainCursor, scalarSize } from "./plain-cursor.ts";
import { PendingIdentities, ROWS_AT_ONCE } from "./plain-identities.ts";
import { walkPlainEvent } from "./plain-slicer.ts";
import { planAt, PlanCache, ROLE, type PathNode, type PathTree } from "./plain-paths.ts";
import { SessionHash } from "./plain-session-hash.ts";
import { keyNamed } from "./plain-shapes.ts";
import { readTimestamp, timestampRead } from "./plain-timestamp.ts";
import { areTextNumbersSpent, beginTextGeneration } from "./text-numbers.ts";
import { timestampVerdict } from "./timestamp.ts";
import { ACCEPTED } from "./verdicts.ts";

export interface PlainRequest extends ReadRequest {
  /**
   * Full paths of the fields that will be asked for: `properties.value`, `context.location.country`. The same list must come
   * as the same instance, and must not change: what is compiled for it is kept by it.
   */
  readonly wanted: readonly string[];
}

/** What the bounded caches of this thread's reader have let go since its start. It costs speed only: it is made or read anew. */
export interface ReaderEvictions {
  /** Texts of dimensions and the like, and ids of sessions and users, that others have driven out. */
  readonly texts: number;
  readonly ids: number;
  /** Shapes of records, likewise. */
  readonly shapes: number;
}

export function readerEvictions(): ReaderEvictions {
  return reader.evictions;
}

/** The columns of a frame, by the fast way if it can be. Throws what `readEvents` throws. */
export function readFrame(request: PlainRequest): EventColumns {
  return readPlainFrame(request) ?? readEvents(request);
}

/** undefined: something in the frame is not plain. Throws nothing. `bytes` must stay as they are while the columns are used. */
export function readPlainFrame(request: PlainRequest): EventColumns | undefined {
  if (request.format !== FRAME_FORMATS.msgpack || request.bytes.length === 0) return undefined;
  try {
    return reader.read(request);
  } finally {
    reader.release();
  }
}

/** Bytes of JSON that one byte of msgpack (or of a key in a record's definition) makes at most: `\u001f`, or `false,`. */
const JSON_BYTES_PER_BYTE_MAX = 6;
const VALUE_BYTES_MAX = Math.floor(limits.propertiesBytesMax / JSON_BYTES_PER_BYTE_MAX);
/** A broken byte is decoded to U+FFFD, three bytes: labels up to this length are short enough whatever is in them. */
const LABEL_BYTES_SURELY_SHORT = Math.floor(limits.identifierBytesMax / 3);

const DICTIONARY_TEXTS = 8_192;
const IDENTITY_TEXTS = 65_536;

const noTree = new PlanCache().treeOf([]);

class PlainReader extends PlainCursor {
  readonly #plans = new PlanCache();
  #dictionary = newDictionary();
  #identities = newIdentities();
  /** By the dictionaries of before. */
  #evicted = { texts: 0, ids: 0 };
  readonly #sessionHash = new SessionHash();
  readonly #sessions = new PendingIdentities();
  readonly #users = new PendingIdentities();
  readonly #odd: OddRow[] = [];
  readonly #pool = new ColumnsPool();

  // The frame that is being read.
  #request: PlainRequest | undefined;
  #ingestTimeMs = 0;
  #partitionCount = 1;
  /** -1: the count is not a power of two. */
  #partitionMask = 0;
  #tree: PathTree = noTree;
  #columns = noColumns;
  #ids = noColumns.eventIds;
  #wanted: FieldValue[][] = [];
  #kinds = noColumns.kinds;

  // Totals over one field of an event, as in `plain-values.ts`.
  #keyCount = 0;
  #keyBytes = 0;

  read(request: PlainRequest): EventColumns | undefined {
    const { bytes, tenant, wanted, ingestTimeMs, partitionCount } = request;
    if (areTextNumbersSpent()) {
      beginTextGeneration();
      this.#evicted = this.evictions;
      this.#dictionary = newDictionary();
      this.#identities = newIdentities();
    }
    this.open(bytes);
    this.#request = request;
    this.#ingestTimeMs = ingestTimeMs;
    this.#partitionCount = partitionCount;
    this.#partitionMask = (partitionCount & (partitionCount - 1)) === 0 ? partitionCount - 1 : -1;
    this.#tree = this.#plans.treeOf(wanted);
    this.#sessionHash.setTenant(tenant);
    const isRead = this.#container() === this.end && this.#columns !== noColumns;
    if (isRead) this.#columns.definitions = this.definitions;
    if (isRead && this.#readOddRows(request)) return this.#columns;
    if (this.#columns !== noColumns) this.#columns.release();
    return undefined;
  }

  #readOddRows(request: PlainRequest): boolean {
    return this.#odd.every(({ row, start, end }) => {
      const alone = readOddRow(request, this.frame, this.#columns.shapes(this.definitions), start);
      return alone !== undefined && this.#columns.takeRow(row, alone, start, end);
    });
  }

  get evictions(): ReaderEvictions {
    const texts = this.#evicted.texts + this.#dictionary.evicted;
    return { texts, ids: this.#evicted.ids + this.#identities.evicted, shapes: this.registry.evicted };
  }

  /** Keeps nothing of the frame. */
  release(): void {
    this.close();
    this.#request = undefined;
    this.#columns = noColumns;
    this.#ids = noColumns.eventIds;
    this.#wanted = noColumns.wanted;
    this.#kinds = noColumns.kinds;
    this.#odd.length = 0;
  }

  #container(): number {
    const token = this.bytes[0] ?? NO_TOKEN;
    if (isListToken(token)) return this.#events(0);
    const start = this.headAt(0, token);
    if (start < 0) return GIVE_UP;
    const { keys } = this;
    const eventsAt = keys === undefined ? -1 : keyNamed(keys, eventsKey);
    let at = start;
    for (let left = this.length, index = 0; left > 0 && at >= 0; left--, index++) {
      let isEvents = index === eventsAt;
      if (keys === undefined) {
        at = this.keyAt(at);
        if (at < 0) return GIVE_UP;
        isEvents = this.#isEvents();
      }
      at = isEvents ? this.#events(at) : this.#fieldValue(at, this.#tree.unwanted, 0);
    }
    return at;
  }

  /** Whether the key that `keyAt` found is `events`. */
  #isEvents(): boolean {
    if (this.length !== eventsKey.length) return false;
    for (let index = 0; index < eventsKey.length; index++) if (this.bytes[this.from + index] !== eventsKey[index]) return false;
    return true;
  }

  #events(listAt: number): number {
    const token = this.bytes[listAt] ?? NO_TOKEN;
    if (!isListToken(token) || this.#columns !== noColumns || this.#request === undefined) return GIVE_UP;
    let at = this.listHeadAt(listAt, token);
    const count = this.length;
    if (count > limits.frameEventsMax || count > this.end - at) return GIVE_UP;
    this.#columns = PlainColumns.of(this.#request, this.frame, count, this.#tree.columns, this.#pool);
    this.#wanted = this.#columns.wanted;
    this.#kinds = this.#columns.kinds;
    this.#ids = this.#columns.eventIds;
    const { starts } = this.#columns;
    this.#sessions.clear();
    this.#users.clear();
    for (let first = 0; first < count && at >= 0; first += ROWS_AT_ONCE) {
      const end = Math.min(count, first + ROWS_AT_ONCE);
      for (let row = first; row < end && at >= 0; row++) {
        const definitionsBefore = this.definitions.length;
        const next = this.#event(at, row);
        starts[row] = at;
        at = next >= 0 ? next : this.#oddEvent(at, row, count, definitionsBefore);
      }
      if (at >= 0 && !this.#resolve(first, end)) return GIVE_UP;
    }
    return at;
  }

  /** Passes an event that is not plain. */
  #oddEvent(at: number, row: number, count: number, definitionsBefore: number): number {
    this.definitions.length = definitionsBefore;
    if (!areFewOdd(this.#odd.length + 1, count)) return GIVE_UP;
    const event = walkPlainEvent(this.frame, this.#columns.shapes(this.definitions), at);
    if (event === undefined) return GIVE_UP;
    this.#odd.push({ row, start: at, end: event.end });
    this.#sessions.forget(row);
    this.#users.forget(row);
    // What it defines holds for the events behind it.
    const isTaken = event.definitions.every((from) => this.headAt(from, this.bytes[from] ?? NO_TOKEN) >= 0);
    return isTaken ? event.end : GIVE_UP;
  }

  #resolve(first: number, end: number): boolean {
    const columns = this.#columns;
    const { sessionIds, userIds } = columns;
    return (
      this.#sessions.resolve(this.#identities, this.frame, first, end, sessionIds, columns.column("sessionId")) &&
      this.#users.resolve(this.#identities, this.frame, first, end, userIds, columns.column("userId"))
    );
  }

  #event(eventAt: number, row: number): number {
    const { root, unwanted } = this.#tree;
    let at = this.headAt(eventAt, this.bytes[eventAt] ?? NO_TOKEN);
    if (at < 0) return GIVE_UP;
    if (this.keys !== undefined) {
      const { fields, shortTextFrom, isComplete } = planAt(root, this.keys, unwanted);
      if (!isComplete) return GIVE_UP;
      const bytes = this.bytes;
      for (let index = 0; index < fields.length; index++) {
        const token = bytes[at] ?? NO_TOKEN;
        if (token < 0xc0 && token >= (shortTextFrom[index] ?? 0xc0)) at += token - 0x9f;
        else at = this.#eventField(at, fields[index] ?? unwanted, row);
        if (at < 0) return GIVE_UP;
      }
      return at;
    }
    let seen = 0;
    for (let left = this.length; left > 0; left--) {
      at = this.keyAt(at);
      if (at < 0) return GIVE_UP;
      const field = root.find(this.frame, this.from, this.length) ?? unwanted;
      if ((seen & field.bit) !== 0) return GIVE_UP;
      seen |= field.bit;
      at = this.#eventField(at, field, row);
      if (at < 0) return GIVE_UP;
    }
    return (seen & root.requiredMask) === root.requiredMask ? at : GIVE_UP;
  }

  #eventField(at: number, field: PathNode, row: number): number {
    switch (field.role) {
      case ROLE.eventId:
        return this.#eventId(at, row);
      case ROLE.sessionId:
        return this.#sessionId(at, row);
      case ROLE.userId:
        return this.#userId(at, row);
      case ROLE.eventType:
        return this.#eventType(at, row);
      case ROLE.label:
        return this.#label(at, field, row);
      case ROLE.timestamp:
        return this.#timestamp(at, row);
      case ROLE.id:
        // Nothing is known of it that would make it surely valid.
        return GIVE_UP;
      default:
        return this.#fieldValue(at, field, row);
    }
  }

  #eventId(idAt: number, row: number): number {
    const next = this.textAt(idAt);
    const length = this.length;
    if (next < 0 || length === 0 || length > limits.identifierBytesMax) return GIVE_UP;
    this.#ids.starts[row] = this.from;
    this.#ids.lengths[row] = length;
    return isAscii(this.frame, this.from, length) ? next : GIVE_UP;
  }

  #sessionId(at: number, row: number): number {
    const next = this.textAt(at);
    const length = this.length;
    if (next < 0 || length === 0 || length > limits.identifierBytesMax) return GIVE_UP;
    const hash = this.#sessionHash.hash(this.frame, this.from, length);
    this.#sessions.add(row, this.from, length, hash);
    // The same for powers of two, without a division.
    this.#columns.partitions[row] = this.#partitionMask >= 0 ? hash & this.#partitionMask : (hash >>> 0) % this.#partitionCount;
    return next;
  }

  #userId(at: number, row: number): number {
    if (this.bytes[at] === 0xd4) return this.undefinedAt(at);
    const next = this.textAt(at);
    const length = this.length;
    if (next < 0 || length === 0 || length > limits.identifierBytesMax) return GIVE_UP;
    this.#users.add(row, this.from, length, hashOf(this.frame, this.from, length));
    return next;
  }

  #eventType(at: number, row: number): number {
    const next = this.textAt(at);
    if (next < 0 || this.length === 0 || this.length > limits.identifierBytesMax) return GIVE_UP;
    const text = this.#dictionary.text(this.frame, this.from, this.length);
    if (text === undefined) return GIVE_UP;
    const columns = this.#columns;
    columns.eventTypes[row] = text;
    this.#kinds[TYPE_COLUMN * columns.count + row] = this.#dictionary.number;
    return next;
  }

  #label(at: number, field: PathNode, row: number): number {
    const next = this.textAt(at);
    const length = this.length;
    if (next < 0 || length === 0 || length > limits.identifierBytesMax) return GIVE_UP;
    if (field.column < 0 && length <= LABEL_BYTES_SURELY_SHORT) return next;
    return this.#keepText(field, row) ? next : GIVE_UP;
  }

  #timestamp(at: number, row: number): number {
    const next = readTimestamp(this.frame, at);
    const timeMs = timestampRead();
    if (next < 0 || timestampVerdict(timeMs, this.#ingestTimeMs) !== ACCEPTED) return GIVE_UP;
    this.#columns.eventTimesMs[row] = timeMs;
    return next;
  }

  /** A field whose values must be plain: `properties`, `context` or an unknown one. */
  #fieldValue(at: number, field: PathNode, row: number): number {
    this.#keyCount = 0;
    this.#keyBytes = 0;
    const next = this.#value(at, field, row, 0);
    return next - at + this.#keyBytes <= VALUE_BYTES_MAX ? next : GIVE_UP;
  }

  /** `depth`: levels of maps and lists around the value. */
  #value(at: number, node: PathNode, row: number, depth: number): number {
    const token = this.bytes[at] ?? NO_TOKEN;
    if (token >= 0xa0 && token < 0xc0) {
      const next = at + token - 0x9f;
      if (node.role > ROLE.optionalText || next > this.end) return GIVE_UP;
      if (node.column < 0) return next;
      this.from = at + 1;
      this.length = token - 0xa0;
      return this.#keepText(node, row) ? next : GIVE_UP;
    }
    if (token < 0x40 || token >= 0xe0) return this.#number(at + 1, node, row, token < 0x40 ? token : token - 0x100);
    if (token < 0x80 && this.shapes[token & 0x3f] === undefined) return this.#number(at + 1, node, row, token);
    if (token < 0x90 || token === 0xde || token === 0xdf) return this.#map(at, token, node, row, depth + 1);
    if (isListToken(token)) return this.#list(at, token, node, row, depth + 1);
    if (token === 0xcb) return this.#double(at, node, row);
    if (token >= 0xd9 && token <= 0xdb) return node.role > ROLE.optionalText ? GIVE_UP : this.#text(at, node, row);
    if (token !== 0xd4) return this.#scalar(at, token, node, row);
    if (this.bytes[at + 1] === EXTENSION_RECORD) return this.#map(at, token, node, row, depth + 1);
    const isOptional = node.role === ROLE.any || node.role === ROLE.optionalText || node.role === ROLE.optionalMap;
    return isOptional ? this.undefinedAt(at) : GIVE_UP;
  }

  #map(mapAt: number, token: number, node: PathNode, row: number, depth: number): number {
    const { role } = node;
    let at = depth > limits.propertiesDepthMax ? GIVE_UP : this.headAt(mapAt, token);
    if (at < 0 || role === ROLE.text || role === ROLE.optionalText) return GIVE_UP;
    this.#keyCount += this.length;
    if (this.#keyCount > limits.propertiesKeysMax) return GIVE_UP;
    const { unwanted } = this.#tree;
    if (this.keys !== undefined) {
      const { fields, shortTextFrom, keyBytes, isComplete } = planAt(node, this.keys, unwanted);
      if (!isComplete) return GIVE_UP;
      this.#keyBytes += keyBytes;
      const bytes = this.bytes;
      for (let index = 0; index < fields.length; index++) {
        const next = bytes[at] ?? NO_TOKEN;
        // Short texts that nobody wants are most of what events hold.
        if (next < 0xc0 && next >= (shortTextFrom[index] ?? 0xc0)) at += next - 0x9f;
        else at = this.#value(at, fields[index] ?? unwanted, row, depth);
        if (at < 0) return GIVE_UP;
      }
      return at;
    }
    let seen = 0;
    for (let left = this.length; left > 0; left--) {
      at = this.keyAt(at);
      if (at < 0) return GIVE_UP;
      const field = node.childCount === 0 ? unwanted : (node.find(this.frame, this.from, this.length) ?? unwanted);
      if ((seen & field.bit) !== 0) return GIVE_UP;
      seen |= field.bit;
      at = this.#value(at, field, row, depth);
      if (at < 0) return GIVE_UP;
    }
    return (seen & node.requiredMask) === node.requiredMask ? at : GIVE_UP;
  }

  #list(listAt: number, token: number, node: PathNode, row: number, depth: number): number {
    // A path may lead into a list, by an index or its length.
    if (depth > limits.propertiesDepthMax || node.role > ROLE.element || node.childCount > 0) return GIVE_UP;
    let at = this.listHeadAt(listAt, token);
    const { element } = this.#plans;
    for (let left = this.length; left > 0 && at >= 0; left--) at = this.#value(at, element, row, depth);
    return at;
  }

  #text(at: number, node: PathNode, row: number): number {
    const next = this.textAt(at);
    if (next < 0 || node.column < 0) return next;
    return this.#keepText(node, row) ? next : GIVE_UP;
  }

  /** Puts the text that `textAt` found into its column, if it has one; false: it is not well-formed. */
  #keepText(node: PathNode, row: number): boolean {
    const text = this.#dictionary.text(this.frame, this.from, this.length);
    if (text === undefined) return false;
    if (node.column < 0) return true;
    this.#keep(node, row, text);
    this.#kinds[(FIRST_WANTED_COLUMN + node.column) * this.#columns.count + row] = this.#dictionary.number;
    return true;
  }

  #keep(node: PathNode, row: number, value: FieldValue): void {
    const column = this.#wanted[node.column];
    if (column !== undefined) column[row] = value;
  }

  /** Integers that a double cannot hold, NaN and infinities are not plain. Apart from `#number`: as an argument it would be an object. */
  #double(at: number, node: PathNode, row: number): number {
    const next = at + 9;
    if (next > this.end || node.role > ROLE.element) return GIVE_UP;
    const value = this.frame.view.getFloat64(at + 1);
    // The negation also catches NaN.
    if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) return GIVE_UP;
    if (node.column >= 0) {
      const { count, numbers } = this.#columns;
      numbers[node.column * count + row] = value;
      this.#kinds[(FIRST_WANTED_COLUMN + node.column) * count + row] = NUMBER;
    }
    return next;
  }

  /** The same for an integer; `next`: behind it. */
  #number(next: number, node: PathNode, row: number, value: number): number {
    if (node.role > ROLE.element || !(Math.abs(value) <= Number.MAX_SAFE_INTEGER)) return GIVE_UP;
    if (node.column >= 0) {
      const { count, numbers } = this.#columns;
      numbers[node.column * count + row] = value;
      this.#kinds[(FIRST_WANTED_COLUMN + node.column) * count + row] = NUMBER;
    }
    return next;
  }

  #scalar(at: number, token: number, node: PathNode, row: number): number {
    const next = at + scalarSize(token);
    if (next === at || next > this.end || node.role > ROLE.element) return GIVE_UP;
    if (token > 0xc3) return this.#number(next, node, row, numberAt(this.frame.view, token, at + 1));
    this.#keep(node, row, token === 0xc0 ? null : token === 0xc3);
    return next;
  }
}

function newDictionary(): Interner {
  return new Interner(DICTIONARY_TEXTS, TEXTS.utf8);
}

function newIdentities(): Interner {
  return new Interner(IDENTITY_TEXTS, TEXTS.ascii, PLACE_WORDS.ids);
}

const eventsKey = new TextEncoder().encode("events");

const reader = new PlainReader();
