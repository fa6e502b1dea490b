/** Which names are fields, and what a reader of one gives for values of every kind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldReader, resolveFieldPath } from "../../protocol/field-path.ts";

test("names resolve to full paths", () => {
  assert.equal(resolveFieldPath("eventType"), "eventType");
  assert.equal(resolveFieldPath("country"), "context.location.country");
  assert.equal(resolveFieldPath("referrer"), "context.referrer");
  assert.equal(resolveFieldPath("properties.a.b"), "properties.a.b");
});

test("what is no field does not resolve", () => {
  for (const name of [
    "",
    "properties",
    "context",
    "timestamp",
    "other.x",
    "properties.",
    "properties..a",
    "constructor",
    `properties${".a".repeat(8)}`,
  ]) {
    assert.equal(resolveFieldPath(name), undefined, name);
  }
});

test("a reader gives own plain values only", () => {
  const read = fieldReader("properties.x");
  const cases: [unknown, unknown][] = [
    ["text", "text"],
    [0, 0],
    [false, false],
    [null, null],
    [undefined, undefined],
    [[1], undefined],
    [{ y: 1 }, undefined],
    [1n, undefined],
  ];
  for (const [value, expected] of cases) assert.equal(read({ properties: { x: value } }), expected);
  for (const event of [undefined, null, 1, {}, { properties: null }, { properties: "text" }])
    assert.equal(read(event), undefined);
  assert.equal(fieldReader("properties.constructor")({ properties: {} }), undefined);
  assert.equal(fieldReader("properties.length")({ properties: "text" }), undefined);
});
