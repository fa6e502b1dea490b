/** Laws: an ack written by hand has the bytes of the plain encoder, and keeps them while others are written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AckEncoder, encodePlainAck, type PlainAck } from "../../protocol/encode-ack.ts";

const edges = fc.constantFrom(0, 1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1);
const count = fc.oneof(edges, fc.nat(10_000));
/** A sender may choose any number. */
const seq = fc.oneof(
  edges,
  fc.constantFrom(2 ** 32, -0, -1),
  fc.integer(),
  fc.maxSafeNat(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);
const position = fc.tuple(fc.nat(99), fc.maxSafeNat()).map(([host, offset]) => `${host}:${offset}`);
const ack: fc.Arbitrary<PlainAck> = fc
  .record({
    seq,
    totalEvents: count,
    failedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    positions: fc.array(position, { minLength: 1, maxLength: 20 }),
    credit: fc.nat(64),
  })
  .map(({ failedShare, positions, ...rest }) => ({
    ...rest,
    failedEvents: Math.floor(rest.totalEvents * failedShare),
    receipt: positions.join(","),
  }));

test("the bytes of an ack are those of the plain encoder, also after many others", () => {
  const encoder = new AckEncoder();
  fc.assert(
    fc.property(fc.array(ack, { minLength: 1, maxLength: 200 }), (acks) => {
      const written = acks.map((each) =>
        encoder.encode(each.seq, each.totalEvents, each.failedEvents, each.receipt, each.credit),
      );
      for (const [index, each] of acks.entries()) {
        assert.deepEqual(Buffer.from(written[index] ?? []), Buffer.from(encodePlainAck(each)));
      }
    }),
    { numRuns: 100 },
  );
});

test("an ack keeps its bytes while so many others are written that their memory is used up", () => {
  const encoder = new AckEncoder();
  const acks = Array.from({ length: 5_000 }, (_, seq) => ({
    seq,
    totalEvents: 1,
    failedEvents: 0,
    receipt: `0:${seq}`,
    credit: 1,
  }));
  const written = acks.map((each) => encoder.encode(each.seq, each.totalEvents, each.failedEvents, each.receipt, each.credit));
  for (const [index, each] of acks.entries()) {
    assert.deepEqual(Buffer.from(written[index] ?? []), Buffer.from(encodePlainAck(each)));
  }
});
