/**
 * The rules for `properties`, `context` and fields that we do not know: plain values only, finite and exact numbers,
 * bounded size, depth and number of keys. Nothing is allocated for good values. Used by the event schema and the hot path.
 */
import { limits } from "./limits.ts";
import { utf8Length } from "./text-rules.ts";
import { verdictOf } from "./verdicts.ts";

const TOO_LARGE = verdictOf("WEIR_EVENT_PROPERTIES_TOO_LARGE");
const NUMBER = verdictOf("WEIR_EVENT_NUMBER_INVALID");
const VALUE = verdictOf("WEIR_EVENT_VALUE_INVALID");

export interface ValueProblem {
  readonly verdict: number;
  /** Keys and indexes from the checked value down to the wrong one; empty: the checked value as a whole. */
  readonly path: (string | number)[];
}

/** Bytes of JSON that one UTF-16 unit makes at most: an escape `\u001f`. */
const UNIT_JSON_BYTES_MAX = 6;
const NUMBER_JSON_BYTES_MAX = 25;

// Totals over one checked value.
let keys = 0;
let jsonBytesBound = 0;

/** A map made by a decoder, not an instance of some class. */
export function isPlainMap(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** undefined = good. `undefined` as a map's value is the same as an absent key: encoders write it for optional fields. */
export function checkValues(value: unknown): ValueProblem | undefined {
  keys = 0;
  jsonBytesBound = 0;
  const problem = value === undefined ? undefined : check(value, 0);
  if (problem !== undefined || jsonBytesBound <= limits.propertiesBytesMax) return problem;
  // Only values that may be too large are written out to be measured.
  return utf8Length(JSON.stringify(value)) > limits.propertiesBytesMax ? { verdict: TOO_LARGE, path: [] } : undefined;
}

/** `depth`: levels of maps and lists around the value. */
function check(value: unknown, depth: number): ValueProblem | undefined {
  switch (typeof value) {
    case "string":
      jsonBytesBound += value.length * UNIT_JSON_BYTES_MAX + 3;
      return undefined;
    case "number":
      jsonBytesBound += NUMBER_JSON_BYTES_MAX;
      // An integer that a double cannot hold has been rounded by a decoder already: refused, never rounded silently.
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
        return { verdict: NUMBER, path: [] };
      return undefined;
    case "boolean":
      jsonBytesBound += NUMBER_JSON_BYTES_MAX;
      return undefined;
    case "bigint":
      return { verdict: NUMBER, path: [] };
    case "object":
      if (value === null) {
        jsonBytesBound += NUMBER_JSON_BYTES_MAX;
        return undefined;
      }
      return Array.isArray(value) ? checkList(value, depth + 1) : checkMap(value, depth + 1);
    default:
      return { verdict: VALUE, path: [] };
  }
}

function checkMap(map: object, depth: number): ValueProblem | undefined {
  if (!isPlainMap(map)) return { verdict: VALUE, path: [] };
  if (depth > limits.propertiesDepthMax) return { verdict: TOO_LARGE, path: [] };
  jsonBytesBound += 3;
  for (const key in map) {
    if (++keys > limits.propertiesKeysMax) return { verdict: TOO_LARGE, path: [] };
    const value = map[key];
    if (typeof value === "string") {
      // The same as below without a call; most values are texts.
      jsonBytesBound += (key.length + value.length) * UNIT_JSON_BYTES_MAX + 6;
      continue;
    }
    jsonBytesBound += key.length * UNIT_JSON_BYTES_MAX + 3;
    const problem = value === undefined ? undefined : check(value, depth);
    if (problem !== undefined) return below(key, problem);
  }
  return undefined;
}

function checkList(list: readonly unknown[], depth: number): ValueProblem | undefined {
  if (depth > limits.propertiesDepthMax) return { verdict: TOO_LARGE, path: [] };
  jsonBytesBound += 3;
  // Every element takes two bytes of JSON at least: a longer list need not be walked.
  if (list.length > limits.propertiesBytesMax) return { verdict: TOO_LARGE, path: [] };
  for (let index = 0; index < list.length; index++) {
    const problem = check(list[index], depth);
    if (problem !== undefined) return below(index, problem);
  }
  return undefined;
}

function below(key: string | number, problem: ValueProblem): ValueProblem {
  // What is too large is the whole, not the place where the count ran out.
  if (problem.verdict !== TOO_LARGE) problem.path.unshift(key);
  return problem;
}
