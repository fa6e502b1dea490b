/**
 * Self-contained msgpack from parts of a frame, by copying bytes. A record refers to a shape by an id that was defined
 * somewhere before it, perhaps in another event and perhaps defined anew in between; here each reference is checked against
 * what the output has defined so far, and the definition is written in its place when it is not there. A second identical
 * definition becomes a reference. What is not part of a record's head is copied as it is.
 */
import { ByteWriter } from "./bytes.ts";
import { WeirError } from "./error-codes.ts";
import { scanMsgpackBatch, type MsgpackBatch } from "./event-batch.ts";
import { baseIndexOf, MsgpackScanner, NESTING_MAX, type RecordMark, type RecordShape } from "./msgpack-scanner.ts";

/** How far definitions may blow up an output: a frame made for it could repeat a long one for each tiny record. */
const GROWTH_MAX = 4;
const GROWTH_BYTES_FREE = 64 * 1024;
/** The same for one event alone: its own bytes are mostly larger than its keys, and never a thousandth of them. */
const EVENT_GROWTH_MAX = 16;
const EVENT_GROWTH_BYTES_FREE = 256;
/** What is left of the levels within a publish message and its list. */
export const EVENT_NESTING_MAX = NESTING_MAX - 2;

export class MsgpackShare {
  readonly #bytes: Uint8Array;
  readonly #batch: MsgpackBatch;
  readonly #writer: ByteWriter;
  readonly #shapes = new Map<number, RecordShape>();
  readonly #bytesMax: number;

  constructor(bytes: Uint8Array, batch: MsgpackBatch, capacityBytes: number, bytesMax = shareGrowthMax(bytes.length)) {
    this.#bytes = bytes;
    this.#batch = batch;
    this.#bytesMax = bytesMax;
    this.#writer = new ByteWriter(capacityBytes);
  }

  /** `{events: [...]}` up to its first event. */
  writeHead(count: number): void {
    for (const byte of [0x81, 0xa6, 0x65, 0x76, 0x65, 0x6e, 0x74, 0x73, 0xdd]) this.#writer.u8(byte);
    for (let shift = 24; shift >= 0; shift -= 8) this.#writer.u8((count >>> shift) & 0xff);
  }

  /** Throws WEIR_FRAME_TOO_LARGE for a frame whose shapes would blow up the output. */
  writeEvent(row: number): void {
    if (!this.tryWriteEvent(row)) throw new WeirError("WEIR_FRAME_TOO_LARGE", "Its record shapes repeat too often.");
  }

  /** false: its shapes would blow up the output, which is of no use any more. */
  tryWriteEvent(row: number): boolean {
    const { starts, ends, marks, markStarts } = this.#batch;
    let from = starts[row] ?? 0;
    const last = markStarts[row + 1] ?? 0;
    for (let index = markStarts[row] ?? 0; index < last; index++) {
      const mark = marks[index];
      if (mark === undefined) break;
      this.#copy(from, mark.from);
      if (!this.#writeShape(mark.shape)) return false;
      from = mark.to;
    }
    this.#copy(from, ends[row] ?? 0);
    return true;
  }

  finish(): Uint8Array {
    return this.#writer.finish();
  }

  #copy(from: number, to: number): void {
    if (to > from) this.#writer.raw(this.#bytes.subarray(from, to));
  }

  #writeShape(shape: RecordShape): boolean {
    const id = 0x40 | baseIndexOf(this.#bytes, shape);
    if (this.#isDefined(shape)) {
      this.#writer.u8(id);
      if (shape.highByte >= 0) this.#writer.u8(shape.highByte);
      return true;
    }
    if (this.#writer.length + shape.to - shape.from > this.#bytesMax) return false;
    this.#shapes.set(shape.index, shape);
    this.#copy(shape.from, shape.to);
    return true;
  }

  /** Whether a reference in the output would be read as this shape. */
  #isDefined(shape: RecordShape): boolean {
    if (this.#shapes.get(shape.index) !== shape) return false;
    return shape.highByte <= 0 ? this.#isReachable(shape) : this.#shapes.get(baseIndexOf(this.#bytes, shape))?.highByte === 0;
  }

  /** A shape with low id and high byte 0 is filed where no reference looks for it. */
  #isReachable(shape: RecordShape): boolean {
    return shape.index === baseIndexOf(this.#bytes, shape);
  }
}

/**
 * The events of a msgpack frame alone, by row. The frame is scanned once, when the first one is asked for. An event that is tiny
 * beside the shapes that others define for it comes as its own bytes, which nobody can decode: repeating a long shape for each of
 * ten thousand such events would make gigabytes of one frame. Which ones these are follows from the frame alone.
 */
export function eventSlicer(bytes: Uint8Array): (row: number) => Uint8Array {
  let batch: MsgpackBatch | undefined;
  return (row) => {
    batch ??= scanMsgpackBatch(bytes, true);
    return sliceOf(bytes, batch, row);
  };
}

/** The same of a single event, for who knows where it begins, and where all definitions of shapes in the frame do, ascending. */
export function sliceEvent(bytes: Uint8Array, definitions: readonly number[], start: number): Uint8Array {
  return sliceOf(bytes, scanEvent(bytes, definitions, start), 0);
}

/** A batch of one event, with marks. Throws WEIR_FRAME_MALFORMED. */
export function scanEvent(bytes: Uint8Array, definitions: readonly number[], start: number): MsgpackBatch {
  const scanner = new MsgpackScanner(bytes);
  for (const at of definitions) {
    if (at >= start) break;
    scanner.at = at;
    scanner.next();
  }
  const marks: RecordMark[] = (scanner.marks = []);
  scanner.at = start;
  scanner.skip(EVENT_NESTING_MAX);
  const { at: end, needsCare } = scanner;
  const markStarts = [0, marks.length];
  return { count: 1, starts: [start], ends: [end], sessionStarts: [0], sessionLengths: [-1], marks, markStarts, needsCare };
}

/** Bytes that a share of a frame of this size may have. */
export function shareGrowthMax(size: number): number {
  return size * GROWTH_MAX + GROWTH_BYTES_FREE;
}

/** Bytes that an event of this size may have together with its shapes. */
export function eventGrowthMax(size: number): number {
  return size * EVENT_GROWTH_MAX + EVENT_GROWTH_BYTES_FREE;
}

/** One event with the shapes that it uses; undefined: they would be many times its own size. */
export function eventAlone(bytes: Uint8Array, batch: MsgpackBatch, row: number): Uint8Array | undefined {
  const size = (batch.ends[row] ?? 0) - (batch.starts[row] ?? 0);
  const share = new MsgpackShare(bytes, batch, size + 64, eventGrowthMax(size));
  return share.tryWriteEvent(row) ? share.finish() : undefined;
}

function sliceOf(bytes: Uint8Array, batch: MsgpackBatch, row: number): Uint8Array {
  return eventAlone(bytes, batch, row) ?? bytes.slice(batch.starts[row], batch.ends[row]);
}
