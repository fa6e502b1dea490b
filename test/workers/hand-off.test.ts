/** Law: unpacking what was packed gives the same frames in the same order, past any growth of the buffer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { FrameFormat } from "../../protocol/event-columns.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { FrameBatch, unpackFrames, type HandedFrame } from "../../workers/hand-off.ts";

const frame: fc.Arbitrary<HandedFrame> = fc.record({
  id: fc.nat(0xffffffff),
  tenant: fc.constantFrom("a", "b", "c").map((tenant) => tenant as TenantId),
  format: fc.constantFrom<FrameFormat>(0, 1, 2),
  allResults: fc.boolean(),
  ingestTimeMs: fc.double({ noNaN: true, min: 0 }),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 50 }),
    fc.nat(200_000).map((length) => new Uint8Array(length).fill(length)),
  ),
});

test("unpack(pack(frames)) = frames, and the next batch begins empty", () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 10 }), fc.array(frame, { maxLength: 3 }), (first, second) => {
      const batch = new FrameBatch();
      for (const frames of [first, second]) {
        for (const each of frames) batch.add(each);
        assert.equal(batch.isEmpty, frames.length === 0);
        const taken = batch.take();
        // As a transfer to a thread does.
        const { batch: bytes, tenants } = structuredClone(taken, { transfer: [taken.batch.buffer] });
        const unpacked = [...unpackFrames(bytes, tenants)];
        assert.deepEqual(
          unpacked.map((each) => ({ ...each, bytes: Buffer.from(each.bytes) })),
          frames.map((each) => ({ ...each, bytes: Buffer.from(each.bytes) })),
        );
        assert.ok(batch.isEmpty);
      }
    }),
    { numRuns: 60 },
  );
});

test("the bytes are copied: the socket's memory may change right after", () => {
  const batch = new FrameBatch();
  const bytes = Uint8Array.of(1, 2, 3);
  batch.add({ id: 1, tenant: "a" as TenantId, format: 0, allResults: false, ingestTimeMs: 1, bytes });
  bytes.fill(9);
  const { batch: packed, tenants } = batch.take();
  assert.deepEqual(
    [...unpackFrames(packed, tenants)].map((each) => [...each.bytes]),
    [[1, 2, 3]],
  );
});
