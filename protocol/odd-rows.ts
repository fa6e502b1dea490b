/**
 * The rows of a frame that the plain reader is not sure of, when they are few: they are cut out of the frame and left to the
 * reference, one by one, so that an invalid event costs its own time and not that of the whole frame. (One in a hundred would
 * else make nearly every frame three times as slow: `npm run bench -- ingest`.) The plain reader calls it; the columns must equal
 * the reference's for the whole frame, to which `plain-reader.property.test.ts` holds them.
 */
import { WeirError } from "./error-codes.ts";
import type { EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import type { FrameBytes } from "./interner.ts";
import { plainListOfOne, type FrameShapes } from "./plain-slicer.ts";

/** Cutting out more than this share of the rows costs more than reading the frame again. */
const ODD_SHARE_MAX = 1 / 4;

/** An event that lies in the frame from `start` to before `end`. */
export interface OddRow {
  readonly row: number;
  readonly start: number;
  readonly end: number;
}

export function areFewOdd(oddRows: number, rows: number): boolean {
  return oddRows <= rows * ODD_SHARE_MAX;
}

/** The columns of the event that begins at `start`; undefined: they may differ from those that it has in the frame. */
export function readOddRow(
  request: ReadRequest,
  frame: FrameBytes,
  shapes: FrameShapes,
  start: number,
): EventColumns | undefined {
  const bytes = plainListOfOne(frame, shapes, start);
  if (bytes === undefined) return undefined;
  try {
    const columns = readEvents({ ...request, bytes });
    return columns.count === 1 ? columns : undefined;
  } catch (error) {
    if (error instanceof WeirError) return undefined;
    throw error;
  }
}
