/** Journal records come back as they were written; their layout is on disk, so it is pinned; an unknown one is refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { defaultMetrics } from "../../protocol/metric-definition.ts";
import { decodeRecord, encodeRecord, type FrameRecord, type JournalRecord } from "../../protocol/records.ts";

const frame: FrameRecord = {
  kind: "frame",
  tenant: "demo" as TenantId,
  ingestTimeMs: 1,
  format: FRAME_FORMATS.ndjson,
  decodable: true,
  verdicts: Uint8Array.of(0, 4),
  bytes: Uint8Array.of(7, 8, 9),
};

/** Blocks come back as views of whatever array the record was in. */
function copied(record: JournalRecord): JournalRecord {
  return record.kind === "frame"
    ? { ...record, verdicts: Uint8Array.from(record.verdicts), bytes: Uint8Array.from(record.bytes) }
    : record;
}

describe("a journal record", () => {
  it("of a frame comes back", () => {
    const record: fc.Arbitrary<FrameRecord> = fc.record(
      {
        kind: fc.constant("frame" as const),
        tenant: fc.constantFrom("demo" as TenantId, `a${"-".repeat(63)}` as TenantId),
        ingestTimeMs: fc.maxSafeNat(),
        format: fc.constantFrom(...Object.values(FRAME_FORMATS)),
        decodable: fc.boolean(),
        verdicts: fc.uint8Array({ maxLength: 300 }),
        bytes: fc.uint8Array({ maxLength: 1_000 }),
      },
      { noNullPrototype: true },
    );
    fc.assert(fc.property(record, (each) => assert.deepEqual(copied(decodeRecord(encodeRecord(each))), each)));
  });
  it("of definitions comes back", () => {
    const record: JournalRecord = {
      kind: "definitions",
      tenant: "demo" as TenantId,
      ingestTimeMs: 1.5e12,
      definitions: defaultMetrics,
    };
    assert.deepEqual(decodeRecord(encodeRecord(record)), record);
  });
  it("has the layout that is on disk", () => {
    const text = [1, 1, 2, 1, ...[0, 0, 0, 0, 0, 0, 0xf0, 0x3f], 4, ...Buffer.from("demo"), 2, 0, 4, 3, 7, 8, 9];
    assert.deepEqual([...encodeRecord(frame)], text);
    const definitions = encodeRecord({ kind: "definitions", tenant: "demo" as TenantId, ingestTimeMs: 1, definitions: [] });
    assert.deepEqual([...definitions], [1, 2, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 4, ...Buffer.from("demo"), 2, ...Buffer.from("[]")]);
  });
  it("gives views of its bytes, also out of the middle of a buffer", () => {
    const bytes = encodeRecord(frame);
    const page = new Uint8Array(bytes.length + 20);
    page.set(bytes, 10);
    const record = decodeRecord(page.subarray(10, 10 + bytes.length));
    assert.deepEqual(copied(record), frame);
    assert.equal(record.kind === "frame" && record.bytes.buffer, page.buffer);
  });
  it("of an unknown version or kind is refused", () => {
    const bytes = encodeRecord(frame);
    const isFormat = (error: unknown) => error instanceof WeirError && error.code === "WEIR_START_DATA_FORMAT";
    for (const version of [0, 2, 255]) assert.throws(() => decodeRecord(Uint8Array.of(version, ...bytes.subarray(1))), isFormat);
    assert.throws(() => decodeRecord(Uint8Array.of(1, 9, ...bytes.subarray(2))), AssertionError);
  });
  it("that is cut is no record", () => {
    const bytes = encodeRecord(frame);
    for (let end = 0; end < bytes.length; end++) assert.throws(() => decodeRecord(bytes.subarray(0, end)), RangeError);
  });
});
