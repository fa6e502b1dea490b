/**
 * The fast way of `splitFrame` as WebAssembly: one pass over the bytes of a msgpack frame finds where each event begins and which
 * host its session is of, a second one copies the shares. `protocol/plain-splitter.ts` calls it and says what a share is. What is
 * not plain (a shape that is defined twice, a session id that is not ASCII, an extension, deep nesting) it leaves alone.
 *
 *   memory   | tables, of fixed size | frame | END_BYTES of NO_TOKEN | share | gap | share | gap ... |
 *
 * The memory grows to what the largest frame and its shares took, and is refused more than the build allows it.
 */
import { hashSession, notAscii } from "./session-hash";
import {
  define,
  definitionBytes,
  definitionCount,
  definitionFrom,
  definitionId,
  definitionTo,
  fieldsOf,
  forgetIntegers,
  forgetShapes,
  isDefined,
  isSessionKey,
  lastDefinitionEnd,
  noteInteger,
  sessionFieldOf,
  skipKey,
} from "./shapes";
import {
  END_BYTES,
  GIVE_UP,
  bigEndian16,
  isList,
  isMap,
  listHeadBytes,
  listLength,
  mapHeadBytes,
  mapLength,
  NO_TOKEN,
  tokenAt,
  valueBytes,
} from "./tokens";

export { setTenant, tenant, tenantBytesMax } from "./session-hash";

const EVENTS_MAX: u32 = 10_000;
const PARTITIONS_MAX: u32 = 1_024;
const HOSTS_MAX: u32 = 256;
/** Deeper than any event that the reader takes. */
const LEVELS_MAX: i32 = 16;
const PAGE_BYTES: usize = 0x1_0000;

/** `events` with its head, in the low seven bytes: `a6 65 76 65 6e 74 73`. */
const EVENTS_KEY: u64 = 0x73746e657665a6;
const EVENTS_KEY_MASK: u64 = 0xff_ffff_ffff_ffff;
/** `shapes` with its head. */
const SHAPES_KEY: u64 = 0x736570616873a6;
const KEY_BYTES: usize = 7;
const LIST_32_HEAD_BYTES: usize = 5;

/** The host of each partition: filled by the caller. */
export const hostOfPartition: usize = memory.data(1_024);
export const partitionsMax: u32 = PARTITIONS_MAX;
export const eventsMax: u32 = EVENTS_MAX;

/** Of each event: where it begins, and its host; behind the last one: where that ends. */
const STARTS: usize = memory.data(4 * 10_001);
const HOSTS: usize = memory.data(10_000);

/** Of each host, while the frame is read: how many events it has, and how many bytes they are. */
const HOST_ROWS: usize = memory.data(4 * 256);
const HOST_BYTES: usize = memory.data(4 * 256);
/** While shares are written: where the next bytes and the next row go. */
const HOST_OUT: usize = memory.data(4 * 256);
const HOST_NEXT_ROW: usize = memory.data(4 * 256);

/** The answer: of each share its host, where its bytes begin and end, how many rows it has; then their rows, share by share. */
export const shares: usize = memory.data(16 * 256);
export const rows: usize = memory.data(2 * 10_000);
const SHARE_BYTES: u32 = 16;

const LEFT: usize = memory.data(4 * 17);
let frameEnd: usize = 0;
let eventCount: u32 = 0;
let partitions: u32 = 1;

/** Where a frame of so many bytes is to be written; 0: there is no room for it. */
export function roomFor(bytes: u32): usize {
  return hasMemory(frameAt() + bytes + END_BYTES) ? frameAt() : 0;
}

/** How many shares the frame has; one: its events are all of one host, and are not copied; 0: it is not plain, or they are too long. */
export function split(bytes: u32, partitionCount: u32, sharesBytesMax: u32): u32 {
  const frame = frameAt();
  frameEnd = frame + bytes;
  memory.fill(frameEnd, NO_TOKEN, END_BYTES);
  forgetShapes();
  memory.fill(HOST_ROWS, 0, 4 * HOSTS_MAX);
  memory.fill(HOST_BYTES, 0, 4 * HOSTS_MAX);
  eventCount = 0;
  partitions = partitionCount;
  if (bytes === 0 || readContainer(frame) !== frameEnd || eventCount === 0) return 0;
  const first: u32 = load<u8>(HOSTS);
  if (load<u32>(HOST_ROWS + (first << 2)) === eventCount) {
    store<u32>(shares, first);
    return 1;
  }
  return writeShares(sharesBytesMax);
}

function frameAt(): usize {
  return (__heap_base + 15) & ~15;
}

function hasMemory(end: usize): bool {
  const pages = <i32>((end + PAGE_BYTES - 1) / PAGE_BYTES);
  const more = pages - memory.size();
  return more <= 0 || memory.grow(more) >= 0;
}

/** A map or record with one list `events`. */
function readContainer(frame: usize): usize {
  const token = tokenAt(frame);
  let at: usize;
  let entries: u32;
  // Where the next key of a record is; 0: a map has them before its values.
  let names: usize = 0;
  if (token === 0xd4) {
    at = define(frame, frameEnd);
    if (at === GIVE_UP) return GIVE_UP;
    entries = fieldsOf(tokenAt(frame + 2));
    names = frame + (tokenAt(frame + 3) === 0xdc ? 6 : 4);
  } else {
    if (!isMap(token)) return GIVE_UP;
    at = frame + mapHeadBytes(token);
    entries = mapLength(frame, token);
  }
  for (; entries > 0; entries--) {
    const keyAt: usize = names === 0 ? at : names;
    const afterKey = skipKey(keyAt, frameEnd);
    if (afterKey === GIVE_UP) return GIVE_UP;
    if (names === 0) at = afterKey;
    else names = afterKey;
    at = (load<u64>(keyAt) & EVENTS_KEY_MASK) === EVENTS_KEY ? readEvents(at) : skip(at, LEVELS_MAX);
    if (at === GIVE_UP) return GIVE_UP;
    if (eventCount === 0) forgetIntegers();
  }
  return at;
}

function readEvents(listAt: usize): usize {
  const token = tokenAt(listAt);
  if (!isList(token) || eventCount > 0) return GIVE_UP;
  const count = listLength(listAt, token);
  let at: usize = listAt + listHeadBytes(token);
  if (count === 0 || count > EVENTS_MAX) return GIVE_UP;
  eventCount = count;
  for (let row: u32 = 0; row < count; row++) {
    store<u32>(STARTS + (row << 2), <u32>at);
    const next = readEvent(at, row);
    if (next === GIVE_UP) return GIVE_UP;
    add(HOST_BYTES + ((<u32>load<u8>(HOSTS + row)) << 2), <u32>(next - at));
    at = next;
  }
  store<u32>(STARTS + (count << 2), <u32>at);
  return at;
}

function readEvent(eventAt: usize, row: u32): usize {
  const token = tokenAt(eventAt);
  let at: usize = eventAt + 1;
  let id = token;
  if (token === 0xd4) {
    at = define(eventAt, frameEnd);
    if (at === GIVE_UP) return GIVE_UP;
    id = tokenAt(eventAt + 2);
  } else if (token < 0x40 || token >= 0x80 || !isDefined(token)) return readMapEvent(eventAt, token, row);
  const sessionField = sessionFieldOf(id);
  if (sessionField === 0) return GIVE_UP;
  at = skipMany(at, sessionField - 1, LEVELS_MAX);
  if (at === GIVE_UP) return GIVE_UP;
  at = readSession(at, row);
  return at === GIVE_UP ? GIVE_UP : skipMany(at, fieldsOf(id) - sessionField, LEVELS_MAX);
}

function readMapEvent(eventAt: usize, token: u32, row: u32): usize {
  if (!isMap(token)) return GIVE_UP;
  let at: usize = eventAt + mapHeadBytes(token);
  let found = false;
  for (let left = mapLength(eventAt, token); left > 0; left--) {
    const keyAt = at;
    at = skipKey(at, frameEnd);
    if (at === GIVE_UP) return GIVE_UP;
    if (!isSessionKey(keyAt)) at = skip(at, LEVELS_MAX);
    else if (found) return GIVE_UP;
    else {
      found = true;
      at = readSession(at, row);
    }
    if (at === GIVE_UP) return GIVE_UP;
  }
  return found ? at : GIVE_UP;
}

function readSession(at: usize, row: u32): usize {
  const token = tokenAt(at);
  let from: usize = at + 1;
  let length: u32 = token - 0xa0;
  if (token === 0xd9) {
    from = at + 2;
    length = tokenAt(at + 1);
  } else if (token < 0xa0 || token >= 0xc0) return GIVE_UP;
  const next: usize = from + length;
  if (length === 0 || next > frameEnd) return GIVE_UP;
  const hash = hashSession(from, length);
  if (notAscii !== 0) return GIVE_UP;
  const host: u32 = load<u8>(hostOfPartition + (hash % partitions));
  store<u8>(HOSTS + row, <u8>host);
  add(HOST_ROWS + (host << 2), 1);
  return next;
}

/** Where the value that begins here ends. */
function skip(at: usize, levels: i32): usize {
  const token = tokenAt(at);
  const size = valueBytes(token);
  if (size > 0) return at + size;
  if (token < 0x80) {
    if (isDefined(token)) return skipMany(at + 1, fieldsOf(token), levels - 1);
    noteInteger(token);
    return at + 1;
  }
  if (token === 0xd9) return within(at + 2 + tokenAt(at + 1));
  if (token === 0xda) return within(at + 3 + bigEndian16(at + 1));
  if (isList(token)) return skipMany(at + listHeadBytes(token), listLength(at, token), levels - 1);
  if (isMap(token)) return skipMap(at, token, levels - 1);
  return skipExtension(at, token, levels);
}

function within(at: usize): usize {
  return at <= frameEnd ? at : GIVE_UP;
}

function skipMany(from: usize, count: u32, levels: i32): usize {
  if (levels < 0) return GIVE_UP;
  let at: usize = from;
  let left = count;
  let level = levels;
  while (true) {
    if (left === 0) {
      if (level === levels) return at;
      level++;
      left = load<u32>(LEFT + ((<usize>level) << 2));
      continue;
    }
    left--;
    const token = tokenAt(at);
    const size = valueBytes(token);
    if (size > 0) at += size;
    else if (token === 0xd9) {
      at += 2 + tokenAt(at + 1);
      if (at > frameEnd) return GIVE_UP;
    } else if (token < 0x80 && isDefined(token)) {
      if (level === 0) return GIVE_UP;
      store<u32>(LEFT + ((<usize>level) << 2), left);
      level--;
      left = fieldsOf(token);
      at++;
    } else {
      at = skip(at, level);
      if (at === GIVE_UP) return GIVE_UP;
    }
  }
}

function skipMap(mapAt: usize, token: u32, levels: i32): usize {
  if (levels < 0) return GIVE_UP;
  let at: usize = mapAt + mapHeadBytes(token);
  for (let left = mapLength(mapAt, token); left > 0; left--) {
    at = skipKey(at, frameEnd);
    if (at === GIVE_UP) return GIVE_UP;
    at = skip(at, levels);
    if (at === GIVE_UP) return GIVE_UP;
  }
  return at;
}

/** Timestamps, msgpackr's "undefined", and records; all others have rules of their own. */
function skipExtension(at: usize, token: u32, levels: i32): usize {
  const type = tokenAt(at + 1);
  if (token === 0xd6 && type === 0xff) return at + 6;
  if (token === 0xd7 && type === 0xff) return at + 10;
  if (token !== 0xd4) return GIVE_UP;
  if (type === 0) return at + 3;
  const first = define(at, frameEnd);
  return first === GIVE_UP ? GIVE_UP : skipMany(first, fieldsOf(tokenAt(at + 2)), levels - 1);
}

/** Returns how many there are; 0: there is no room for them, or they are longer than they may be. */
function writeShares(bytesMax: u32): u32 {
  const headBytes: usize = 1 + KEY_BYTES + LIST_32_HEAD_BYTES + shapesBytes();
  let count: u32 = 0;
  let out: usize = frameEnd + END_BYTES;
  let nextRow: usize = rows;
  for (let row: u32 = 0; row < eventCount; row++) {
    const host: u32 = load<u8>(HOSTS + row);
    const hostRows = load<u32>(HOST_ROWS + (host << 2));
    // Hosts that have their share already have no rows left to wait for.
    if (hostRows === 0) continue;
    store<u32>(HOST_ROWS + (host << 2), 0);
    const share: usize = shares + count * SHARE_BYTES;
    store<u32>(share, host);
    store<u32>(share, <u32>out, 4);
    store<u32>(share, hostRows, 12);
    store<u32>(HOST_OUT + (host << 2), <u32>(out + headBytes));
    store<u32>(HOST_NEXT_ROW + (host << 2), <u32>nextRow);
    out += headBytes + load<u32>(HOST_BYTES + (host << 2)) + END_BYTES;
    nextRow += hostRows << 1;
    count++;
  }
  const gaps: usize = (count + 1) * END_BYTES;
  // Many hosts and long shapes: the general way gives each share those that its events use.
  if (out - frameEnd - gaps > bytesMax || !hasMemory(out)) return 0;
  writeHeads(count, headBytes);
  writeRows();
  for (let index: u32 = 0; index < count; index++) {
    const share: usize = shares + index * SHARE_BYTES;
    store<u32>(share, load<u32>(HOST_OUT + (load<u32>(share) << 2)), 8);
  }
  return count;
}

function shapesBytes(): usize {
  return definitionCount === 0 ? 0 : KEY_BYTES + LIST_32_HEAD_BYTES + definitionBytes;
}

/** `{shapes: [every shape, as a record of nils], events: [`: once, then copied. */
function writeHeads(count: u32, headBytes: usize): void {
  const first = load<u32>(shares, 4);
  let at: usize = first;
  store<u8>(at++, definitionCount > 0 ? 0x82 : 0x81);
  if (definitionCount > 0) at = writeShapes(at);
  store<u64>(at, EVENTS_KEY);
  at = writeListHead(at + KEY_BYTES, load<u32>(shares, 12));
  for (let index: u32 = 1; index < count; index++) {
    const share: usize = shares + index * SHARE_BYTES;
    const start: usize = load<u32>(share, 4);
    memory.copy(start, first, headBytes);
    writeListHead(start + headBytes - LIST_32_HEAD_BYTES, load<u32>(share, 12));
  }
}

function writeShapes(out: usize): usize {
  store<u64>(out, SHAPES_KEY);
  let at = writeListHead(out + KEY_BYTES, definitionCount);
  for (let index: u32 = 0; index < definitionCount; index++) {
    const from = definitionFrom(index);
    const bytes = definitionTo(index) - from;
    memory.copy(at, from, bytes);
    at += bytes;
    const fields = fieldsOf(definitionId(index));
    memory.fill(at, 0xc0, fields);
    at += fields;
  }
  return at;
}

function writeListHead(at: usize, count: u32): usize {
  store<u8>(at, 0xdd);
  store<u32>(at + 1, bswap<u32>(count));
  return at + LIST_32_HEAD_BYTES;
}

/** Events that lie side by side and go to the same host are copied in one go. */
function writeRows(): void {
  let row: u32 = 0;
  while (row < eventCount) {
    const host: u32 = load<u8>(HOSTS + row);
    const from: usize = load<u32>(STARTS + (row << 2));
    let nextRow: usize = load<u32>(HOST_NEXT_ROW + (host << 2));
    do {
      store<u16>(nextRow, <u16>row);
      nextRow += 2;
      row++;
    } while (row < eventCount && load<u8>(HOSTS + row) === host);
    store<u32>(HOST_NEXT_ROW + (host << 2), <u32>nextRow);
    const out: usize = HOST_OUT + (host << 2);
    store<u32>(out, <u32>copyRun(load<u32>(out), from, load<u32>(STARTS + (row << 2))));
  }
}

/** Where an event defined a shape there is a reference now. */
function copyRun(out: usize, start: usize, end: usize): usize {
  let from = start;
  if (from < lastDefinitionEnd) {
    for (let index: u32 = 0; index < definitionCount; index++) {
      const definition = definitionFrom(index);
      if (definition < from || definitionTo(index) > end) continue;
      out = copy(out, from, definition);
      store<u8>(out++, <u8>definitionId(index));
      from = definitionTo(index);
    }
  }
  return copy(out, from, end);
}

/** Eight bytes at a time, up to seven too many: what is behind a share is written later, or is its gap. */
function copy(out: usize, from: usize, end: usize): usize {
  const bytes = end - from;
  memory.copy(out, from, bytes);
  return out + bytes;
}

function add(at: usize, more: u32): void {
  store<u32>(at, load<u32>(at) + more);
}
