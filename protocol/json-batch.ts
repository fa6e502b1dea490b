/**
 * Events of a JSON or NDJSON body: the parsed values, and where each one's text lies, so that its own bytes can be kept or
 * sent on exactly as they came (a number that JavaScript would round stays as it was written). The same contract as
 * `event-batch.ts`: the reader and the splitter both use it.
 */
import { checkEventCount, noEvents, type EventBatch } from "./event-batch.ts";
import { malformed } from "./msgpack-scanner.ts";
import { isPlainMap } from "./plain-values.ts";

/** A line that cannot be parsed; one invalid event that leaves its neighbours alone. */
export const UNPARSABLE = Symbol("unparsable");

// A byte order mark is kept, and so refused (RFC 8259, section 8.1): what the first line of a body means must not depend on
// its being the first.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Throws WEIR_FRAME_MALFORMED, WEIR_FRAME_FIELD_INVALID or WEIR_FRAME_TOO_MANY_EVENTS. */
export function parseJsonEvents(bytes: Uint8Array): readonly unknown[] {
  let body: unknown;
  try {
    body = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw malformed(cause);
  }
  const events = eventsOf(body);
  checkEventCount(events.length);
  return events;
}

/** The events of a decoded frame or body, whatever its container. */
export function eventsOf(body: unknown): readonly unknown[] {
  if (Array.isArray(body)) return body;
  if (!isPlainMap(body)) throw noEvents();
  if (Object.hasOwn(body, "events")) {
    const events = body["events"];
    if (Array.isArray(events)) return events;
    throw noEvents();
  }
  if (Object.hasOwn(body, "t") && body["t"] === "pub") throw noEvents();
  return [body];
}

export interface NdjsonBatch extends EventBatch {
  /** UNPARSABLE for a line that is not JSON. */
  readonly events: readonly unknown[];
}

const LINE_FEED = 10;

export function parseNdjsonEvents(bytes: Uint8Array): NdjsonBatch {
  const starts: number[] = [];
  const ends: number[] = [];
  const events: unknown[] = [];
  for (let start = 0; start < bytes.length;) {
    const feed = bytes.indexOf(LINE_FEED, start);
    const end = feed < 0 ? bytes.length : feed;
    if (!isBlank(bytes, start, end)) {
      checkEventCount(events.length + 1);
      starts.push(start);
      ends.push(end);
      events.push(parseLine(bytes.subarray(start, end)));
    }
    start = end + 1;
  }
  return { count: events.length, starts, ends, events };
}

function parseLine(line: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(line)) as unknown;
  } catch {
    return UNPARSABLE;
  }
}

function isBlank(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (!isSpace(bytes[at])) return false;
  return true;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

const QUOTE = 0x22;
const COLON = 0x3a;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const LIST_OPEN = 0x5b;
const MAP_OPEN = 0x7b;

/** Where the events lie in a body that `parseJsonEvents` has taken. */
export function sliceJsonEvents(bytes: Uint8Array): EventBatch {
  const walk = new JsonWalk(bytes);
  walk.space();
  if (bytes[walk.at] === LIST_OPEN) return walk.elements();
  const start = walk.at;
  let found: EventBatch | undefined;
  walk.at++;
  for (walk.space(); bytes[walk.at] === QUOTE; walk.space()) {
    const keyStart = walk.at;
    walk.value();
    // A key may be written with escapes; a name that is not `events` is only ever skipped.
    const name: unknown = JSON.parse(decoder.decode(bytes.subarray(keyStart, walk.at)));
    walk.pass(COLON);
    // The last of several counts, as it does for JSON.parse.
    if (name === "events") found = walk.elements();
    else walk.value();
    walk.pass(COMMA);
  }
  return found ?? { count: 1, starts: [start], ends: [walk.at + 1] };
}

/** Walks over text that is known to be valid JSON. */
class JsonWalk {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  space(): void {
    while (isSpace(this.#bytes[this.at])) this.at++;
  }

  /** Moves past white space and, where it stands next, this byte. */
  pass(byte: number): void {
    this.space();
    if (this.#bytes[this.at] === byte) this.at++;
    this.space();
  }

  /** Stands before a list; ends behind it. Anything else has no elements. */
  elements(): EventBatch {
    const starts: number[] = [];
    const ends: number[] = [];
    if (this.#bytes[this.at] !== LIST_OPEN) {
      this.value();
      return { count: 0, starts, ends };
    }
    this.at++;
    for (this.space(); this.#bytes[this.at] !== LIST_OPEN + 2; this.pass(COMMA)) {
      starts.push(this.at);
      this.value();
      ends.push(this.at);
    }
    this.at++;
    return { count: starts.length, starts, ends };
  }

  /** Moves past one value. Brackets of both kinds (they differ from `]` and `}` by two) are counted, texts are skipped. */
  value(): void {
    const bytes = this.#bytes;
    let depth = 0;
    do {
      const byte = bytes[this.at];
      if (byte === QUOTE) this.#text();
      else {
        this.at++;
        if (byte === LIST_OPEN || byte === MAP_OPEN) depth++;
        else if (byte === LIST_OPEN + 2 || byte === MAP_OPEN + 2) depth--;
        else if (depth === 0) this.#word();
      }
    } while (depth > 0 && this.at < bytes.length);
  }

  #text(): void {
    const bytes = this.#bytes;
    for (this.at++; this.at < bytes.length && bytes[this.at] !== QUOTE; this.at++) if (bytes[this.at] === BACKSLASH) this.at++;
    this.at++;
  }

  /** The rest of a number, `true`, `false` or `null`. */
  #word(): void {
    const bytes = this.#bytes;
    for (; this.at < bytes.length; this.at++) {
      const byte = bytes[this.at];
      if (byte === COMMA || byte === LIST_OPEN + 2 || byte === MAP_OPEN + 2 || isSpace(byte)) return;
    }
  }
}
