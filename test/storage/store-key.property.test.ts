/**
 * Laws: decode(encode(key)) = key; the order of the bytes is the order of the keys, compared part by part, numbers before
 * texts, numbers by value, texts by code point, a key before its longer ones; a table's keys lie within its range.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { StoreKey } from "../../storage/ports.ts";
import { decodeKey, encodeKey, tableEnd } from "../../storage/store-key.ts";

const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc
    .array(fc.constantFrom("\u0000", "\u0001", "a", "\u00ff", "\ud800", "\udc00", "\uffff", "\u{1f600}"), { maxLength: 6 })
    .map((units) => units.join("")),
  fc.string({ minLength: 60, maxLength: 300 }),
);
const anyNumber = fc.oneof(
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.constantFrom(0, -0, 1, -1, 0.5, -0.5, Infinity, -Infinity, 2 ** 53),
);
const anyKey: fc.Arbitrary<StoreKey> = fc.array(fc.oneof(anyNumber, anyText), { maxLength: 4 });

function compareParts(left: string | number, right: string | number): number {
  if (typeof left !== typeof right) return typeof left === "number" ? -1 : 1;
  if (typeof left === "number" && typeof right === "number") return left < right ? -1 : left > right ? 1 : 0;
  const [a, b] = [left, right].map((text) => Array.from(String(text), (point) => point.codePointAt(0) ?? 0));
  for (let index = 0; ; index++) {
    const [x = -1, y = -1] = [a?.[index], b?.[index]];
    if (x !== y) return x < y ? -1 : 1;
    if (x === -1) return 0;
  }
}

function compareKeys(left: StoreKey, right: StoreKey): number {
  for (let index = 0; index < left.length && index < right.length; index++) {
    const order = compareParts(left[index] ?? 0, right[index] ?? 0);
    if (order !== 0) return order;
  }
  return Math.sign(left.length - right.length);
}

test("decoding gives the key back", () => {
  fc.assert(
    fc.property(anyText, anyKey, (table, key) => {
      const expected = key.map((part) => (part === 0 ? 0 : part));
      assert.deepEqual(decodeKey(encodeKey(table, key)), expected);
    }),
    { numRuns: 2_000 },
  );
});

test("bytes are in the order of the keys", () => {
  const related = anyKey.chain((key) =>
    fc.tuple(
      fc.constant(key),
      fc.oneof(
        anyKey,
        anyKey.map((more) => [...key, ...more]),
        anyKey.map((more) => [...key.slice(0, -1), ...more]),
      ),
    ),
  );
  fc.assert(
    fc.property(related, ([left, right]) => {
      assert.equal(Buffer.compare(encodeKey("t", left), encodeKey("t", right)), compareKeys(left, right));
    }),
    { numRuns: 5_000 },
  );
});

test("a table holds its keys and no others", () => {
  fc.assert(
    fc.property(anyText, anyText, anyKey, (table, other, key) => {
      const [low, high] = [encodeKey(table, []), tableEnd(table)];
      const inside = (bytes: Uint8Array) => Buffer.compare(low, bytes) <= 0 && Buffer.compare(bytes, high) < 0;
      assert.ok(inside(encodeKey(table, key)));
      assert.equal(inside(encodeKey(other, key)), other === table);
    }),
    { numRuns: 2_000 },
  );
});
