import { nonZeroHash64 } from "../../protocol/hash64.ts";

/**
 * What a keyed aggregate (distinct, topK) counts: the text of a value. 1 and "1" are one key, as are true and "true".
 */
export type EventValue = string | number | boolean | null | undefined;

/** undefined for what is not counted. -0 reads "0". */
export function keyTextOf(value: EventValue): string | undefined {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? undefined : String(value);
}

const hash = new Uint32Array(2);

/** Writes the two words of the hash of a value's text; two zeros, which no text has, for what is not counted. */
export function hashValue(value: EventValue, into: Uint32Array, at: number): void {
  const text = keyTextOf(value);
  hash.fill(0);
  if (text !== undefined) nonZeroHash64(text, hash);
  into[at] = hash[0] ?? 0;
  into[at + 1] = hash[1] ?? 0;
}
