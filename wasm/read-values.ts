/**
 * The values of an event's fields: passed over, or kept where somebody wants them. They must be plain: maps and records with text
 * keys, well-formed texts where they are wanted, exact numbers, booleans, nil, lists, within the limits.
 */
import { CELL_FALSE, CELL_NULL, CELL_TRUE, FIRST_WANTED_COLUMN, keepCell, keepNumber, row } from "./read-columns";
import { depthMax, keysMax } from "./read-memory";
import { define, fieldAt, fieldsOf, isDefined, keyBytesOf, nodeOf, planAt } from "./read-plans";
import { keepWantedText } from "./read-texts";
import { bigEndian32, bigEndian64 } from "./read-times";
import {
  ANY,
  bitOf,
  childOf,
  columnOf,
  ELEMENT,
  ELEMENT_ROLE,
  hasChildren,
  hasRequired,
  OPTIONAL_MAP,
  OPTIONAL_TEXT,
  roleOf,
  TEXT,
  UNWANTED,
} from "./read-tree";
import { bigEndian16, GIVE_UP, isList, isMap, listHeadBytes, listLength, mapHeadBytes, mapLength, tokenAt } from "./tokens";

const EXTENSION_RECORD: u32 = 0x72;
/** 32 KiB of JSON, of which a byte of msgpack makes at most six. */
const VALUE_BYTES_MAX: usize = 5461;
const SAFE_MAX: f64 = 9007199254740991;

let end: usize = 0;
let keyCount: u32 = 0;
let keyBytes: u32 = 0;

export function openValues(frameEnd: usize): void {
  end = frameEnd;
}

/** The text that `textAt` found. */
export let textFrom: usize = 0;
export let textLength: u32 = 0;

/** Finds the text that stands here, all of it within the frame, and gives where it ends. */
export function textAt(at: usize): usize {
  const token = tokenAt(at);
  if (token >= 0xa0 && token < 0xc0) {
    textFrom = at + 1;
    textLength = token - 0xa0;
  } else if (token === 0xd9) {
    textFrom = at + 2;
    textLength = tokenAt(at + 1);
  } else if (token === 0xda) {
    textFrom = at + 3;
    textLength = bigEndian16(at + 1);
  } else return GIVE_UP;
  const next: usize = textFrom + textLength;
  return next <= end ? next : GIVE_UP;
}

/** Finds a map's key. One that begins with a byte order mark is another key to some decoders. */
export function keyAt(at: usize): usize {
  const next = textAt(at);
  return next !== GIVE_UP && (textLength === 0 || tokenAt(textFrom) < 0x80) ? next : GIVE_UP;
}

/** Whether a key of 1 to 31 bytes is one that `keyAt` would find; where it goes on past the end, no value follows. */
export function isShortKey(from: usize, length: u32): bool {
  return length - 1 < 31 && tokenAt(from) < 0x80;
}

export function isRecordDefinition(at: usize): bool {
  return tokenAt(at) === 0xd4 && tokenAt(at + 1) === EXTENSION_RECORD;
}

/** Takes the definition that begins here. */
export function defineAt(at: usize): usize {
  return define(at, end);
}

/** The extension that encoders write for `undefined`: the same as an absent field. */
export function undefinedAt(at: usize): usize {
  return tokenAt(at) === 0xd4 && tokenAt(at + 1) === 0 ? at + 3 : GIVE_UP;
}

/** A field whose values must be plain: `properties`, `context` or an unknown one. */
export function readField(at: usize, node: usize): usize {
  keyCount = 0;
  keyBytes = 0;
  const next = readValue(at, node, 0);
  return next !== GIVE_UP && next - at + keyBytes <= VALUE_BYTES_MAX ? next : GIVE_UP;
}

/** `depth`: levels of maps and lists around the value. */
function readValue(at: usize, node: usize, depth: u32): usize {
  const token = tokenAt(at);
  if (token >= 0xa0 && token < 0xc0) {
    const next: usize = at + token - 0x9f;
    if (roleOf(node) > OPTIONAL_TEXT || next > end) return GIVE_UP;
    return columnOf(node) < 0 || keepAt(node, at, at + 1, token - 0xa0) ? next : GIVE_UP;
  }
  if (token < 0x40) return keepInteger(at + 1, node, token);
  if (token >= 0xe0) return keepInteger(at + 1, node, <i32>token - 0x100);
  if (token < 0x80) return isDefined(token) ? readRecord(at + 1, token, node, depth + 1) : keepInteger(at + 1, node, token);
  if (isMap(token)) return readMap(at, token, node, depth + 1);
  if (isList(token)) return readList(at, token, node, depth + 1);
  if (token === 0xd9 || token === 0xda) return readLongText(at, node);
  if (token !== 0xd4) return readScalar(at, token, node);
  if (isRecordDefinition(at)) {
    const first = define(at, end);
    return first === GIVE_UP ? GIVE_UP : readRecord(first, tokenAt(at + 2), node, depth + 1);
  }
  const role = roleOf(node);
  return role === ANY || role === OPTIONAL_TEXT || role === OPTIONAL_MAP ? undefinedAt(at) : GIVE_UP;
}

function isMapRole(role: u32): bool {
  return role !== TEXT && role !== OPTIONAL_TEXT;
}

function readRecord(from: usize, id: u32, node: usize, depth: u32): usize {
  const fields = fieldsOf(id);
  keyCount += fields;
  keyBytes += keyBytesOf(id);
  if (depth > depthMax || keyCount > keysMax || !isMapRole(roleOf(node))) return GIVE_UP;
  if (!hasChildren(node)) return readMany(from, fields, UNWANTED, depth);
  const plan = planAt(node, id);
  if (plan === GIVE_UP) return GIVE_UP;
  let at = from;
  for (let field: u32 = 0; field < fields; field++) {
    const token = tokenAt(at);
    const entry = fieldAt(plan, field);
    // Short texts that nobody wants are most of what events hold.
    if (token < 0xc0 && token >= (entry & 0xff)) at += token - 0x9f;
    else {
      at = readValue(at, nodeOf(entry), depth);
      if (at === GIVE_UP) return GIVE_UP;
    }
  }
  return at;
}

/** Values that nobody wants. */
function readMany(from: usize, count: u32, node: usize, depth: u32): usize {
  let at = from;
  for (let left = count; left > 0; left--) {
    const token = tokenAt(at);
    if (token >= 0xa0 && token < 0xc0) at += token - 0x9f;
    else {
      at = readValue(at, node, depth);
      if (at === GIVE_UP) return GIVE_UP;
    }
  }
  return at;
}

function readMap(mapAt: usize, token: u32, node: usize, depth: u32): usize {
  const fields = mapLength(mapAt, token);
  keyCount += fields;
  if (depth > depthMax || keyCount > keysMax || !isMapRole(roleOf(node))) return GIVE_UP;
  const isNamed = hasChildren(node);
  let seen: u32 = 0;
  let at: usize = mapAt + mapHeadBytes(token);
  for (let left = fields; left > 0; left--) {
    let from: usize = at + 1;
    let length = tokenAt(at) - 0xa0;
    if (isShortKey(from, length)) at = from + length;
    else {
      at = keyAt(at);
      if (at === GIVE_UP) return GIVE_UP;
      from = textFrom;
      length = textLength;
    }
    const field = isNamed ? childOf(node, from, length) : UNWANTED;
    const bit = bitOf(field);
    if ((seen & bit) !== 0) return GIVE_UP;
    seen |= bit;
    at = readValue(at, field, depth);
    if (at === GIVE_UP) return GIVE_UP;
  }
  return hasRequired(node, seen) ? at : GIVE_UP;
}

function readList(listAt: usize, token: u32, node: usize, depth: u32): usize {
  // A path may lead into a list, by an index or its length.
  if (depth > depthMax || roleOf(node) > ELEMENT_ROLE || hasChildren(node)) return GIVE_UP;
  return readMany(listAt + listHeadBytes(token), listLength(listAt, token), ELEMENT, depth);
}

function readLongText(at: usize, node: usize): usize {
  if (roleOf(node) > OPTIONAL_TEXT) return GIVE_UP;
  const next = textAt(at);
  if (next === GIVE_UP || columnOf(node) < 0) return next;
  return keepAt(node, at, textFrom, textLength) ? next : GIVE_UP;
}

/** Keeps a text that is wanted; false: it is not well-formed. */
export function keepAt(node: usize, at: usize, from: usize, length: u32): bool {
  return keepWantedText(FIRST_WANTED_COLUMN + <u32>columnOf(node), row, at, from, length);
}

function readScalar(at: usize, token: u32, node: usize): usize {
  switch (token) {
    case 0xc0:
      return keepSimple(at + 1, node, CELL_NULL);
    case 0xc2:
      return keepSimple(at + 1, node, CELL_FALSE);
    case 0xc3:
      return keepSimple(at + 1, node, CELL_TRUE);
    case 0xca:
      return keepNumberOf(at + 5, node, <f64>reinterpret<f32>(bigEndian32(at + 1)));
    case 0xcb:
      return keepNumberOf(at + 9, node, reinterpret<f64>(bigEndian64(at + 1)));
    case 0xcc:
      return keepNumberOf(at + 2, node, <f64>tokenAt(at + 1));
    case 0xcd:
      return keepNumberOf(at + 3, node, <f64>bigEndian16(at + 1));
    case 0xce:
      return keepNumberOf(at + 5, node, <f64>bigEndian32(at + 1));
    case 0xcf:
      return keepNumberOf(at + 9, node, <f64>bigEndian64(at + 1));
    case 0xd0:
      return keepNumberOf(at + 2, node, <f64>load<i8>(at + 1));
    case 0xd1:
      return keepNumberOf(at + 3, node, <f64>(<i16>bigEndian16(at + 1)));
    case 0xd2:
      return keepNumberOf(at + 5, node, <f64>(<i32>bigEndian32(at + 1)));
    case 0xd3:
      return keepNumberOf(at + 9, node, <f64>(<i64>bigEndian64(at + 1)));
    default:
      return GIVE_UP;
  }
}

function keepSimple(next: usize, node: usize, cell: i32): usize {
  if (next > end || roleOf(node) > ELEMENT_ROLE) return GIVE_UP;
  if (columnOf(node) >= 0) keepCell(columnOf(node), cell);
  return next;
}

function keepInteger(next: usize, node: usize, value: i32): usize {
  if (roleOf(node) > ELEMENT_ROLE) return GIVE_UP;
  if (columnOf(node) >= 0) keepNumber(columnOf(node), <f64>value);
  return next;
}

/** Integers that a double cannot hold, NaN and infinities are not plain. */
function keepNumberOf(next: usize, node: usize, value: f64): usize {
  // The negation also catches NaN.
  if (next > end || roleOf(node) > ELEMENT_ROLE || !(abs<f64>(value) <= SAFE_MAX)) return GIVE_UP;
  if (columnOf(node) >= 0) keepNumber(columnOf(node), value);
  return next;
}
