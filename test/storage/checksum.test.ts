/** The checksum is the one of the standard, by either way; a sealed value comes back, and any flipped bit is found. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32, crc32ByTable, seal, unseal } from "../../storage/checksum.ts";

test("the check value of the standard, by either way", () => {
  const bytes = new TextEncoder().encode("123456789");
  assert.equal(crc32(bytes), 0xcbf43926);
  assert.equal(crc32ByTable(bytes), 0xcbf43926);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (any) => assert.equal(crc32ByTable(any), crc32(any))));
});

test("a value comes back, and one in which a bit flipped does not", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(), (value, at) => {
      const sealed = seal(value);
      assert.deepEqual(unseal(sealed), value);
      const bit = at % (sealed.length * 8);
      sealed[bit >> 3] = (sealed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(unseal(sealed), undefined);
    }),
  );
  for (let length = 0; length < 4; length++) assert.equal(unseal(new Uint8Array(length)), undefined);
});
