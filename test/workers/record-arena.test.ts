/** Law: a record's bytes are its sealed ones and stay so until its offset is released; memory is used again after that. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TenantId } from "../../protocol/ids.ts";
import { ByteWriter } from "../../protocol/bytes.ts";
import type { JournalRecord } from "../../protocol/records.ts";
import { RecordArena } from "../../workers/record-arena.ts";
import { writeSealed } from "../../workers/sealed-record.ts";

const frame = (length: number, fill: number): JournalRecord => ({
  kind: "frame",
  tenant: "größer" as TenantId,
  format: 0,
  ingestTimeMs: fill,
  decodable: true,
  verdicts: new Uint8Array(3).fill(fill),
  bytes: new Uint8Array(length).fill(fill),
});

function sealed(record: JournalRecord): Uint8Array {
  const writer = new ByteWriter();
  writeSealed(record, writer);
  return writer.finish();
}

test("records stay as they are until they are released", () => {
  const step = fc.oneof(
    fc.record({ length: fc.oneof(fc.nat(2_000), fc.nat(400_000), fc.constant(1_500_000)), fill: fc.nat(255) }),
    fc.record({ releaseUpTo: fc.nat(60) }),
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), (steps) => {
      const arena = new RecordArena();
      const held = new Map<number, { bytes: Uint8Array; record: JournalRecord }>();
      let last = 0;
      let durable = 0;
      for (const each of steps) {
        if ("releaseUpTo" in each) {
          durable = Math.max(durable, Math.min(each.releaseUpTo, last));
          for (const offset of held.keys()) if (offset <= durable) held.delete(offset);
          arena.release(durable);
          continue;
        }
        const record = frame(each.length, each.fill);
        held.set(++last, { record, bytes: arena.write(record, last) });
      }
      for (const { bytes, record } of held.values()) assert.equal(Buffer.compare(bytes, sealed(record)), 0);
    }),
    { numRuns: 60 },
  );
});

test("memory of released records is used again", () => {
  const arena = new RecordArena();
  const buffers = new Set<ArrayBufferLike>();
  for (let offset = 1; offset <= 2_000; offset++) {
    buffers.add(arena.write(frame(20_000, offset % 256), offset).buffer);
    arena.release(offset - 50);
  }
  assert.ok(buffers.size <= 4, `40 MB of records went through ${buffers.size} chunks`);
});

test("definitions of any length fit", () => {
  const arena = new RecordArena();
  const filter = {
    all: [],
    any: [{ field: "eventType", op: "in", values: Array.from({ length: 300_000 }, (_, index) => `${index}`) }],
  };
  const record = {
    kind: "definitions",
    tenant: "demo" as TenantId,
    ingestTimeMs: 1,
    definitions: [{ name: "long", filter }],
  } as unknown as JournalRecord;
  for (let offset = 1; offset < 4; offset++) assert.deepEqual(arena.write(record, offset), sealed(record));
});
