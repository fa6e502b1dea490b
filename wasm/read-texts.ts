/**
 * Texts that were seen before: a text gives the number of the JavaScript string that stands for it, its number and its hash
 * (`protocol/text-numbers.ts`, `protocol/hash64.ts`), without a string being made. JavaScript makes one for each new text.
 *
 * Set-associative tables, one for ids and one for all others: a text has four places, and drives out what stands in one of them
 * when all are taken. So they are bounded whatever is sent, and nothing but speed depends on what is in them. The number of a
 * driven out string is free from the next frame on: the cells of this one may still have it.
 */
import { CELL_EMPTY, keepHash, keepText } from "./read-columns";
import {
  FIRST_VALUE,
  FREE_VALUES_AT,
  FREE_VALUES_MASK,
  frameAt,
  IDS,
  IDS_AT,
  NEW_TEXT_BYTES,
  NEW_TEXTS_MAX,
  newTextsAt,
  TEXTS,
  TEXTS_AT,
  valuesMax,
} from "./read-memory";

/** A place: length (0: it is empty), hash, value, number, the 64-bit hash; then the text. */
const VALUE: usize = 8;
const NUMBER: usize = 12;
const HASH64: usize = 16;
const TEXT: usize = 24;
const TEXT_SHIFT: u32 = 7;
const TEXT_BYTES_MAX: u32 = 104;
const ID_SHIFT: u32 = 6;
const ID_BYTES_MAX: u32 = 40;
const WAYS: u32 = 4;

const NON_ASCII: u64 = 0x8080808080808080;

/** Texts that others have driven out. */
export let textsEvicted: u32 = 0;
export let idsEvicted: u32 = 0;
export let newTextCount: u32 = 0;

let firstFree: u32 = 0;
let endOfFree: u32 = 0;
let nextNumber: u32 = 0;
let endOfNumbers: u32 = 0;
/** Bits that are set when a byte of the text hashed last was not ASCII. */
let seen: u64 = 0;

forgetTexts();

/** Forgets all texts. */
export function forgetTexts(): void {
  memory.fill(TEXTS_AT, 0, TEXTS << TEXT_SHIFT);
  memory.fill(IDS_AT, 0, IDS << ID_SHIFT);
  firstFree = 0;
  endOfFree = valuesMax - FIRST_VALUE;
  for (let at: u32 = 0; at < endOfFree; at++) store<u32>(FREE_VALUES_AT + (at << 2), FIRST_VALUE + at);
}

/** Begins a frame. New texts get the numbers from `first` to before `end`, then none. */
export function openTexts(first: u32, end: u32): void {
  newTextCount = 0;
  nextNumber = first;
  endOfNumbers = end;
}

/** The first number that was not given. */
export function numbersEnd(): u32 {
  return nextNumber;
}

export function isAscii(from: usize, length: u32): bool {
  const end = from + length;
  let all: u64 = 0;
  let at = from;
  for (; at + 8 <= end; at += 8) all |= load<u64>(at);
  if (at < end) all |= lowBytes(load<u64>(at), <u32>(end - at));
  return (all & NON_ASCII) === 0;
}

export function wasAscii(): bool {
  return (seen & NON_ASCII) === 0;
}

export function hashText(from: usize, length: u32): u32 {
  const end = from + length;
  let at = from;
  let all: u64 = 0;
  let hash: u64 = length;
  for (; at + 8 <= end; at += 8) {
    const word = load<u64>(at);
    all |= word;
    hash = mix(hash, word);
  }
  if (at < end) {
    const word = lowBytes(load<u64>(at), <u32>(end - at));
    all |= word;
    hash = mix(hash, word);
  }
  seen = all;
  hash ^= hash >> 29;
  hash *= 0xbf58476d1ce4e5b9;
  return <u32>(hash >> 32);
}

function mix(hash: u64, word: u64): u64 {
  return rotl<u64>((hash ^ word) * 0x9e3779b97f4a7c15, 27);
}

/** The first 1 to 7 bytes. */
function lowBytes(word: u64, bytes: u32): u64 {
  return word & (u64.MAX_VALUE >> <u64>((8 - bytes) << 3));
}

/** Keeps the wanted text that begins at `from`, its head at `at`, in the row that is read; false: it is not well-formed. */
export function keepWantedText(column: u32, row: u32, at: usize, from: usize, length: u32): bool {
  if (length === 0) {
    keepText(column, row, CELL_EMPTY, 0);
    return true;
  }
  const hash = hashText(from, length);
  if (length <= TEXT_BYTES_MAX) {
    const place = placeOf(TEXTS_AT, TEXTS - 1, TEXT_SHIFT, from, length, hash);
    if (place !== 0) {
      keepText(column, row, load<i32>(place, VALUE), load<u32>(place, NUMBER));
      return true;
    }
  }
  const isAscii = wasAscii();
  if (!isAscii && !isUtf8(from, length)) return false;
  if (length <= TEXT_BYTES_MAX && canKeep()) {
    const place = keep(TEXTS_AT, TEXTS - 1, TEXT_SHIFT, from, length, hash, isAscii);
    keepText(column, row, load<i32>(place, VALUE), load<u32>(place, NUMBER));
  } else keepText(column, row, -1 - <i32>(at - frameAt), 0);
  return true;
}

/** Keeps an id of ASCII, at least one byte long, with its hash. */
export function keepId(column: u32, row: u32, at: usize, from: usize, length: u32, hash: u32): void {
  let place: usize = 0;
  if (length <= ID_BYTES_MAX) {
    place = placeOf(IDS_AT, IDS - 1, ID_SHIFT, from, length, hash);
    if (place === 0 && canKeep()) place = keep(IDS_AT, IDS - 1, ID_SHIFT, from, length, hash, true);
  }
  if (place === 0) {
    keepText(column, row, -1 - <i32>(at - frameAt), 0);
    return;
  }
  const number = load<u32>(place, NUMBER);
  keepText(column, row, load<i32>(place, VALUE), number);
  if (number !== 0) keepHash(column, row, load<u64>(place, HASH64));
}

/** What stands in the place where an id of this hash is looked for first: touched early, it is there when it is needed. */
export function idPlace(hash: u32): u32 {
  return load<u32>(IDS_AT + ((hash & (IDS - 1)) << ID_SHIFT));
}

/** Most texts stand in the place that their hash says, so that one line of memory is touched; else in one beside it. */
function placeOf(table: usize, mask: u32, shift: u32, from: usize, length: u32, hash: u32): usize {
  const home = hash & mask;
  for (let way: u32 = 0; way < WAYS; way++) {
    const place: usize = table + ((home ^ way) << shift);
    if (load<u32>(place) === length && load<u32>(place, 4) === hash && isSame(place + TEXT, from, length)) return place;
  }
  return 0;
}

/** Behind both may stand anything. */
export function isSame(left: usize, right: usize, length: u32): bool {
  if (length < 8) return length === 0 || lowBytes(load<u64>(left) ^ load<u64>(right), length) === 0;
  const last: usize = length - 8;
  for (let at: usize = 0; at < last; at += 8) if (load<u64>(left + at) !== load<u64>(right + at)) return false;
  return load<u64>(left + last) === load<u64>(right + last);
}

/** So that it gets none of the values that this frame has driven out: those are taken last. */
function canKeep(): bool {
  return newTextCount < NEW_TEXTS_MAX;
}

/** Puts a text into its table, and on the list of new ones. */
function keep(table: usize, mask: u32, shift: u32, from: usize, length: u32, hash: u32, isAscii: bool): usize {
  const home = hash & mask;
  let place: usize = 0;
  for (let way: u32 = 0; way < WAYS && place === 0; way++) {
    const other: usize = table + ((home ^ way) << shift);
    if (load<u32>(other) === 0) place = other;
  }
  if (place === 0) {
    place = table + ((home ^ (hash >>> 30)) << shift);
    store<u32>(FREE_VALUES_AT + ((endOfFree++ & FREE_VALUES_MASK) << 2), load<u32>(place, VALUE));
    if (table === IDS_AT) idsEvicted++;
    else textsEvicted++;
  }
  const value = load<u32>(FREE_VALUES_AT + ((firstFree++ & FREE_VALUES_MASK) << 2));
  store<u32>(place, length);
  store<u32>(place, hash, 4);
  store<u32>(place, value, VALUE);
  store<u32>(place, nextNumber === endOfNumbers ? 0 : nextNumber++, NUMBER);
  store<u64>(place, hash64(from, length), HASH64);
  memory.copy(place + TEXT, from, length);
  const entry: usize = newTextsAt + <usize>newTextCount * NEW_TEXT_BYTES;
  newTextCount++;
  store<u32>(entry, value);
  store<u32>(entry, <u32>(from - frameAt), 4);
  store<u32>(entry, length | ((isAscii ? 1 : 0) << 31), 8);
  return place;
}

/** Whether a text of at least one byte is well-formed UTF-8 (RFC 3629); one with a byte order mark is another to some decoders. */
export function isUtf8(from: usize, length: u32): bool {
  const end = from + length;
  if (length >= 3 && (load<u32>(from) & 0xff_ffff) === 0xbf_bbef) return false;
  let at = from;
  while (at < end) {
    const first: u32 = load<u8>(at);
    if (first < 0x80) {
      at++;
      continue;
    }
    const more: u32 = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    if (first < 0xc2 || first > 0xf4 || at + more >= end) return false;
    const second: u32 = load<u8>(at, 1);
    const least: u32 = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const most: u32 = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    if (second < least || second > most) return false;
    for (let next: u32 = 2; next <= more; next++) if ((load<u8>(at + next) & 0xc0) !== 0x80) return false;
    at += more + 1;
  }
  return true;
}

const C1: u32 = 0x239b961b;
const C2: u32 = 0xab0e9789;
const C3: u32 = 0x38b34ae5;
const C4: u32 = 0xa1e38b93;
const BLOCK_BYTES: u32 = 16;
const TAIL: usize = memory.data(16);

/** `nonZeroHash64` of the text, its word 0 in the low half. */
function hash64(from: usize, length: u32): u64 {
  let h1: u32 = 0;
  let h2: u32 = 0;
  let h3: u32 = 0;
  let h4: u32 = 0;
  let at = from;
  const blocksEnd: usize = from + (length & ~(BLOCK_BYTES - 1));
  for (; at < blocksEnd; at += BLOCK_BYTES) {
    h1 ^= scramble(load<u32>(at), C1, 15, C2);
    h1 = (rotl<u32>(h1, 19) + h2) * 5 + 0x561ccd1b;
    h2 ^= scramble(load<u32>(at, 4), C2, 16, C3);
    h2 = (rotl<u32>(h2, 17) + h3) * 5 + 0x0bcaa747;
    h3 ^= scramble(load<u32>(at, 8), C3, 17, C4);
    h3 = (rotl<u32>(h3, 15) + h4) * 5 + 0x96cd1c35;
    h4 ^= scramble(load<u32>(at, 12), C4, 18, C1);
    h4 = (rotl<u32>(h4, 13) + h1) * 5 + 0x32ac3b17;
  }
  // A word of zeros scrambles to 0.
  store<u64>(TAIL, 0);
  store<u64>(TAIL, 0, 8);
  memory.copy(TAIL, at, from + length - at);
  h1 ^= scramble(load<u32>(TAIL), C1, 15, C2) ^ length;
  h2 ^= scramble(load<u32>(TAIL, 4), C2, 16, C3) ^ length;
  h3 ^= scramble(load<u32>(TAIL, 8), C3, 17, C4) ^ length;
  h4 ^= scramble(load<u32>(TAIL, 12), C4, 18, C1) ^ length;
  h1 += h2 + h3 + h4;
  h2 = avalanche(h2 + h1);
  h3 = avalanche(h3 + h1);
  h4 = avalanche(h4 + h1);
  h1 = avalanche(h1) + h2 + h3 + h4;
  h2 += h1;
  if ((h1 | h2) === 0) h2 = 1;
  return <u64>h1 | ((<u64>h2) << 32);
}

function scramble(word: u32, first: u32, turn: u32, second: u32): u32 {
  return rotl<u32>(word * first, turn) * second;
}

function avalanche(word: u32): u32 {
  let mixed = (word ^ (word >>> 16)) * 0x85ebca6b;
  mixed = (mixed ^ (mixed >>> 13)) * 0xc2b2ae35;
  return mixed ^ (mixed >>> 16);
}
