/**
 * The rows of a frame that the plain reader is not sure of, when they are few: they are cut out of the frame and left to the
 * reference, one by one, so that an invalid event costs its own time and not that of the whole frame. (One in a hundred would
 * else make nearly every frame three times as slow: `npm run bench -- ingest`.) The plain reader calls it; the columns must equal
 * the reference's for the whole frame, to which `plain-reader.property.test.ts` holds them.
 */
import { WeirError } from "./error-codes.ts";
import type { MsgpackBatch } from "./event-batch.ts";
import type { EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import { eventAlone, scanEvent } from "./msgpack-slices.ts";
import { EXTENSION_RECORD } from "./plain-cursor.ts";

/** Cutting out more than this share of the rows costs more than reading the frame again. */
const ODD_SHARE_MAX = 1 / 4;
const LIST_OF_ONE = 0x91;
const RECORD = 0xd4;

export interface OddRow {
  readonly row: number;
  /** A batch of this event alone. */
  readonly event: MsgpackBatch;
}

/** What lies where in the event of a row, which begins at `start`; undefined: the frame as a whole is one for the reference. */
export function scanOddRow(
  bytes: Uint8Array,
  start: number,
  definitions: readonly number[],
  oddRows: number,
  rows: number,
): MsgpackBatch | undefined {
  if (oddRows + 1 > rows * ODD_SHARE_MAX) return undefined;
  const event = tolerant(() => scanEvent(bytes, definitions, start));
  return event === undefined || event.needsCare || event.marks.some(({ shape }) => shape.highByte >= 0) ? undefined : event;
}

/** Where the definitions of shapes in an event begin. */
export function definitionsIn(bytes: Uint8Array, { marks }: MsgpackBatch): number[] {
  const places = marks.map(({ from }) => from);
  return places.filter((from) => bytes[from] === RECORD && bytes[from + 1] === EXTENSION_RECORD);
}

/** The columns of the event of an odd row; undefined: they may differ from those that it has in the frame. */
export function readOddRow(request: ReadRequest, event: MsgpackBatch): EventColumns | undefined {
  const alone = eventAlone(request.bytes, event, 0);
  if (alone === undefined) return undefined;
  const frame = new Uint8Array(1 + alone.length);
  frame[0] = LIST_OF_ONE;
  frame.set(alone, 1);
  const columns = tolerant(() => readEvents({ ...request, bytes: frame }));
  return columns?.count === 1 ? columns : undefined;
}

function tolerant<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof WeirError) return undefined;
    throw error;
  }
}
