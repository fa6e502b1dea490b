/**
 * The time of an event as producers write it -> epoch milliseconds. Used by the event schema and by the hot path.
 * Texts are RFC 3339 (the profile of ISO 8601 with date, time and zone). `Date.parse` takes far more than that, and what
 * it takes differs between engines, so it is not used: the same bytes must mean the same time on every replay.
 */
import { limits } from "./limits.ts";
import { ACCEPTED, verdictOf } from "./verdicts.ts";

const INVALID = verdictOf("WEIR_EVENT_TIMESTAMP_INVALID");
const FUTURE = verdictOf("WEIR_EVENT_TIMESTAMP_FUTURE");

/** The largest time that a Date can hold (ECMA-262, 21.4.1.1), as milliseconds. */
const TIME_MS_MAX = 8.64e15;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

/** Epoch milliseconds, fractions cut off; NaN for what is not a time. Whether the time is acceptable is another question. */
export function parseTimestamp(value: unknown): number {
  switch (typeof value) {
    case "string":
      return parseText(value);
    case "number":
      return Math.abs(value) <= TIME_MS_MAX ? Math.floor(value) : Number.NaN;
    case "bigint":
      return value >= -TIME_MS_MAX && value <= TIME_MS_MAX ? Number(value) : Number.NaN;
    default:
      return value instanceof Date ? value.getTime() : Number.NaN;
  }
}

/** ACCEPTED, or why an event of this time cannot be taken. */
export function timestampVerdict(eventTimeMs: number, ingestTimeMs: number): number {
  // The negation also catches NaN.
  if (!(eventTimeMs >= limits.timestampMsMin)) return INVALID;
  return eventTimeMs > ingestTimeMs + limits.timestampAheadMsMax ? FUTURE : ACCEPTED;
}

const CODE_0 = 48;
const CODE_Z = 90;
const CODE_T = 84;
const CODE_DASH = 45;
const CODE_COLON = 58;
const CODE_POINT = 46;

/**
 * `YYYY-MM-DDTHH:MM:SSZ` and `YYYY-MM-DDTHH:MM:SS.mmmZ`, what nearly all producers write, without a pattern. Only codes of
 * characters are read: it runs for every event.
 */
function parseText(text: string): number {
  const { length } = text;
  const hasFraction = length === 24;
  const plain =
    (length === 20 || hasFraction) &&
    text.charCodeAt(length - 1) === CODE_Z &&
    text.charCodeAt(4) === CODE_DASH &&
    text.charCodeAt(7) === CODE_DASH &&
    text.charCodeAt(10) === CODE_T &&
    text.charCodeAt(13) === CODE_COLON &&
    text.charCodeAt(16) === CODE_COLON &&
    (!hasFraction || text.charCodeAt(19) === CODE_POINT);
  if (!plain) return parseUnusualText(text);
  const century = twoDigits(text, 0);
  const years = twoDigits(text, 2);
  const tens = hasFraction ? twoDigits(text, 20) : 0;
  const ones = hasFraction ? text.charCodeAt(22) - CODE_0 : 0;
  if (century < 0 || years < 0 || tens < 0 || ones < 0 || ones > 9) return Number.NaN;
  const year = century * 100 + years;
  const ms = tens * 10 + ones;
  return civilMs(year, twoDigits(text, 5), twoDigits(text, 8), twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17), ms);
}

/** The number that two digits make; -1 when they are none. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - CODE_0;
  const ones = text.charCodeAt(at + 1) - CODE_0;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : -1;
}

const unusual = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;

function parseUnusualText(text: string): number {
  const match = unusual.exec(text);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour, minute, second, fraction = "", sign, zoneHours = "0", zoneMinutes = "0"] = match;
  if (Number(zoneHours) > 23 || Number(zoneMinutes) > 59) return Number.NaN;
  const offsetMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * MINUTE_MS * (sign === "-" ? -1 : 1);
  const ms = Number(fraction.padEnd(3, "0").slice(0, 3));
  return civilMs(Number(year), Number(month), Number(day), Number(hour), Number(minute), Number(second), ms) - offsetMs;
}

/** NaN for a date or time of day that does not exist, such as 30 February or 24:00, and for negative parts. */
function civilMs(year: number, month: number, day: number, hour: number, minute: number, second: number, ms: number): number {
  const days = daysOf(year, month, day);
  const exists = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59;
  return exists ? days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms : Number.NaN;
}

// The last date seen and its day: a frame's events are mostly of one day.
let lastDate = -1;
let lastDays = Number.NaN;

/** Days since the epoch; NaN for a date that does not exist. */
function daysOf(year: number, month: number, day: number): number {
  if (month < 1 || month > 12 || day < 1) return Number.NaN;
  const date = year * 10_000 + month * 100 + day;
  if (date !== lastDate) {
    lastDate = date;
    lastDays = day > daysInMonth(year, month) ? Number.NaN : daysFromEpoch(year, month, day);
  }
  return lastDays;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible date algorithms"). */
function daysFromEpoch(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
