/**
 * Law: a value is taken if and only if it is made of plain values, its numbers are exact, and its JSON, levels and keys stay
 * within their limits, as counted by the simple model below; the path leads to the wrong value.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { checkValues, isPlainMap } from "../../protocol/plain-values.ts";
import { codeOf } from "../../protocol/verdicts.ts";
import { nested } from "./event-arbitraries.ts";

class Counts {
  keys = 0;
  depth = 0;
}

/** Visits every value; false when one of them is none that an event may have. */
function isGood(value: unknown, depth: number, counts: Counts): boolean {
  if (value === null || typeof value === "boolean" || typeof value === "string") return true;
  if (typeof value === "number") return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
  if (Array.isArray(value)) {
    counts.depth = Math.max(counts.depth, depth + 1);
    return value.every((each) => isGood(each, depth + 1, counts));
  }
  if (typeof value !== "object" || (Object.getPrototypeOf(value) !== Object.prototype && Object.getPrototypeOf(value) !== null))
    return false;
  counts.depth = Math.max(counts.depth, depth + 1);
  return Object.values(value).every((each) => {
    counts.keys++;
    return each === undefined || isGood(each, depth + 1, counts);
  });
}

function isTaken(value: unknown): boolean {
  const counts = new Counts();
  if (!isGood(value, 0, counts)) return false;
  const bytes = new TextEncoder().encode(JSON.stringify(value)).length;
  return (
    bytes <= limits.propertiesBytesMax && counts.depth <= limits.propertiesDepthMax && counts.keys <= limits.propertiesKeysMax
  );
}

const leaf = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.double(),
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.constantFrom<unknown>(null, undefined, 1n, Symbol("s"), 2 ** 53, Number.NaN, -0),
  fc.constantFrom(5_400, 5_470, 32_000, 33_000).map((length) => "x".repeat(length)),
  fc.constantFrom("\u0001", "é", '"', "日").map((unit) => unit.repeat(5_400)),
  fc.constant(null).map(() => new Map()),
  fc.constant(null).map(() => new Uint8Array(2)),
  fc.integer({ min: 5, max: 9 }).map(nested),
  fc.constantFrom(120, 256, 257).map((keys) => Object.fromEntries(Array.from({ length: keys }, (_, key) => [`k${key}`, 1]))),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 8 }), tie("value"), { maxKeys: 4 }),
  ),
}));

function valueAt(root: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((each, key) => (each as Record<string | number, unknown>)[key], root);
}

describe("checkValues", () => {
  it("takes what the model takes, and names what is wrong", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 8 }), value, { maxKeys: 4 }), (map) => {
        const problem = checkValues(map);
        assert.equal(problem === undefined, isTaken(map));
        if (problem === undefined || codeOf(problem.verdict) === "WEIR_EVENT_PROPERTIES_TOO_LARGE") return;
        assert.equal(isGood(valueAt(map, problem.path), 0, new Counts()), false);
      }),
      { numRuns: 2_000 },
    );
  });
  it("takes a value of any size that fits, and not a byte more", () => {
    for (const unit of ["x", "é", "日", "\u{1F600}", "\u0001", '"', "\uD800"]) {
      const bytes = new TextEncoder().encode(JSON.stringify(unit)).length - 2;
      const fits = Math.floor((limits.propertiesBytesMax - 8) / bytes);
      assert.equal(checkValues({ a: unit.repeat(fits) }), undefined);
      assert.notEqual(checkValues({ a: unit.repeat(fits + 1) }), undefined);
    }
  });
  it("stops at a list that is longer than could fit, and does not overflow the stack", () => {
    assert.equal(codeOf(checkValues(new Array<null>(10_000_000).fill(null))?.verdict ?? 0), "WEIR_EVENT_PROPERTIES_TOO_LARGE");
    assert.equal(codeOf(checkValues(nested(50_000))?.verdict ?? 0), "WEIR_EVENT_PROPERTIES_TOO_LARGE");
  });
});

describe("isPlainMap", () => {
  it("is true for what decoders make", () => {
    for (const map of [{}, Object.create(null), JSON.parse('{"__proto__":1,"constructor":2}')]) assert.ok(isPlainMap(map));
  });
  it("is false for the rest", () => {
    for (const each of [null, undefined, 1, "a", [], () => 1, new Date(), new Map(), new (class Own {})(), Object.create({})]) {
      assert.equal(isPlainMap(each), false);
    }
  });
});
