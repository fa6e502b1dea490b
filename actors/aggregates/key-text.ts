/**
 * What a keyed aggregate (distinct, topK) counts: the text of a value. 1 and "1" are one key, as are true and "true".
 */
export type EventValue = string | number | boolean | null | undefined;

/** undefined for what is not counted. -0 reads "0". */
export function keyTextOf(value: EventValue): string | undefined {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? undefined : String(value);
}
