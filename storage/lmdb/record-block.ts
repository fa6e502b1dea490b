/**
 * Several small records as one value of LMDB: a commit of many small records costs mostly what LMDB takes for each entry, so
 * the journal writes them as blocks (figures: docs/decisions/0017-small-records-share-an-entry.md).
 * The law: reading gives what entries of their own would give (`test/storage/ports.model.test.ts`).
 *
 *   key:    u64 0 | u64 offset of the first record | u16 number of records, big-endian
 *   value:  u32 CRC-32 of the lengths | u16 length of each record | the records, without gaps
 *
 * The keys of blocks are apart from those of records, so that trimming finds blocks without a look at each record. How many
 * records there are is in the key, so damage of a value never moves an offset. Each record carries a checksum of its own
 * (`workers/sealed-record.ts`): a flip in one is found there, and its neighbours are read. Lengths that are damaged take all
 * records of the block with them: each is given as no bytes, which no record is, and so is refused with its offset.
 */
import { crc32 } from "../checksum.ts";

/** Fewer in a row stay entries of their own: a block saves nothing then. */
export const BLOCK_RECORDS_MIN = 8;
/** The same with less than this: a block takes whole pages of LMDB, and most of its only page would be empty. */
export const BLOCK_BYTES_MIN = 3_072;
export const BLOCK_RECORDS_MAX = 1024;
/** Larger records stay entries of their own. */
export const BLOCK_RECORD_BYTES_MAX = 1024;
/** Four pages of LMDB with the head that it writes in front. Reading one record takes its whole block from the disk. */
export const BLOCK_BYTES_MAX = 4 * 4096 - 16;

export const BLOCK_HEAD_BYTES = 4;
/** Of each record, behind the head. */
export const LENGTH_BYTES = 2;
const DAMAGED = new Uint8Array(0);

/** Writes `records[from..to)` into a block of just their size: the head, and the length and the bytes of each. */
export function writeBlock(records: readonly Uint8Array[], from: number, to: number, block: Uint8Array): void {
  const lengthsEnd = BLOCK_HEAD_BYTES + LENGTH_BYTES * (to - from);
  let length = BLOCK_HEAD_BYTES;
  let place = lengthsEnd;
  for (let index = from; index < to; index++) {
    const record = records[index] ?? DAMAGED;
    block[length++] = record.length >>> 8;
    block[length++] = record.length & 0xff;
    block.set(record, place);
    place += record.length;
  }
  viewOf(block).setUint32(0, crc32(block.subarray(BLOCK_HEAD_BYTES, lengthsEnd)));
}

/** The places of the records in a block: `ends[n]` is where record n ends, and the next begins. */
export class RecordBlock {
  readonly first: number;
  readonly records: number;
  readonly #value: Uint8Array;
  /** Undefined: the lengths are damaged. */
  readonly #ends: Uint32Array | undefined;

  constructor(first: number, records: number, value: Uint8Array) {
    this.first = first;
    this.records = records;
    this.#value = value;
    this.#ends = endsOf(records, value);
  }

  holds(offset: number): boolean {
    return offset >= this.first && offset < this.first + this.records;
  }

  /** A view; empty when the lengths of the block are damaged. */
  at(offset: number): Uint8Array {
    if (this.#ends === undefined) return DAMAGED;
    const index = offset - this.first;
    return this.#value.subarray(this.#ends[index], this.#ends[index + 1]);
  }
}

function endsOf(records: number, value: Uint8Array): Uint32Array | undefined {
  const lengthsEnd = BLOCK_HEAD_BYTES + LENGTH_BYTES * records;
  if (value.length < lengthsEnd) return undefined;
  if (viewOf(value).getUint32(0) !== crc32(value.subarray(BLOCK_HEAD_BYTES, lengthsEnd))) return undefined;
  const ends = new Uint32Array(records + 1);
  let end = (ends[0] = lengthsEnd);
  for (let index = 0, at = BLOCK_HEAD_BYTES; index < records; index++, at += LENGTH_BYTES) {
    end += ((value[at] ?? 0) << 8) | (value[at + 1] ?? 0);
    ends[index + 1] = end;
  }
  return end === value.length ? ends : undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
