/**
 * Law: whatever the bytes, the reader puts every row of a share into a partition of the host that the share is for, and gives it
 * the verdict that it has in the whole frame; a frame that the reader refuses stays whole. A host stops when it meets a row of
 * another host's partition, so no client may be able to send one there.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { sharesOf } from "../support/frame-shares.ts";
import { assertSameValues } from "../support/same-values.ts";
import { goodEvent, INGEST_MS, spoiledEvent } from "./event-arbitraries.ts";

const tenant = "demo" as TenantId;
const partitionCount = 16;
const hostOf = (partition: number) => partition % 4;

function read(bytes: Uint8Array, format: FrameFormat): EventColumns | undefined {
  try {
    return readEvents({ format, bytes, tenant, ingestTimeMs: INGEST_MS, partitionCount });
  } catch (error) {
    assert.ok(error instanceof WeirError);
    return undefined;
  }
}

/** Returns how many shares there were. */
function assertRouted(bytes: Uint8Array, format: FrameFormat): number {
  const whole = read(bytes, format);
  const shares = sharesOf({ format, bytes, tenant, partitionCount, hostOf });
  if (whole === undefined) {
    assert.equal(shares.length, 1);
    assert.equal(shares[0]?.host, hostOf(partitionOf(tenant, "", partitionCount)));
    assert.equal(read(shares[0]?.bytes ?? bytes, format), undefined);
    return 0;
  }
  const rowsSeen: number[] = [];
  for (const share of shares) {
    const columns = read(share.bytes, share.format);
    assert.ok(columns !== undefined, "a share can be read");
    for (let row = 0; row < columns.count; row++) {
      const wholeRow = share.indexes === undefined ? row : (share.indexes[row] ?? -1);
      rowsSeen.push(wholeRow);
      assert.equal(hostOf(columns.partitions[row] ?? -1), share.host);
      assert.equal(columns.verdicts[row], whole.verdicts[wholeRow]);
      assertSameValues(columns.events[row], whole.events[wholeRow]);
    }
  }
  assert.deepEqual(
    rowsSeen.toSorted((left, right) => left - right),
    Array.from({ length: whole.count }, (_, row) => row),
  );
  return shares.length;
}

const mutations = fc.array(
  fc.record({
    at: fc.nat(),
    byte: fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0x40, 0x41, 0x42, 0x60, 0x72, 0x80, 0x91, 0xa9, 0xc1, 0xc4, 0xc7, 0xd4, 0xd5, 0xd9, 0x62, 0x65, 0x69, 0x73),
    ),
    kind: fc.constantFrom("set", "set", "insert", "remove"),
  }),
  { maxLength: 4 },
);

function mutate(bytes: Uint8Array, changes: readonly { at: number; byte: number; kind: string }[]): Uint8Array {
  const current = Array.from(bytes);
  for (const { at, byte, kind } of changes) {
    const place = at % current.length;
    if (kind === "set") current[place] = byte;
    else if (kind === "insert") current.splice(place, 0, byte);
    else current.splice(place, 1);
  }
  return Uint8Array.from(current);
}

const events = fc.array(fc.oneof(goodEvent, spoiledEvent, fc.constantFrom<unknown>(1, null, [], { sessionId: "s" })), {
  minLength: 2,
  maxLength: 6,
});

test("msgpack, with maps and with records of few and many shapes", () => {
  let split = 0;
  fc.assert(
    fc.property(events, fc.constantFrom(0, 2, 64, 200), mutations, (batch, shapes, changes) => {
      const options = { useRecords: shapes > 0, maxOwnStructures: shapes, moreTypes: true, variableMapSize: true };
      let bytes: Uint8Array;
      try {
        bytes = Uint8Array.from(new Packr(options).pack({ t: "pub", seq: 1, events: batch, rest: batch }));
      } catch {
        return;
      }
      if (assertRouted(bytes, FRAME_FORMATS.msgpack) > 1) split++;
      assertRouted(mutate(bytes, changes), FRAME_FORMATS.msgpack);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(split > 500, `only ${split} were split`);
});

test("JSON and NDJSON", () => {
  fc.assert(
    fc.property(events, fc.boolean(), mutations, (batch, asLines, changes) => {
      const texts = batch.map((event) =>
        JSON.stringify(event, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
      );
      const bytes = Buffer.from(asLines ? texts.join("\n") : `{"t":"pub","events":[${texts.join(" , ")}]}`);
      const format = asLines ? FRAME_FORMATS.ndjson : FRAME_FORMATS.json;
      assertRouted(bytes, format);
      assertRouted(mutate(bytes, changes), format);
    }),
    { numRuns: 1_000 },
  );
});
