/**
 * The time of an event, as `parseTimestamp` has it (`protocol/timestamp.ts`). Texts that nearly all producers write are read here;
 * other ones are left to JavaScript: in place of their time they give -1 - their place in the frame.
 */
import { keepTime } from "./read-columns";
import { frameAt } from "./read-memory";
import { bigEndian16, GIVE_UP, tokenAt } from "./tokens";

const WORD: f64 = 4294967296;
const HIGH_SAFE_MAX: u32 = 0x1f_ffff;
const TIME_MS_MAX: f64 = 8.64e15;
const NANOSECONDS_MAX: u32 = 999_999_999;
const TEXT_BYTES_MAX: u32 = 40;
const DAY_MS: i64 = 86_400_000;

let earliestMs: f64 = 0;
let latestMs: f64 = 0;
/** How many texts were left. */
export let unusualTimes: u32 = 0;

// The last date read, as its bytes, and its midnight: a frame's events are mostly of one day.
let dateFirst: u64 = 0;
let dateLast: u16 = 0;
let dateMs: i64 = 0;

export function openTimes(earliest: f64, latest: f64): void {
  earliestMs = earliest;
  latestMs = latest;
  unusualTimes = 0;
}

/** Keeps the time that stands here, and gives where it ends. */
export function readTime(at: usize, end: usize): usize {
  const token = tokenAt(at);
  if (token >= 0xa0 && token < 0xc0) return readText(at, at + 1, token - 0xa0, end);
  if (token === 0xd9) return tokenAt(at + 1) > TEXT_BYTES_MAX ? GIVE_UP : readText(at, at + 2, tokenAt(at + 1), end);
  switch (token) {
    case 0xcb:
      return keep(at + 9, whole(reinterpret<f64>(bigEndian64(at + 1))), end);
    case 0xce:
      return keep(at + 5, <f64>bigEndian32(at + 1), end);
    case 0xcf:
    case 0xd3:
      if (bigEndian32(at + 1) > HIGH_SAFE_MAX) return GIVE_UP;
      return keep(at + 9, whole(<f64>bigEndian64(at + 1)), end);
    case 0xd6:
      return tokenAt(at + 1) === 0xff ? keep(at + 6, <f64>bigEndian32(at + 2) * 1000, end) : GIVE_UP;
    case 0xd7: {
      if (tokenAt(at + 1) !== 0xff) return GIVE_UP;
      const high = bigEndian32(at + 2);
      const seconds: f64 = <f64>(high & 3) * WORD + <f64>bigEndian32(at + 6);
      return keep(at + 10, trunc<f64>(<f64>(high >>> 2) / 1000000 + seconds * 1000), end);
    }
    case 0xc7: {
      if (tokenAt(at + 1) !== 12 || tokenAt(at + 2) !== 0xff) return GIVE_UP;
      const nanoseconds = bigEndian32(at + 3);
      // What is beyond is for the careful decoder.
      if (nanoseconds > NANOSECONDS_MAX || bigEndian16(at + 7) !== 0) return GIVE_UP;
      const seconds: f64 = <f64>bigEndian16(at + 9) * WORD + <f64>bigEndian32(at + 11);
      return keep(at + 15, whole(trunc<f64>(<f64>nanoseconds / 1000000 + seconds * 1000)), end);
    }
    default:
      return GIVE_UP;
  }
}

function whole(ms: f64): f64 {
  return abs<f64>(ms) <= TIME_MS_MAX ? floor<f64>(ms) : f64.NaN;
}

function keep(next: usize, ms: f64, end: usize): usize {
  // The negation also catches NaN.
  if (next > end || !(ms >= earliestMs && ms <= latestMs)) return GIVE_UP;
  keepTime(ms);
  return next;
}

export function bigEndian32(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

export function bigEndian64(at: usize): u64 {
  return bswap<u64>(load<u64>(at));
}

/** `YYYY-MM-DDTHH:MM:SSZ` and `YYYY-MM-DDTHH:MM:SS.mmmZ`. */
function readText(at: usize, from: usize, length: u32, end: usize): usize {
  const next: usize = from + length;
  if (next > end) return GIVE_UP;
  const isShort = length === 20 && tokenAt(from + 19) === 0x5a;
  const isLong = length === 24 && tokenAt(from + 23) === 0x5a && tokenAt(from + 19) === 0x2e;
  const isPlain =
    (isShort || isLong) && tokenAt(from + 10) === 0x54 && tokenAt(from + 13) === 0x3a && tokenAt(from + 16) === 0x3a;
  if (!isPlain) {
    keepTime(-1 - <f64>(at - frameAt));
    unusualTimes++;
    return next;
  }
  const hour = twoDigits(from + 11);
  const minute = twoDigits(from + 14);
  const second = twoDigits(from + 17);
  let ms: i64 = 0;
  if (isLong) {
    const tens = twoDigits(from + 20);
    const ones = tokenAt(from + 22) - 0x30;
    if (tens < 0 || ones > 9) return GIVE_UP;
    ms = tens * 10 + ones;
  }
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || !readDate(from)) return GIVE_UP;
  return keep(next, <f64>(dateMs + <i64>((hour * 60 + minute) * 60 + second) * 1000 + ms), end);
}

/** Finds the midnight of `YYYY-MM-DD`; false: there is no such date. */
function readDate(from: usize): bool {
  const first = load<u64>(from);
  const last = load<u16>(from, 8);
  if (first === dateFirst && last === dateLast) return true;
  const century = twoDigits(from);
  const years = twoDigits(from + 2);
  const month = twoDigits(from + 5);
  const day = twoDigits(from + 8);
  if (tokenAt(from + 4) !== 0x2d || tokenAt(from + 7) !== 0x2d || century < 0 || years < 0) return false;
  const year = century * 100 + years;
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return false;
  dateFirst = first;
  dateLast = last;
  dateMs = <i64>daysFromEpoch(year, month, day) * DAY_MS;
  return true;
}

function daysInMonth(year: i32, month: i32): i32 {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days since 1970-01-01 (Howard Hinnant, "chrono-compatible date algorithms"). In the year 0 it is off, long before the earliest time. */
function daysFromEpoch(year: i32, month: i32, day: i32): i32 {
  const shifted = month <= 2 ? year - 1 : year;
  const era = shifted / 400;
  const yearOfEra = shifted - era * 400;
  const dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** The number that two digits make; -1 when they are none. */
function twoDigits(at: usize): i32 {
  const tens = tokenAt(at) - 0x30;
  const ones = tokenAt(at + 1) - 0x30;
  return tens <= 9 && ones <= 9 ? <i32>(tens * 10 + ones) : -1;
}
