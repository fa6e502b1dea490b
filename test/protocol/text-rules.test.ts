/** Lengths are counted in bytes of UTF-8; ids are stricter than labels; routing sees only ids that the reader takes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { idVerdict, labelVerdict, usableId, utf8Length } from "../../protocol/text-rules.ts";
import { ACCEPTED, codeOf } from "../../protocol/verdicts.ts";

const LENGTH = "WEIR_EVENT_FIELD_LENGTH";
const ENCODING = "WEIR_EVENT_FIELD_ENCODING";

describe("utf8Length", () => {
  it("is what an encoder writes, lone surrogates included", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.integer({ min: 0xd700, max: 0xe000 })).map((units) => String.fromCharCode(...units)),
    );
    fc.assert(
      fc.property(text, (each) => assert.equal(utf8Length(each), new TextEncoder().encode(each).length)),
      { numRuns: 1_000 },
    );
  });
});

describe("a text", () => {
  const cases: [string, string, string | undefined, string | undefined][] = [
    ["empty", "", LENGTH, LENGTH],
    ["one character", "a", undefined, undefined],
    ["256 bytes", "x".repeat(256), undefined, undefined],
    ["257 bytes", "x".repeat(257), LENGTH, LENGTH],
    ["256 bytes of two each", "é".repeat(128), undefined, undefined],
    ["258 bytes of two each", "é".repeat(129), LENGTH, LENGTH],
    ["255 bytes of three each", "日".repeat(85), undefined, undefined],
    ["258 bytes of three each", "日".repeat(86), LENGTH, LENGTH],
    ["256 bytes of four each", "\u{1F600}".repeat(64), undefined, undefined],
    ["257 bytes, the last character broken", `${"x".repeat(254)}\uD800`, LENGTH, LENGTH],
    ["a lone high surrogate", "a\uD800b", ENCODING, ENCODING],
    ["a lone low surrogate", "\uDC00", ENCODING, ENCODING],
    ["surrogates in the wrong order", "\uDC00\uD800", ENCODING, ENCODING],
    ["a replacement character", "a\uFFFD", undefined, ENCODING],
    ["white space and zeros", " \t\0", undefined, undefined],
  ];
  for (const [name, text, label, id] of cases) {
    it(name, () => {
      assert.equal(codeOf(labelVerdict(text)), label);
      assert.equal(codeOf(idVerdict(text)), id);
      assert.equal(usableId(text), id === undefined ? text : "");
    });
  }
  it("accepted as an id is an id as it stands, and one as a label too", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        if (idVerdict(text) === ACCEPTED) assert.equal(labelVerdict(text), ACCEPTED);
        assert.equal(usableId(text) === text, idVerdict(text) === ACCEPTED || text === "");
      }),
    );
  });
  it("is needed for an id to be usable", () => {
    for (const value of [undefined, null, 1, true, ["a"], { a: 1 }, new String("a")]) assert.equal(usableId(value), "");
  });
});
