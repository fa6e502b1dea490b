/** A sealed record comes back as it was written; one in which anything changed is refused; one without a seal is read as before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../../protocol/bytes.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { defaultMetrics } from "../../protocol/metric-definition.ts";
import { encodeRecord, type JournalRecord } from "../../protocol/records.ts";
import { openRecord, sealedBytesMax, writeSealed } from "../../workers/sealed-record.ts";

const tenant = "demo" as TenantId;
const frame = (bytes: Uint8Array): JournalRecord => ({
  kind: "frame",
  tenant,
  format: 0,
  ingestTimeMs: 1,
  decodable: true,
  verdicts: Uint8Array.of(0, 4),
  bytes,
});
const definitions: JournalRecord = { kind: "definitions", tenant, ingestTimeMs: 1, definitions: defaultMetrics };

function seal(record: JournalRecord): Uint8Array {
  const writer = new ByteWriter();
  writeSealed(record, writer);
  return writer.finish();
}

test("a record comes back, also from behind others in one writer", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 }), (all) => {
      const writer = new ByteWriter(16);
      for (const bytes of all) {
        const start = writer.length;
        writeSealed(frame(bytes), writer);
        assert.ok(writer.length - start <= sealedBytesMax(frame(bytes)));
        assert.deepEqual(openRecord(writer.since(start)), frame(bytes));
      }
    }),
  );
  assert.deepEqual(openRecord(seal(definitions)), definitions);
});

test("any flipped bit and any cut is found", () => {
  for (const record of [frame(Uint8Array.of(7, 8, 9, 250)), definitions]) {
    const bytes = seal(record);
    const isRefused = (error: unknown): boolean => error instanceof WeirError && error.code.startsWith("WEIR_START_DATA_");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => openRecord(damaged), isRefused, `bit ${bit}`);
    }
    for (let end = 5; end < bytes.length; end++) assert.throws(() => openRecord(bytes.subarray(0, end)), isRefused);
    assert.throws(() => openRecord(new Uint8Array(0)), isRefused);
  }
});

test("a record of before there were seals is read", () => {
  for (const record of [frame(Uint8Array.of(1, 2, 3)), definitions]) assert.deepEqual(openRecord(encodeRecord(record)), record);
});
