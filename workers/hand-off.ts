/**
 * Frames on their way from the gateway to a host: many in one buffer, one message a tick. The buffer is filled by copying out
 * of the socket's memory (which is valid only during the callback) and then transferred, so a frame is copied once. The host
 * transfers it back when it is done with the frames, to be filled again: a new buffer each time would be garbage outside of V8's
 * heap, for which V8 collects the whole heap. For the same reason buffers have one size, and what does not fit goes with the next
 * message, rather than a buffer that grows by copies.
 *
 *   frame: u32 id | u16 tenant index | u8 format | u8 flags | f64 ingestTimeMs | u32 length | bytes
 */
import type { FrameFormat } from "../protocol/event-columns.ts";
import type { TenantId } from "../protocol/ids.ts";

const HEAD_BYTES = 20;
const FLAG_ALL_RESULTS = 1;
const CAPACITY_BYTES = 256 * 1024;
/** Buffers kept for reuse, 16 MiB of them: as many as are on their way while commits run. A burst must not be paid for ever. */
const SPARE_BUFFERS_MAX = 64;

/** A buffer with frames, on its way through a host. */
export interface HandedBatch {
  readonly buffer: ArrayBuffer;
  framesLeft: number;
}

export interface HandedFrame {
  readonly id: number;
  readonly tenant: TenantId;
  readonly format: FrameFormat;
  readonly allResults: boolean;
  readonly ingestTimeMs: number;
  /** A view of the batch's buffer; nothing else writes there. */
  readonly bytes: Uint8Array;
  /** Where they lie. */
  readonly batch?: HandedBatch;
}

export class FrameBatch {
  #bytes = new Uint8Array(CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #frames = 0;
  #tenants: TenantId[] = [];
  #spare: ArrayBuffer[] = [];

  get frames(): number {
    return this.#frames;
  }

  /** Whether a frame fits; one that is larger than any buffer goes alone. */
  hasRoomFor({ bytes }: Pick<HandedFrame, "bytes">): boolean {
    return this.#frames === 0 || this.#length + HEAD_BYTES + bytes.length <= this.#bytes.length;
  }

  add(frame: HandedFrame): void {
    this.#reserve(HEAD_BYTES + frame.bytes.length);
    let tenantIndex = this.#tenants.lastIndexOf(frame.tenant);
    if (tenantIndex === -1) tenantIndex = this.#tenants.push(frame.tenant) - 1;
    const at = this.#length;
    this.#view.setUint32(at, frame.id, true);
    this.#view.setUint16(at + 4, tenantIndex, true);
    this.#view.setUint8(at + 6, frame.format);
    this.#view.setUint8(at + 7, frame.allResults ? FLAG_ALL_RESULTS : 0);
    this.#view.setFloat64(at + 8, frame.ingestTimeMs, true);
    this.#view.setUint32(at + 16, frame.bytes.length, true);
    this.#bytes.set(frame.bytes, at + HEAD_BYTES);
    this.#length = at + HEAD_BYTES + frame.bytes.length;
    this.#frames++;
  }

  /** Gives the buffer away; the batch is empty again. */
  take(): { batch: Uint8Array<ArrayBuffer>; tenants: TenantId[] } {
    const taken = { batch: this.#bytes.subarray(0, this.#length), tenants: this.#tenants };
    this.#bytes = new Uint8Array(this.#spare.pop() ?? new ArrayBuffer(CAPACITY_BYTES));
    this.#view = new DataView(this.#bytes.buffer);
    this.#length = 0;
    this.#frames = 0;
    this.#tenants = [];
    return taken;
  }

  /** Takes back buffers that were given away. */
  recycle(buffers: readonly ArrayBuffer[]): void {
    for (const buffer of buffers) {
      if (this.#spare.length < SPARE_BUFFERS_MAX && buffer.byteLength === CAPACITY_BYTES) this.#spare.push(buffer);
    }
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

export function unpackFrames(batch: Uint8Array<ArrayBuffer>, tenants: readonly TenantId[]): HandedFrame[] {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const frames: HandedFrame[] = [];
  const handed: HandedBatch = { buffer: batch.buffer, framesLeft: 0 };
  let at = 0;
  while (at < batch.length) {
    const length = view.getUint32(at + 16, true);
    const tenant = tenants[view.getUint16(at + 4, true)];
    if (tenant === undefined) throw new RangeError("a frame names no tenant of its batch");
    frames.push({
      id: view.getUint32(at, true),
      tenant,
      format: view.getUint8(at + 6) as FrameFormat,
      allResults: (view.getUint8(at + 7) & FLAG_ALL_RESULTS) !== 0,
      ingestTimeMs: view.getFloat64(at + 8, true),
      bytes: batch.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length),
      batch: handed,
    });
    at += HEAD_BYTES + length;
  }
  handed.framesLeft = frames.length;
  return frames;
}
