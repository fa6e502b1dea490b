/** Law: the order is that of a stable sort by key, and `starts` says where each key begins; also when its memory is used again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CountingSort } from "../../actors/counting-sort.ts";

const KEYS = 40;
const anyKeys = fc.array(fc.integer({ min: 0, max: KEYS - 1 }), { maxLength: 600 });

test("indexes go key by key and keep their order", () => {
  const sort = new CountingSort();
  fc.assert(
    fc.property(anyKeys, (keys) => {
      sort.sort(Int32Array.from(keys), keys.length, KEYS);
      const expected = keys.map((_, index) => index).toSorted((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0));
      assert.deepEqual([...sort.order.subarray(0, keys.length)], expected);
      for (let key = 0; key <= KEYS; key++) assert.equal(sort.starts[key], keys.filter((each) => each < key).length);
    }),
  );
});
