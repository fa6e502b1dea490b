/**
 * The time of an event from its bytes, without a string or a Date; what it gives equals `parseTimestamp` of the decoded value
 * (a property test holds it to that). The plain reader calls it for every event.
 */
import { asciiText, type FrameBytes } from "./interner.ts";
import { NANOSECONDS_MAX } from "./msgpack-scanner.ts";
import { parseTimestamp } from "./timestamp.ts";

const WORD = 2 ** 32;
const HIGH_SAFE_MAX = 0x1f_ffff;
const TEXT_BYTES_MAX = 40;

const CODE_0 = 48;
const DATE_BYTES = 10;

/** The time that the last call read: epoch milliseconds, NaN for what is not a time or not a plain one. */
let timeMs = Number.NaN;
export function timestampRead(): number {
  return timeMs;
}

/** Reads the timestamp that stands at `at` and gives where it ends; -1: it is not a plain one or goes past the bytes. */
export function readTimestamp(frame: FrameBytes, at: number): number {
  const { bytes, view } = frame;
  const token = bytes[at] ?? 0xc1;
  const size = sizeOf(token, bytes[at + 1] ?? 0);
  const end = at + size;
  timeMs = Number.NaN;
  if (size === 0 || end > bytes.length) return -1;
  if (token < 0xc0) {
    timeMs = readText(frame, at + 1, token - 0xa0);
    return end;
  }
  switch (token) {
    case 0xcb:
      timeMs = parseTimestamp(view.getFloat64(at + 1));
      break;
    case 0xce:
      timeMs = view.getUint32(at + 1);
      break;
    case 0xcf:
    case 0xd3:
      if (view.getUint32(at + 1) > HIGH_SAFE_MAX) return -1;
      timeMs = parseTimestamp(view.getUint32(at + 1) * WORD + view.getUint32(at + 5));
      break;
    case 0xd9:
      timeMs = readText(frame, at + 2, size - 2);
      break;
    default:
      timeMs = readExtension(frame, token, at);
  }
  return end;
}

/** Bytes of the value; 0: none of the forms that are plain. */
function sizeOf(token: number, next: number): number {
  switch (token) {
    case 0xce:
      return 5;
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return 9;
    case 0xd6:
      return 6;
    case 0xd7:
      return 10;
    case 0xc7:
      return 15;
    case 0xd9:
      return next <= TEXT_BYTES_MAX ? next + 2 : 0;
    default:
      return token >= 0xa0 && token < 0xc0 ? token - 0x9f : 0;
  }
}

/** The three forms of the msgpack timestamp, in the arithmetic of the decoders. */
function readExtension({ bytes, view }: FrameBytes, token: number, at: number): number {
  if (token === 0xd6) return bytes[at + 1] === 0xff ? view.getUint32(at + 2) * 1000 : Number.NaN;
  if (token === 0xd7) {
    if (bytes[at + 1] !== 0xff) return Number.NaN;
    const high = view.getUint32(at + 2);
    return Math.trunc((high >>> 2) / 1_000_000 + ((high & 3) * WORD + view.getUint32(at + 6)) * 1000);
  }
  if (bytes[at + 1] !== 12 || bytes[at + 2] !== 0xff) return Number.NaN;
  const nanoseconds = view.getUint32(at + 3);
  // What is beyond is for the careful decoder.
  if (nanoseconds > NANOSECONDS_MAX || view.getUint16(at + 7) !== 0) return Number.NaN;
  return parseTimestamp(Math.trunc(nanoseconds / 1_000_000 + (view.getUint16(at + 9) * WORD + view.getUint32(at + 11)) * 1000));
}

// The last date read, as its bytes, and its midnight: a frame's events are mostly of one day.
let dateFirst = 0;
let dateSecond = 0;
let dateThird = 0;
let dateMs = Number.NaN;

/** `YYYY-MM-DDTHH:MM:SSZ` and `YYYY-MM-DDTHH:MM:SS.mmmZ` from bytes, other texts by way of a string. */
function readText(frame: FrameBytes, from: number, length: number): number {
  const { bytes } = frame;
  const isShort = length === 20 && bytes[from + 19] === 0x5a;
  const isLong = length === 24 && bytes[from + 23] === 0x5a && bytes[from + 19] === 0x2e;
  const isPlain = (isShort || isLong) && bytes[from + 10] === 0x54 && bytes[from + 13] === 0x3a && bytes[from + 16] === 0x3a;
  if (!isPlain) return readUnusualText(bytes, from, length);
  const hour = twoDigits(bytes, from + 11);
  const minute = twoDigits(bytes, from + 14);
  const second = twoDigits(bytes, from + 17);
  let ms = 0;
  if (isLong) {
    const tens = twoDigits(bytes, from + 20);
    const ones = (bytes[from + 22] ?? 0) - CODE_0;
    if (tens < 0 || ones < 0 || ones > 9) return Number.NaN;
    ms = tens * 10 + ones;
  }
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return Number.NaN;
  return midnightOf(frame, from) + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
}

function readUnusualText(bytes: Uint8Array, from: number, length: number): number {
  for (let at = from; at < from + length; at++) if ((bytes[at] ?? 0x80) >= 0x80) return Number.NaN;
  return parseTimestamp(asciiText(bytes, from, from + length));
}

function midnightOf({ bytes, view }: FrameBytes, from: number): number {
  const first = view.getInt32(from, true);
  const second = view.getInt32(from + 4, true);
  const third = view.getUint16(from + 8, true);
  if (first !== dateFirst || second !== dateSecond || third !== dateThird) {
    for (let at = from; at < from + DATE_BYTES; at++) if ((bytes[at] ?? 0x80) >= 0x80) return Number.NaN;
    dateFirst = first;
    dateSecond = second;
    dateThird = third;
    dateMs = parseTimestamp(`${asciiText(bytes, from, from + DATE_BYTES)}T00:00:00Z`);
  }
  return dateMs;
}

/** The number that two digits make; -1 when they are none. */
function twoDigits(bytes: Uint8Array, at: number): number {
  const tens = (bytes[at] ?? 0) - CODE_0;
  const ones = (bytes[at + 1] ?? 0) - CODE_0;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}
