/**
 * Splits a frame's events by the host of their partition: one self-contained frame for each host that has any, by copying
 * bytes, in the order of the frame. Only session ids are decoded. The gateway calls it when there are several hosts.
 *
 * Promise: the events of all shares are the events of the frame; each lies in the share of the host that `hostOf` says for
 * the partition that the reader will compute; a frame that the reader would refuse goes whole to the host of the empty
 * session, which refuses it and keeps it as a dead letter.
 */
import { WeirError } from "./error-codes.ts";
import { scanMsgpackBatch, type EventBatch, type MsgpackBatch } from "./event-batch.ts";
import { FRAME_FORMATS, type FrameFormat } from "./event-columns.ts";
import type { PartitionId } from "./ids.ts";
import { parseJsonEvents, parseNdjsonEvents, sliceJsonEvents } from "./json-batch.ts";
import { MsgpackShare } from "./msgpack-slices.ts";
import { partitionOf } from "./partition-hash.ts";
import { PlainSplitter, type SplitProgram } from "./plain-splitter.ts";
import { isPlainMap } from "./plain-values.ts";
import { usableId } from "./text-rules.ts";

export interface SplitRequest {
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
  readonly tenant: string;
  readonly partitionCount: number;
  /** Says the same of a partition each time it is asked. */
  readonly hostOf: (partition: PartitionId) => number;
}

export interface FrameShare {
  readonly host: number;
  readonly bytes: Uint8Array;
  /** Row of the share -> row of the whole frame. */
  readonly indexes: readonly number[];
}

export class FrameSplitter {
  readonly #plain: PlainSplitter;

  constructor(program: SplitProgram) {
    this.#plain = new PlainSplitter(program);
  }

  /**
   * The host that has all of it, or at least two shares. Their bytes may be overwritten by the next call. Throws
   * WEIR_FRAME_TOO_LARGE for a msgpack frame whose record shapes would blow up its shares.
   */
  split(request: SplitRequest): number | readonly FrameShare[] {
    const plain = request.format === FRAME_FORMATS.msgpack ? this.#plain.split(request) : undefined;
    return plain ?? splitAnyFrame(request);
  }
}

/** The general way, for frames of any format. */
export function splitAnyFrame({ format, bytes, tenant, partitionCount, hostOf }: SplitRequest): number | readonly FrameShare[] {
  let split: Split;
  try {
    split = readSplit(format, bytes);
  } catch (error) {
    if (!(error instanceof WeirError)) throw error;
    return hostOf(partitionOf(tenant, "", partitionCount));
  }
  const rowsByHost = new Map<number, number[]>();
  for (let row = 0; row < split.count; row++) {
    const host = hostOf(partitionOf(tenant, split.sessionId(row), partitionCount));
    const rows = rowsByHost.get(host);
    if (rows === undefined) rowsByHost.set(host, [row]);
    else rows.push(row);
  }
  if (rowsByHost.size <= 1) {
    return rowsByHost.keys().next().value ?? hostOf(partitionOf(tenant, "", partitionCount));
  }
  return Array.from(rowsByHost, ([host, rows]) => ({ host, bytes: split.share(rows), indexes: rows }));
}

interface Split {
  readonly count: number;
  /** Empty text where the event has no usable one. */
  sessionId(row: number): string;
  share(rows: readonly number[]): Uint8Array;
}

function readSplit(format: FrameFormat, bytes: Uint8Array): Split {
  switch (format) {
    case FRAME_FORMATS.msgpack:
      return msgpackSplit(bytes, scanMsgpackBatch(bytes, true));
    case FRAME_FORMATS.json: {
      const events = parseJsonEvents(bytes);
      return textSplit(bytes, sliceJsonEvents(bytes), events, '{"events":[', ",", "]}");
    }
    case FRAME_FORMATS.ndjson: {
      const batch = parseNdjsonEvents(bytes);
      return textSplit(bytes, batch, batch.events, "", "\n", "\n");
    }
  }
}

function msgpackSplit(bytes: Uint8Array, batch: MsgpackBatch): Split {
  const { sessionStarts, sessionLengths } = batch;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    count: batch.count,
    sessionId(row) {
      const start = sessionStarts[row] ?? 0;
      const length = sessionLengths[row] ?? -1;
      return length <= 0 ? "" : usableId(decodeText(buffer, start, start + length));
    },
    share(rows) {
      const share = new MsgpackShare(bytes, batch, Math.ceil((bytes.length * (rows.length + 1)) / batch.count) + 256);
      share.writeHead(rows.length);
      for (const row of rows) share.writeEvent(row);
      return share.finish();
    },
  };
}

function decodeText(buffer: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) if ((buffer[at] ?? 0) >= 0x80) return buffer.toString("utf8", start, end);
  return buffer.toString("latin1", start, end);
}

function textSplit(
  bytes: Uint8Array,
  slices: EventBatch,
  events: readonly unknown[],
  head: string,
  separator: string,
  tail: string,
): Split {
  return {
    count: events.length,
    sessionId(row) {
      const event = events[row];
      return isPlainMap(event) ? usableId(event["sessionId"]) : "";
    },
    share(rows) {
      const parts: Uint8Array[] = [Buffer.from(head)];
      for (const row of rows) {
        if (parts.length > 1) parts.push(Buffer.from(separator));
        parts.push(bytes.subarray(slices.starts[row], slices.ends[row]));
      }
      parts.push(Buffer.from(tail));
      return Buffer.concat(parts);
    },
  };
}
