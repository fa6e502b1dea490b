/**
 * The rows of a frame that the plain reader is not sure of, when they are few: they are cut out of the frame and left to the
 * reference, one by one, so that an invalid event costs its own time and not that of the whole frame. (One in a hundred would
 * else make nearly every frame three times as slow: `npm run bench -- ingest`.) The plain reader calls it; the columns must equal
 * the reference's for the whole frame, to which `plain-reader.property.test.ts` holds them.
 */
import { WeirError } from "./error-codes.ts";
import { scanMsgpackBatch, type MsgpackBatch } from "./event-batch.ts";
import type { EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import { eventAlone } from "./msgpack-slices.ts";
import { EXTENSION_RECORD } from "./plain-cursor.ts";

/** Cutting out more than this share of the rows costs more than reading the frame again. */
const ODD_SHARE_MAX = 1 / 4;
const LIST_OF_ONE = 0x91;
const RECORD = 0xd4;

export class OddRows {
  readonly #rows: number[] = [];
  #batch: MsgpackBatch | undefined;

  clear(): void {
    this.#rows.length = 0;
    this.#batch = undefined;
  }

  get rows(): readonly number[] {
    return this.#rows;
  }

  /** The frame's scan, with marks, once there was an odd row. */
  get batch(): MsgpackBatch | undefined {
    return this.#batch;
  }

  /** Takes the event of a row, which begins at `at`, for odd; false: the frame as a whole is one for the reference. */
  take(bytes: Uint8Array, row: number, count: number, at: number): boolean {
    if (this.#rows.length + 1 > count * ODD_SHARE_MAX) return false;
    this.#batch ??= scan(bytes);
    const batch = this.#batch;
    if (batch === undefined || batch.hasForeign || batch.count !== count || batch.starts[row] !== at) return false;
    this.#rows.push(row);
    return true;
  }

  endOf(row: number): number {
    return this.#batch?.ends[row] ?? 0;
  }

  /** Where the definitions of shapes in the event of an odd row begin; undefined: one is of a kind that plain frames lack. */
  definitionsIn(bytes: Uint8Array, row: number): number[] | undefined {
    const { marks = [], markStarts = [] } = this.#batch ?? {};
    const found: number[] = [];
    for (const { from, shape } of marks.slice(markStarts[row], markStarts[row + 1])) {
      if (shape.highByte >= 0) return undefined;
      if (bytes[from] === RECORD && bytes[from + 1] === EXTENSION_RECORD) found.push(from);
    }
    return found;
  }

  /** The columns of the event of an odd row alone; undefined: they may differ from those of the frame. */
  read(request: ReadRequest, row: number): EventColumns | undefined {
    const alone = this.#batch === undefined ? undefined : eventAlone(request.bytes, this.#batch, row);
    if (alone === undefined) return undefined;
    const frame = new Uint8Array(1 + alone.length);
    frame[0] = LIST_OF_ONE;
    frame.set(alone, 1);
    try {
      const columns = readEvents({ ...request, bytes: frame });
      return columns.count === 1 ? columns : undefined;
    } catch (error) {
      if (error instanceof WeirError) return undefined;
      throw error;
    }
  }
}

function scan(bytes: Uint8Array): MsgpackBatch | undefined {
  try {
    return scanMsgpackBatch(bytes, true);
  } catch (error) {
    if (error instanceof WeirError) return undefined;
    throw error;
  }
}
