/**
 * Applies the frames of one turn, partition by partition: each partition takes all of its rows, in the order of frames and
 * rows, before the next one begins. A partition sees the same sequence as frame by frame (partitions share nothing), but its
 * ids, sessions and panes stay in the processor's cache meanwhile: with 16 partitions that halves the time of a row
 * (`npm run bench -- ingest`).
 */
import { assert } from "../protocol/assert.ts";
import { WeirError } from "../protocol/error-codes.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import type { Offset, PartitionId } from "../protocol/ids.ts";
import { partitionOf } from "../protocol/partition-hash.ts";
import { verdictOf } from "../protocol/verdicts.ts";
import type { FrameFacts, Partition } from "../actors/partition.ts";
import type { HandedFrame } from "./hand-off.ts";

const MALFORMED = verdictOf("WEIR_FRAME_MALFORMED");
const TOO_MANY_EVENTS = verdictOf("WEIR_FRAME_TOO_MANY_EVENTS");
const POISONED = verdictOf("WEIR_FRAME_POISONED");

/** The verdict of a frame of which nothing was taken. */
export function verdictOfRefused({ code }: WeirError): number {
  if (code === "WEIR_FRAME_POISONED") return POISONED;
  return code === "WEIR_FRAME_TOO_MANY_EVENTS" ? TOO_MANY_EVENTS : MALFORMED;
}

/** A frame that has been read, and the offset that its record will have. */
export interface FrameInTurn {
  readonly frame: HandedFrame;
  /** An error: nothing of it could be decoded. */
  readonly columns: EventColumns | WeirError;
  readonly offset: Offset;
  /** The partition that keeps it when nothing of it was taken; by default that of an empty session id. */
  readonly keptBy?: PartitionId;
}

/** Rows of one partition: frame and row in one number, so that the list holds small integers only. */
const ROW_BITS = 14;
const ROW_MASK = (1 << ROW_BITS) - 1;

/** Decides and counts every row; verdicts are in the frames' columns afterwards. */
export function applyTurn(
  frames: readonly FrameInTurn[],
  partitions: ReadonlyMap<PartitionId, Partition>,
  partitionCount: number,
): void {
  const rowsByPartition = sortRows(frames, partitionCount);
  const tenants = new Set(frames.map(({ frame }) => frame.tenant));
  rowsByPartition.forEach((rows, id) => {
    if (rows === undefined) return;
    const partition = partitions.get(id as PartitionId);
    assert(partition !== undefined, `partition ${id} is not hosted here`);
    applyRows(frames, rows, partition);
    partition.endTurn(tenants);
  });
}

function sortRows(frames: readonly FrameInTurn[], partitionCount: number): (number[] | undefined)[] {
  const sorted = new Array<number[] | undefined>(partitionCount).fill(undefined);
  frames.forEach(({ frame, columns, keptBy }, index) => {
    const rows = columns instanceof WeirError ? [keptBy ?? partitionOf(frame.tenant, "", partitionCount)] : columns.partitions;
    for (let row = 0; row < rows.length; row++) {
      const packed = (index << ROW_BITS) | row;
      const list = sorted[rows[row] ?? 0];
      if (list === undefined) sorted[rows[row] ?? 0] = [packed];
      else list.push(packed);
    }
  });
  return sorted;
}

function applyRows(frames: readonly FrameInTurn[], rows: readonly number[], partition: Partition): void {
  for (let at = 0; at < rows.length;) {
    const index = (rows[at] ?? 0) >> ROW_BITS;
    const { frame, columns, offset } = frames[index] as FrameInTurn;
    const facts: FrameFacts = { tenant: frame.tenant, offset, ingestTimeMs: frame.ingestTimeMs, format: frame.format };
    for (; at < rows.length && (rows[at] ?? 0) >> ROW_BITS === index; at++) {
      if (columns instanceof WeirError) partition.refuseFrame(facts, verdictOfRefused(columns), frame.bytes);
      else partition.apply(facts, columns, (rows[at] ?? 0) & ROW_MASK);
    }
    partition.settle(frame.tenant, offset);
  }
}
