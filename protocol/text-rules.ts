/**
 * Rules for texts that a JSON Schema cannot say: lengths in bytes of UTF-8, and encoding. Used by the event schema and by
 * the hot path, so that they cannot disagree.
 */
/// <reference lib="es2024.string" />
import { limits } from "./limits.ts";
import { ACCEPTED, verdictOf } from "./verdicts.ts";

const LENGTH = verdictOf("WEIR_EVENT_FIELD_LENGTH");
const ENCODING = verdictOf("WEIR_EVENT_FIELD_ENCODING");

/** A UTF-16 unit takes at most three bytes of UTF-8: shorter texts need no counting. */
const UNITS_SURELY_SHORT = Math.floor(limits.identifierBytesMax / 3);
const REPLACEMENT = "\uFFFD";

/** Bytes of UTF-8; a lone surrogate counts as the three bytes of U+FFFD, which encoders write for it. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    if (unit < 0x800) bytes += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00) {
      bytes += 2;
      at++;
    } else bytes += 2;
  }
  return bytes;
}

/**
 * ACCEPTED or a verdict, for a text of 1-256 bytes such as `eventType` or `source`. `isFromUtf8`: it was decoded from UTF-8,
 * which gives well-formed texts only, so that looking for lone surrogates (a sixth of an event's checks) can be spared.
 */
export function labelVerdict(text: string, isFromUtf8 = false): number {
  if (text.length === 0) return LENGTH;
  if (text.length > UNITS_SURELY_SHORT && utf8Length(text) > limits.identifierBytesMax) return LENGTH;
  return isFromUtf8 || text.isWellFormed() ? ACCEPTED : ENCODING;
}

/**
 * The same for an id. U+FFFD is what decoders silently put for broken UTF-8: two broken ids could become equal, so it is
 * refused in ids.
 */
export function idVerdict(text: string, isFromUtf8 = false): number {
  const verdict = labelVerdict(text, isFromUtf8);
  return verdict === ACCEPTED && text.includes(REPLACEMENT) ? ENCODING : verdict;
}

/** The value when it is a usable id, else the empty text. Routing and the reader must agree on this for every event. */
export function usableId(value: unknown): string {
  return typeof value === "string" && idVerdict(value) === ACCEPTED ? value : "";
}
