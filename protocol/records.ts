/**
 * Journal records: what a host writes before it answers. A frame record holds the frame's bytes as they came and the verdict of
 * each event, so a replay can both repeat the decisions and check them, and the warehouse writer need not decide again.
 * The layout is part of the on-disk format; on disk a record stands behind a checksum (`workers/sealed-record.ts`):
 *
 *   frame:        u8 1 | u8 kind 1 | u8 format | u8 decodable | f64 ingestTimeMs | text tenant | block verdicts | block bytes
 *   definitions:  u8 1 | u8 kind 2 | f64 ingestTimeMs | text tenant | text JSON list of metric definitions
 */
import { assert } from "./assert.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import { WeirError } from "./error-codes.ts";
import type { FrameFormat } from "./event-columns.ts";
import type { TenantId } from "./ids.ts";
import type { MetricDefinition } from "./metric-definition.ts";

const VERSION = 1;
const KIND_FRAME = 1;
const KIND_DEFINITIONS = 2;

export interface FrameRecord {
  readonly kind: "frame";
  readonly tenant: TenantId;
  readonly ingestTimeMs: number;
  readonly format: FrameFormat;
  /** False: the bytes could not be decoded; the frame counts as one invalid event. */
  readonly decodable: boolean;
  readonly verdicts: Uint8Array;
  readonly bytes: Uint8Array;
}

export interface DefinitionsRecord {
  readonly kind: "definitions";
  readonly tenant: TenantId;
  readonly ingestTimeMs: number;
  readonly definitions: readonly MetricDefinition[];
}

export type JournalRecord = FrameRecord | DefinitionsRecord;

export function encodeRecord(record: JournalRecord): Uint8Array {
  const writer = new ByteWriter(recordBytesMax(record));
  writeRecord(record, writer);
  return writer.take();
}

/** More than it takes, for a frame; for definitions about what it takes. */
export function recordBytesMax(record: JournalRecord): number {
  if (record.kind === "definitions") return 1024;
  return record.bytes.length + record.verdicts.length + record.tenant.length * 3 + 64;
}

export function writeRecord(record: JournalRecord, writer: ByteWriter): void {
  const isFrame = record.kind === "frame";
  writer.u8(VERSION);
  writer.u8(isFrame ? KIND_FRAME : KIND_DEFINITIONS);
  if (isFrame) {
    writer.u8(record.format);
    writer.u8(record.decodable ? 1 : 0);
  }
  writer.f64(record.ingestTimeMs);
  writer.text(record.tenant);
  if (isFrame) {
    writer.block(record.verdicts);
    writer.block(record.bytes);
  } else {
    writer.text(JSON.stringify(record.definitions));
  }
}

/** The result's bytes are views of the record. */
export function decodeRecord(record: Uint8Array): JournalRecord {
  const reader = new ByteReader(record);
  const version = reader.u8();
  if (version !== VERSION) throw new WeirError("WEIR_START_DATA_FORMAT", `Journal record version ${version}.`);
  const kind = reader.u8();
  if (kind === KIND_DEFINITIONS) {
    const ingestTimeMs = reader.f64();
    const tenant = reader.text() as TenantId;
    return { kind: "definitions", tenant, ingestTimeMs, definitions: JSON.parse(reader.text()) as MetricDefinition[] };
  }
  assert(kind === KIND_FRAME, "a journal record has a known kind");
  const format = reader.u8() as FrameFormat;
  const decodable = reader.u8() === 1;
  const ingestTimeMs = reader.f64();
  const tenant = reader.text() as TenantId;
  return { kind: "frame", tenant, ingestTimeMs, format, decodable, verdicts: reader.block(), bytes: reader.block() };
}
