/** Law: whatever comes, the counts are those of a Map in which all types past the limit are one; writing and reading keeps them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TypeCounts } from "../../actors/type-counts.ts";
import { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { limits } from "../../protocol/limits.ts";
import { OTHER_SERIES } from "../../protocol/metric-definition.ts";

function expected(types: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of types) {
    const kept = counts.has(type) || counts.size < limits.sessionTypesMax ? type : OTHER_SERIES;
    counts.set(kept, (counts.get(kept) ?? 0) + 1);
  }
  return counts;
}

function counted(types: readonly string[]): TypeCounts {
  const counts = new TypeCounts();
  for (const type of types) counts.add(type);
  return counts;
}

function bytesOf(counts: TypeCounts): Uint8Array {
  const writer = new ByteWriter();
  counts.write(writer);
  return writer.finish();
}

const type = fc.oneof(
  fc.nat(30).map((number) => `type-${number}`),
  fc.constantFrom("", OTHER_SERIES, "größer", "constructor"),
);

test("counts are a Map's", () => {
  fc.assert(
    fc.property(fc.array(type, { maxLength: 120 }), (types) => {
      const counts = counted(types);
      assert.deepEqual(counts.toMap(), expected(types));
      const copy = new TypeCounts();
      copy.read(new ByteReader(bytesOf(counts)));
      assert.deepEqual(copy.toMap(), counts.toMap());
      assert.deepEqual(bytesOf(copy), bytesOf(counts));
    }),
  );
});

test("past the limit all new types are one, also when that one is known already", () => {
  const many = Array.from({ length: limits.sessionTypesMax + 50 }, (_, index) => `type-${index}`);
  for (const types of [many, [OTHER_SERIES, ...many], [...many, ...many, OTHER_SERIES]]) {
    assert.deepEqual(counted(types).toMap(), expected(types));
  }
});
