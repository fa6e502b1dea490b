/** Law: a reader gives back what a writer took, and equal values make equal bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../protocol/assert.ts";
import { ByteReader, ByteWriter } from "../../protocol/bytes.ts";

type Item = ["u8" | "u16" | "u32" | "f64" | "varint", number] | ["text", string] | ["block", Uint8Array];

const item: fc.Arbitrary<Item> = fc.oneof(
  fc.tuple(fc.constant("u8" as const), fc.integer({ min: 0, max: 0xff })),
  fc.tuple(fc.constant("u16" as const), fc.integer({ min: 0, max: 0xffff })),
  fc.tuple(fc.constant("u32" as const), fc.integer({ min: 0, max: 0xffffffff })),
  fc.tuple(fc.constant("f64" as const), fc.double()),
  fc.tuple(fc.constant("varint" as const), fc.maxSafeNat()),
  fc.tuple(fc.constant("text" as const), fc.string({ unit: "binary" })),
  fc.tuple(fc.constant("block" as const), fc.uint8Array()),
);

function write(items: readonly Item[], writer: ByteWriter): Uint8Array {
  for (const [kind, value] of items) {
    if (kind === "text") writer.text(value);
    else if (kind === "block") writer.block(value);
    else writer[kind](value);
  }
  return writer.finish();
}

test("read(write(items)) = items", () => {
  fc.assert(
    fc.property(fc.array(item), fc.integer({ min: 1, max: 64 }), (items, capacity) => {
      const writer = new ByteWriter(capacity);
      const bytes = write(items, writer);
      assert.equal(bytes.length, writer.length);
      const reader = new ByteReader(bytes);
      for (const [kind, value] of items)
        assert.deepEqual(kind === "block" ? Uint8Array.from(reader.block()) : reader[kind](), value);
      assert.ok(reader.done);
      writer.clear();
      assert.deepEqual(write(items, writer), bytes);
    }),
  );
});

test("a cut input is a RangeError, never a short value", () => {
  const bytes = write([["text", "hello"]], new ByteWriter());
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => new ByteReader(bytes.subarray(0, length)).text(), RangeError);
});

test("a varint takes safe unsigned integers only", () => {
  for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) assert.throws(() => new ByteWriter().varint(value), AssertionError);
  assert.equal(new ByteReader(write([["varint", Number.MAX_SAFE_INTEGER]], new ByteWriter())).varint(), Number.MAX_SAFE_INTEGER);
});
