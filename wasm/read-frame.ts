/**
 * The fast way from a msgpack frame to columns as WebAssembly: one pass over the bytes, which reads an event only when it is plain,
 * which is to say surely valid and without anything unusual. `protocol/plain-reader.ts` calls it, says what is plain, and makes
 * strings of the texts that are new.
 *
 * An event that is not plain stops the reading (ODD): the caller finds where it ends and goes on behind it. Nothing is believed of
 * what an earlier frame has left in the memory, as in `split-frame.ts`.
 */
import {
  cellsAt,
  columnsAt,
  count,
  keepEventId,
  keepPartition,
  keepStart,
  keepTime,
  nextRow,
  openColumns,
  row,
  SESSION_COLUMN,
  TYPE_COLUMN,
  USER_COLUMN,
} from "./read-columns";
import { eventsMax, frameAt, identifierBytesMax } from "./read-memory";
import {
  cutDefinitions,
  definitionCount,
  fieldAt,
  fieldsOf,
  firstKeyOf,
  isDefined,
  keyHeadBytes,
  keyLength,
  makeRoomForPlans,
  nodeOf,
  openShapes,
  planAt,
} from "./read-plans";
import {
  hashText,
  idPlace,
  isAscii,
  isUtf8,
  keepId,
  keepWantedText,
  newTextCount,
  numbersEnd,
  openTexts,
  wasAscii,
} from "./read-texts";
import { openTimes, readTime, unusualTimes } from "./read-times";
import {
  bitOf,
  childOf,
  columnOf,
  EVENT_ID,
  EVENT_TYPE,
  hasRequired,
  ID,
  LABEL,
  roleOf,
  ROOT,
  SESSION_ID,
  TIMESTAMP,
  UNWANTED,
  USER_ID,
} from "./read-tree";
import {
  defineAt,
  isRecordDefinition,
  isShortKey,
  keepAt,
  keyAt,
  openValues,
  readField,
  textAt,
  textFrom,
  textLength,
  undefinedAt,
} from "./read-values";
import { hashSession, notAscii } from "./session-hash";
import {
  END_BYTES,
  GIVE_UP,
  isList,
  isMap,
  listHeadBytes,
  listLength,
  mapHeadBytes,
  mapLength,
  NO_TOKEN,
  tokenAt,
} from "./tokens";

export {
  columnsMax,
  definitionsAt,
  depthMax,
  eventsMax,
  frameAt,
  hasRoomFor,
  identifierBytesMax,
  innerNodesMax,
  keysMax,
  newTextsAt,
  treeAt,
  treeBytesMax,
  valuesMax,
} from "./read-memory";
export { forgetTexts, idsEvicted, textsEvicted } from "./read-texts";
export { setTenant, tenant, tenantBytesMax } from "./session-hash";

const FAILED: u32 = 0;
const DONE: u32 = 1;
const ODD: u32 = 2;

/** `even`, `ts`. */
const EVENTS_KEY: u32 = 0x6e657665;
const EVENTS_KEY_END: u16 = 0x7374;
const EVENTS_KEY_BYTES: u32 = 6;
/** A broken byte is decoded to U+FFFD, three bytes: labels up to this length are short enough whatever is in them. */
const LABEL_BYTES_SURELY_SHORT: u32 = 85;

let frameEnd: usize = 0;
let wantedColumns: u32 = 0;
let partitionCount: u32 = 1;
/** 0: the count is not a power of two. */
let partitionMask: u32 = 0;

let hasEvents = false;
/** What is left of the container behind the value that is read, and where the next key of a record is; 0: a map has them in front. */
let entriesLeft: u32 = 0;
let names: usize = 0;

/** Rows whose ids are looked up at once: what is fetched for them stays in the fastest cache. */
const ROWS_AT_ONCE: u32 = 128;
/** Of each such row, of sessions and then of users: where the value is, where the text is, its length (0: there is none), its hash. */
const PENDING: usize = memory.data(2 * 128 * 16);
const USERS: usize = 128 * 16;
/** Kept so that no compiler takes the fetching away. */
export let fetched: u32 = 0;

/** Where the event stands that is not plain. */
let oddAt: u32 = 0;

/**
 * What has come of `read` or `resume`, in memory: an exported variable takes JavaScript fifty times as long to look at. Words: rows of
 * the frame, rows read, where the odd event is, where columns and cells are, definitions, new texts, times left, the first number
 * that was not given.
 */
export const answerAt: usize = memory.data(4 * 9);

/** Reads the frame that was written to `frameAt`, for the tree that was written to `treeAt`. FAILED, DONE or ODD. */
export function read(
  bytes: u32,
  wanted: u32,
  partitions: u32,
  earliestMs: f64,
  latestMs: f64,
  firstNumber: u32,
  endOfNumbers: u32,
): u32 {
  return answer(readFrame(bytes, wanted, partitions, earliestMs, latestMs, firstNumber, endOfNumbers));
}

function answer(state: u32): u32 {
  store<u32>(answerAt, hasEvents ? count : 0);
  store<u32>(answerAt, row, 4);
  store<u32>(answerAt, oddAt, 8);
  store<u32>(answerAt, <u32>columnsAt, 12);
  store<u32>(answerAt, <u32>cellsAt, 16);
  store<u32>(answerAt, definitionCount, 20);
  store<u32>(answerAt, newTextCount, 24);
  store<u32>(answerAt, unusualTimes, 28);
  store<u32>(answerAt, numbersEnd(), 32);
  return state;
}

function readFrame(
  bytes: u32,
  wanted: u32,
  partitions: u32,
  earliestMs: f64,
  latestMs: f64,
  firstNumber: u32,
  endOfNumbers: u32,
): u32 {
  frameEnd = frameAt + bytes;
  memory.fill(frameEnd, NO_TOKEN, END_BYTES);
  wantedColumns = wanted;
  partitionCount = partitions;
  partitionMask = (partitions & (partitions - 1)) === 0 ? partitions - 1 : 0;
  hasEvents = false;
  entriesLeft = 0;
  names = 0;
  openValues(frameEnd);
  openShapes();
  openTimes(earliestMs, latestMs);
  openTexts(firstNumber, endOfNumbers);
  const token = tokenAt(frameAt);
  if (isList(token)) return readEvents(frameAt);
  if (isMap(token)) {
    entriesLeft = mapLength(frameAt, token);
    return readEntries(frameAt + mapHeadBytes(token));
  }
  if (!isRecordDefinition(frameAt)) return FAILED;
  const first = defineAt(frameAt);
  if (first === GIVE_UP) return FAILED;
  const id = tokenAt(frameAt + 2);
  entriesLeft = fieldsOf(id);
  names = firstKeyOf(id);
  return readEntries(first);
}

/** Goes on behind an odd event. */
export function resume(at: u32): u32 {
  closeRow();
  return answer(readRows(frameAt + at));
}

/** Takes a definition that stands within an odd event; false: it is not plain. */
export function takeDefinition(at: u32): bool {
  return isRecordDefinition(frameAt + at) && defineAt(frameAt + at) !== GIVE_UP;
}

function readEntries(from: usize): u32 {
  let at = from;
  while (entriesLeft > 0) {
    entriesLeft--;
    let isEvents: bool;
    if (names === 0) {
      at = keyAt(at);
      if (at === GIVE_UP) return FAILED;
      isEvents = isEventsKey(textFrom, textLength);
    } else {
      const key: usize = names + keyHeadBytes(names);
      const length = keyLength(names);
      isEvents = isEventsKey(key, length);
      names = key + length;
    }
    if (isEvents) return readEvents(at);
    at = readField(at, UNWANTED);
    if (at === GIVE_UP) return FAILED;
  }
  return hasEvents && at === frameEnd ? DONE : FAILED;
}

function isEventsKey(from: usize, length: u32): bool {
  return length === EVENTS_KEY_BYTES && load<u32>(from) === EVENTS_KEY && load<u16>(from, 4) === EVENTS_KEY_END;
}

function readEvents(listAt: usize): u32 {
  const token = tokenAt(listAt);
  if (!isList(token) || hasEvents) return FAILED;
  const events = listLength(listAt, token);
  const first: usize = listAt + listHeadBytes(token);
  if (events > eventsMax || first > frameEnd || events > <u32>(frameEnd - first)) return FAILED;
  hasEvents = true;
  if (!openColumns(frameEnd + END_BYTES, events, wantedColumns)) return FAILED;
  memory.fill(PENDING, 0, 2 * USERS);
  return readRows(first);
}

function readRows(from: usize): u32 {
  let at = from;
  while (row < count) {
    makeRoomForPlans();
    keepStart(at);
    const definitionsBefore = definitionCount;
    const next = readEvent(at);
    if (next === GIVE_UP) {
      cutDefinitions(definitionsBefore);
      forgetRow();
      oddAt = <u32>(at - frameAt);
      return ODD;
    }
    at = next;
    closeRow();
  }
  return readEntries(at);
}

/** Nothing is left of it that anybody would take for a part of the event. */
function forgetRow(): void {
  keepTime(0);
  const pending = pendingOf(row);
  store<u32>(pending, 0, 8);
  store<u32>(pending + USERS, 0, 8);
}

function closeRow(): void {
  nextRow();
  if ((row & (ROWS_AT_ONCE - 1)) === 0) resolve(row - ROWS_AT_ONCE);
  else if (row === count) resolve(row & ~(ROWS_AT_ONCE - 1));
}

function pendingOf(at: u32): usize {
  return PENDING + ((at & (ROWS_AT_ONCE - 1)) << 4);
}

function addPending(pending: usize, at: usize, from: usize, length: u32, hash: u32): void {
  store<u32>(pending, <u32>at);
  store<u32>(pending, <u32>from, 4);
  store<u32>(pending, length, 8);
  store<u32>(pending, hash, 12);
}

/**
 * Looks up the ids of the rows from `first` on. The table of an interner that knows tens of thousands of ids lies in memory that
 * is slow to reach: looking up many at once lets the processor wait for all of them together.
 */
function resolve(first: u32): void {
  resolveColumn(PENDING, SESSION_COLUMN, first);
  resolveColumn(PENDING + USERS, USER_COLUMN, first);
}

function resolveColumn(pending: usize, column: u32, first: u32): void {
  const rows = row - first;
  let seen: u32 = 0;
  for (let at: u32 = 0; at < rows; at++) seen |= idPlace(load<u32>(pending + (at << 4), 12));
  fetched = seen;
  for (let at: u32 = 0; at < rows; at++) {
    const entry: usize = pending + (at << 4);
    const length = load<u32>(entry, 8);
    if (length === 0) continue;
    store<u32>(entry, 0, 8);
    keepId(column, first + at, load<u32>(entry), load<u32>(entry, 4), length, load<u32>(entry, 12));
  }
}

function readEvent(eventAt: usize): usize {
  const token = tokenAt(eventAt);
  if (isMap(token)) return readMapEvent(eventAt, token);
  let at: usize = eventAt + 1;
  let id = token;
  if (isRecordDefinition(eventAt)) {
    at = defineAt(eventAt);
    if (at === GIVE_UP) return GIVE_UP;
    id = tokenAt(eventAt + 2);
  } else if (token < 0x40 || token >= 0x80 || !isDefined(token)) return GIVE_UP;
  const fields = fieldsOf(id);
  const plan = planAt(ROOT, id);
  if (plan === GIVE_UP) return GIVE_UP;
  for (let field: u32 = 0; field < fields; field++) {
    const next = tokenAt(at);
    const entry = fieldAt(plan, field);
    if (next < 0xc0 && next >= (entry & 0xff)) at += next - 0x9f;
    else {
      at = readEventField(at, nodeOf(entry));
      if (at === GIVE_UP) return GIVE_UP;
    }
  }
  return at;
}

function readMapEvent(eventAt: usize, token: u32): usize {
  let seen: u32 = 0;
  let at: usize = eventAt + mapHeadBytes(token);
  for (let left = mapLength(eventAt, token); left > 0; left--) {
    let from: usize = at + 1;
    let length = tokenAt(at) - 0xa0;
    if (isShortKey(from, length)) at = from + length;
    else {
      at = keyAt(at);
      if (at === GIVE_UP) return GIVE_UP;
      from = textFrom;
      length = textLength;
    }
    const field = childOf(ROOT, from, length);
    const bit = bitOf(field);
    if ((seen & bit) !== 0) return GIVE_UP;
    seen |= bit;
    at = readEventField(at, field);
    if (at === GIVE_UP) return GIVE_UP;
  }
  return hasRequired(ROOT, seen) ? at : GIVE_UP;
}

function readEventField(at: usize, field: usize): usize {
  switch (roleOf(field)) {
    case EVENT_ID:
      return readEventId(at);
    case SESSION_ID:
      return readSessionId(at);
    case USER_ID:
      return readUserId(at);
    case EVENT_TYPE:
      return readEventType(at);
    case LABEL:
      return readLabel(at, field);
    case TIMESTAMP:
      return readTime(at, frameEnd);
    case ID:
      // Nothing is known of it that would make it surely valid.
      return GIVE_UP;
    default:
      return readField(at, field);
  }
}

/** A text of 1 to 256 bytes. */
function labelAt(at: usize): usize {
  const next = textAt(at);
  return next !== GIVE_UP && textLength > 0 && textLength <= identifierBytesMax ? next : GIVE_UP;
}

function readEventId(at: usize): usize {
  const next = labelAt(at);
  if (next === GIVE_UP || !isAscii(textFrom, textLength)) return GIVE_UP;
  keepEventId(textFrom, textLength);
  return next;
}

function readSessionId(at: usize): usize {
  const next = labelAt(at);
  if (next === GIVE_UP) return GIVE_UP;
  const hash = hashSession(textFrom, textLength);
  if (notAscii !== 0) return GIVE_UP;
  addPending(pendingOf(row), at, textFrom, textLength, hash);
  // The same for powers of two, without a division.
  keepPartition(partitionMask !== 0 ? hash & partitionMask : hash % partitionCount);
  return next;
}

function readUserId(at: usize): usize {
  if (tokenAt(at) === 0xd4) return undefinedAt(at);
  const next = labelAt(at);
  if (next === GIVE_UP) return GIVE_UP;
  const hash = hashText(textFrom, textLength);
  if (!wasAscii()) return GIVE_UP;
  addPending(pendingOf(row) + USERS, at, textFrom, textLength, hash);
  return next;
}

function readEventType(at: usize): usize {
  const next = labelAt(at);
  return next !== GIVE_UP && keepWantedText(TYPE_COLUMN, row, at, textFrom, textLength) ? next : GIVE_UP;
}

function readLabel(at: usize, field: usize): usize {
  const next = labelAt(at);
  if (next === GIVE_UP) return GIVE_UP;
  if (columnOf(field) >= 0) return keepAt(field, at, textFrom, textLength) ? next : GIVE_UP;
  return textLength <= LABEL_BYTES_SURELY_SHORT || isUtf8(textFrom, textLength) ? next : GIVE_UP;
}
