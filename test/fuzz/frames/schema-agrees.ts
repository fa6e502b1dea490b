/** What the zod schema says of each event of a frame is the verdict that the reader gave it. */
import assert from "node:assert/strict";
import { analyticsEventAt } from "../../../protocol/event.ts";
import { FRAME_FORMATS, type EventColumns } from "../../../protocol/event-columns.ts";
import { readEvents } from "../../../protocol/event-reader.ts";
import { WeirError } from "../../../protocol/error-codes.ts";
import { isPlainMap } from "../../../protocol/plain-values.ts";
import { ACCEPTED, codeOf } from "../../../protocol/verdicts.ts";
import { INGEST_MS } from "./odd-values.ts";

const schema = analyticsEventAt(INGEST_MS);

export interface Agreement {
  readonly accepted: number;
  readonly refused: number;
}

/** Throws an AssertionError where they disagree. A frame that cannot be read has no events. The schema's time is INGEST_MS. */
export function checkAgainstSchema(bytes: Uint8Array, ingestTimeMs = INGEST_MS): Agreement {
  const request = { format: FRAME_FORMATS.msgpack, bytes, tenant: "strangers", ingestTimeMs, partitionCount: 16 };
  let columns: EventColumns;
  try {
    columns = readEvents(request);
  } catch (error) {
    if (error instanceof WeirError) return { accepted: 0, refused: 0 };
    throw error;
  }
  let accepted = 0;
  for (let row = 0; row < columns.count; row++) {
    const verdict = columns.verdicts[row] ?? ACCEPTED;
    if (verdict === ACCEPTED) accepted++;
    const checked = schema.safeParse(asSchemaSees(columns.events[row]));
    assert.equal(checked.success, verdict === ACCEPTED, `row ${row}: ${codeOf(verdict) ?? "accepted"}, zod: ${checked.error}`);
  }
  return { accepted, refused: columns.count - accepted };
}

/** A msgpack timestamp reaches the schema as epoch milliseconds. */
function asSchemaSees(event: unknown): unknown {
  if (!isPlainMap(event) || !(event["timestamp"] instanceof Date)) return event;
  return { ...event, timestamp: event["timestamp"].getTime() };
}
