/**
 * Memory for the journal records of a host: they are written one behind the other into large chunks, and a chunk is used again
 * once all of its records are on disk. A buffer for each record would be garbage outside of V8's heap, and enough of that (a
 * host writes tens of MB a second) makes V8 collect its whole heap several times a second: a sixth of an event's time
 * (`npm run bench -- ingest`).
 *
 *   free chunks -> current: | record | record |     | -> full, up to offset n -> n is durable -> free
 */
import { ByteWriter } from "../protocol/bytes.ts";
import type { JournalRecord } from "../protocol/records.ts";
import { sealedBytesMax, writeSealed } from "./sealed-record.ts";

const CHUNK_BYTES = 1024 * 1024;
/** What a burst took is given back, not kept for ever. */
const FREE_CHUNKS_MAX = 16;

export class RecordArena {
  #current = new ByteWriter(CHUNK_BYTES);
  #lastOffset = 0;
  #full: { readonly chunk: ByteWriter; readonly lastOffset: number }[] = [];
  #free: ByteWriter[] = [];

  /** The record's bytes, which stay as they are until `offset` was released. Offsets ascend. */
  write(record: JournalRecord, offset: number): Uint8Array {
    const bytesMax = sealedBytesMax(record);
    if (this.#current.length > 0 && this.#current.length + bytesMax > CHUNK_BYTES) {
      this.#full.push({ chunk: this.#current, lastOffset: this.#lastOffset });
      this.#current = this.#free.pop() ?? new ByteWriter(CHUNK_BYTES);
    }
    this.#lastOffset = offset;
    const start = this.#current.length;
    writeSealed(record, this.#current);
    return this.#current.since(start);
  }

  /** Records up to here are on disk. */
  release(durableOffset: number): void {
    const stillNeeded = this.#full.findIndex(({ lastOffset }) => lastOffset > durableOffset);
    for (const { chunk } of this.#full.splice(0, stillNeeded === -1 ? this.#full.length : stillNeeded)) {
      if (this.#free.length >= FREE_CHUNKS_MAX) return;
      chunk.clear();
      this.#free.push(chunk);
    }
  }
}
