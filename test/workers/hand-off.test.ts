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
        assert.equal(batch.frames, frames.length);
        const taken = batch.take();
        // As a transfer to a thread does.
        const { batch: bytes, tenants } = structuredClone(taken, { transfer: [taken.batch.buffer] });
        const unpacked = unpackFrames(bytes, tenants);
        assert.ok(unpacked.every((each) => each.batch?.framesLeft === frames.length && each.batch.buffer === bytes.buffer));
        assert.deepEqual(
          unpacked.map((each) => ({ ...each, batch: undefined, bytes: Buffer.from(each.bytes) })),
          frames.map((each) => ({ ...each, batch: undefined, bytes: Buffer.from(each.bytes) })),
        );
        assert.equal(batch.frames, 0);
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
    unpackFrames(packed, tenants).map((each) => [...each.bytes]),
    [[1, 2, 3]],
  );
});

test("a buffer that comes back is filled again, and what was in it does not show", () => {
  const batch = new FrameBatch();
  const one = { id: 1, tenant: "a" as TenantId, format: 0, allResults: false, ingestTimeMs: 1 } as const;
  batch.add({ ...one, bytes: new Uint8Array(200_000).fill(7) });
  const first = batch.take().batch.buffer;
  batch.recycle([first]);
  batch.add({ ...one, bytes: Uint8Array.of(1) });
  assert.notEqual(batch.take().batch.buffer, first, "the next buffer was there already");
  batch.add({ ...one, id: 2, bytes: Uint8Array.of(2, 3) });
  const { batch: packed, tenants } = batch.take();
  assert.equal(packed.buffer, first);
  assert.deepEqual(
    unpackFrames(packed, tenants).map(({ id, bytes }) => [id, ...bytes]),
    [[2, 2, 3]],
  );
});

test("it keeps no more buffers than a bound, and no huge one", () => {
  const batch = new FrameBatch();
  const capacity = batch.take().batch.buffer.byteLength;
  const huge = new ArrayBuffer(64 * 1024 * 1024);
  const many = Array.from({ length: 100 }, () => new ArrayBuffer(capacity));
  batch.recycle([huge, ...many]);
  const used = new Set(Array.from({ length: 100 }, () => batch.take().batch.buffer));
  assert.ok(!used.has(huge));
  assert.ok(many.filter((each) => used.has(each)).length <= 64);
});

test("a batch that is full says so; a frame that is larger than any batch goes alone", () => {
  const batch = new FrameBatch();
  const one = { id: 1, tenant: "a" as TenantId, format: 0, allResults: false, ingestTimeMs: 1 } as const;
  const large = { ...one, bytes: new Uint8Array(60_000) };
  let fitting = 0;
  for (; batch.hasRoomFor(large); fitting++) batch.add(large);
  assert.ok(fitting > 1);
  assert.equal(unpackFrames(batch.take().batch, [one.tenant]).length, fitting);
  const huge = { ...one, bytes: new Uint8Array(5_000_000) };
  assert.ok(batch.hasRoomFor(huge));
  batch.add(huge);
  assert.ok(!batch.hasRoomFor(large));
  assert.equal(unpackFrames(batch.take().batch, [one.tenant])[0]?.bytes.length, 5_000_000);
});
