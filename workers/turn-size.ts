/**
 * How many frames make a turn. A turn costs as much as dozens of events (a message, a commit, the end of the turn in every
 * partition), and its frames share that; on the other hand they wait for each other. Counted in frames alone, turns of frames of
 * one event would be too small and those of frames of a hundred too long, so it is frames and bytes. With frames of one event
 * that saves a quarter of the server's CPU time or more (`npm run bench -- ingest-batches`); frames of a hundred have turns as
 * if only frames were counted.
 */
import { limits } from "../protocol/limits.ts";

/** Whether a turn takes no more: with few bytes it goes on past the frames that are enough otherwise. */
export function isFullTurn(frames: number, bytes: number): boolean {
  if (frames >= limits.turnFramesMax || bytes >= limits.turnBytesMax) return true;
  return frames >= limits.turnFramesFull && bytes >= limits.turnBytesFull;
}

/** Whether so many begin a turn though a commit is running, and leave for the hosts though others left a moment ago. */
export function isWorthwhileTurn(frames: number, bytes: number): boolean {
  if (frames >= limits.turnFramesWorthwhile) return true;
  return frames >= limits.turnLargeFramesWorthwhile && bytes >= limits.turnBytesWorthwhile;
}
