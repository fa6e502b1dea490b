/**
 * The record shapes that a frame defines, by the low bits of their ids. An integer 64-127 reads as a record of a shape once that
 * is defined: a frame that has one before the definition, or that defines an id twice, is not plain.
 */
import { bigEndian16, GIVE_UP, tokenAt } from "./tokens";

const SHAPES = 64;
const KEYS_MAX: u32 = 256;
const EXTENSION: u32 = 0xd4;
const EXTENSION_RECORD: u32 = 0x72;

/** `sessionId` with its head: `a9 73 65 73 73 69 6f 6e`, `49 64`. */
const SESSION_KEY: u64 = 0x6e6f6973736573a9;
const SESSION_KEY_END: u16 = 0x6449;

/** Of each id: how many fields, and which of them is `sessionId`, from 1; 0: none. */
const FIELDS: usize = memory.data(SHAPES * 4);
const SESSION_FIELDS: usize = memory.data(SHAPES * 4);
/** A bit for each id that is defined, and for each that was met as an integer. */
let defined: u64 = 0;
let integers: u64 = 0;

/** Definitions in the order of the frame: `from` is its `d4`, `to` its first value. */
const DEFINITION_BYTES: u32 = 12;
const DEFINITIONS: usize = memory.data(SHAPES * 12);
export let definitionCount: u32 = 0;
/** Bytes of all definitions, each with a nil for every field. */
export let definitionBytes: u32 = 0;
/** Where the last one ends. */
export let lastDefinitionEnd: usize = 0;

export function forgetShapes(): void {
  defined = 0;
  integers = 0;
  definitionCount = 0;
  definitionBytes = 0;
  lastDefinitionEnd = 0;
}

export function isDefined(id: u32): bool {
  return ((defined >> (id & 63)) & 1) !== 0;
}

export function fieldsOf(id: u32): u32 {
  return load<u32>(FIELDS + ((id & 63) << 2));
}

export function sessionFieldOf(id: u32): u32 {
  return load<u32>(SESSION_FIELDS + ((id & 63) << 2));
}

export function noteInteger(token: u32): void {
  integers |= (<u64>1) << (token & 63);
}

/** What stands beside the events is in no share: a `seq` of 64 harms none of them. */
export function forgetIntegers(): void {
  integers = 0;
}

export function definitionFrom(index: u32): usize {
  return load<u32>(DEFINITIONS + index * DEFINITION_BYTES);
}

export function definitionTo(index: u32): usize {
  return load<u32>(DEFINITIONS + index * DEFINITION_BYTES, 4);
}

export function definitionId(index: u32): u32 {
  return load<u32>(DEFINITIONS + index * DEFINITION_BYTES, 8);
}

/** Takes the definition that begins here, and gives the place of its first value. */
export function define(at: usize, end: usize): usize {
  const id = tokenAt(at + 2);
  if (tokenAt(at) !== EXTENSION || tokenAt(at + 1) !== EXTENSION_RECORD || id < 0x40 || id >= 0x80) return GIVE_UP;
  if ((((defined | integers) >> (id & 63)) & 1) !== 0) return GIVE_UP;
  const list = tokenAt(at + 3);
  let fields: u32 = list - 0x90;
  if (list === 0xdc) fields = bigEndian16(at + 4);
  else if (list < 0x90 || list >= 0xa0) return GIVE_UP;
  if (fields > KEYS_MAX) return GIVE_UP;
  let to: usize = at + (list === 0xdc ? 6 : 4);
  let sessionField: u32 = 0;
  for (let field: u32 = 1; field <= fields; field++) {
    if (isSessionKey(to)) {
      if (sessionField > 0) return GIVE_UP;
      sessionField = field;
    }
    to = skipKey(to, end);
    if (to === GIVE_UP) return GIVE_UP;
  }
  if (to > end) return GIVE_UP;
  note(id, fields, sessionField);
  noteDefinition(at, to, id, fields);
  return to;
}

function note(id: u32, fields: u32, sessionField: u32): void {
  defined |= (<u64>1) << (id & 63);
  store<u32>(FIELDS + ((id & 63) << 2), fields);
  store<u32>(SESSION_FIELDS + ((id & 63) << 2), sessionField);
}

function noteDefinition(from: usize, to: usize, id: u32, fields: u32): void {
  const entry: usize = DEFINITIONS + definitionCount * DEFINITION_BYTES;
  store<u32>(entry, <u32>from);
  store<u32>(entry, <u32>to, 4);
  store<u32>(entry, id, 8);
  definitionCount++;
  definitionBytes += <u32>(to - from) + fields;
  lastDefinitionEnd = to;
}

export function isSessionKey(at: usize): bool {
  return load<u64>(at) === SESSION_KEY && load<u16>(at, 8) === SESSION_KEY_END;
}

/** Passes a key; one with a longer head than it needs could be `sessionId` or `events` under another spelling. */
export function skipKey(at: usize, end: usize): usize {
  const token = tokenAt(at);
  if (token >= 0xa0 && token < 0xc0) return at + token - 0x9f;
  if (token !== 0xd9) return GIVE_UP;
  const length = tokenAt(at + 1);
  const next: usize = at + 2 + length;
  return length > 31 && next <= end ? next : GIVE_UP;
}
