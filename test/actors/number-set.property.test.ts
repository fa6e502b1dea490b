/** Law: a `NumberSet` holds what a Set of numbers would, and gives out each once, lowest first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberSet } from "../../actors/number-set.ts";

test("numbers are taken out once each, lowest first, in portions", () => {
  const step = fc.oneof(
    fc.oneof(fc.nat(70), fc.nat(5_000)).map((number) => ({ number, max: 0 })),
    fc.nat(9).map((max) => ({ number: -1, max })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const set = new NumberSet();
      const plain = new Set<number>();
      for (const { number, max } of steps) {
        if (number >= 0) {
          set.add(number);
          plain.add(number);
        } else {
          const expected = [...plain].toSorted((a, b) => a - b).slice(0, max);
          assert.deepEqual(set.take(max), expected);
          for (const each of expected) plain.delete(each);
        }
        assert.equal(set.count, plain.size);
      }
    }),
  );
});
