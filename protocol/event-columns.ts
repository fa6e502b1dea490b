/**
 * A frame's events as columns: what the reader makes of bytes and what actors work on.
 * Row `i` is the i-th event of the frame in input order. A row whose verdict is not ACCEPTED is already decided;
 * its other columns may hold empty values. Actors may only lower a row's fate: ACCEPTED -> another verdict.
 * Texts are strings of their own, not slices of a frame's (`flat-text.ts`): they may be kept.
 */
import type { FieldColumn } from "./field-column.ts";
import type { FieldValue } from "./field-path.ts";
import type { TextColumn } from "./text-column.ts";

export interface EventColumns {
  readonly count: number;
  /** One verdict byte a row (`verdicts.ts`); the reader sets what it refuses, actors the rest. */
  readonly verdicts: Uint8Array;
  /** The path of what is wrong, for rows that the reader refused: `properties.amount`, `timestamp`. */
  readonly wrongPaths: ReadonlyMap<number, string>;
  /** Empty text where the event had no usable one. */
  readonly eventIds: TextColumn;
  readonly sessionIds: readonly string[];
  readonly userIds: readonly (string | undefined)[];
  readonly eventTypes: readonly string[];
  readonly eventTimesMs: Float64Array;
  /** `partitionOf(tenant, sessionId)`; rows without a session id count as session "". */
  readonly partitions: Uint16Array;
  /** The decoded events, `timestamp` as epoch milliseconds. Only rows with verdict ACCEPTED may be relied on. */
  readonly events: readonly unknown[];
  /** One field of every row, by its full path; made once a frame and shared by all who ask. */
  field(path: string): readonly FieldValue[];
  /** The same with what is known of its values; rows that are refused may hold anything there. */
  column(path: string): FieldColumn;
  /** What others have derived from these columns, by whom it belongs to: so that it is derived once. */
  readonly derived: Map<object, unknown>;
  /**
   * The event alone as self-contained bytes in the frame's format (JSON for JSON and NDJSON), for a dead letter. They hold until
   * the next call. Not self-contained where its record shapes would be many times its size.
   */
  raw(row: number): Uint8Array;
  /** Nobody reads these columns, nor anything that lies in them, from here on: they may be filled with another frame. */
  release(): void;
}

/** How the bytes of a frame are to be read. The numbers are part of the journal format. */
export const FRAME_FORMATS = { msgpack: 0, json: 1, ndjson: 2 } as const;
export type FrameFormat = (typeof FRAME_FORMATS)[keyof typeof FRAME_FORMATS];
