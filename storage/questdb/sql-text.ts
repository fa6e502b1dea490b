/**
 * The only way from a value to SQL text. QuestDB reads a text literal between single quotes, a quote inside doubled and
 * no other escape; a name between double quotes. So nothing that is quoted here can end its own quotes.
 */
import { assert } from "../../protocol/assert.ts";

/** A text literal. Lone surrogates and NUL become U+FFFD, as they do in stored rows: equal texts stay equal. */
export function sqlText(value: string): string {
  return `'${storedText(value).replaceAll("'", "''")}'`;
}

/** A timestamp literal with microseconds, from epoch milliseconds. */
export function sqlTimestamp(epochMs: number): string {
  const date = new Date(epochMs);
  assert(!Number.isNaN(date.getTime()), "a timestamp literal needs a finite time");
  return `'${date.toISOString()}'`;
}

export function sqlNumber(value: number): string {
  assert(Number.isFinite(value), "a number literal needs a finite number");
  const text = Object.is(value, -0) ? "-0.0" : String(value);
  return value < 0 || Object.is(value, -0) ? `(${text})` : text;
}

/** A table or column name of ours. */
export function sqlName(name: string): string {
  assert(/^[a-z_][a-z0-9_]*$/.test(name), "names in SQL are lower-case words");
  return `"${name}"`;
}

// With the `u` flag a pair of surrogates is one character, so only lone ones match.
const unstorable = /[\0\p{Surrogate}]/u;
const everyUnstorable = new RegExp(unstorable, "gu");

/** A text as QuestDB can hold it: well-formed and without NUL, which it refuses. */
export function storedText(value: string): string {
  return unstorable.test(value) ? value.replace(everyUnstorable, "\uFFFD") : value;
}
