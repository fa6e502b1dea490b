/**
 * The readers alone, without a server: forged frames by the hundred thousand. The plain reader, the reference, the shares of a split
 * frame and the zod schema say the same of each event. A frame follows from the seed and its number.
 */
import { FRAME_FORMATS } from "../../../protocol/event-columns.ts";
import { Random } from "../random.ts";
import { checkReaders } from "../readers-agree.ts";
import { forgeFrame } from "./forge-frame.ts";
import { INGEST_MS } from "./odd-values.ts";
import { checkAgainstSchema } from "./schema-agrees.ts";

export interface FrameFuzzOptions {
  readonly seed: number;
  readonly frames: number;
  /** The first one; 0 by default. */
  readonly from?: number;
  /** When the reader receives them; the schema receives them at INGEST_MS. */
  readonly ingestTimeMs?: number;
  readonly progress?: (frames: number) => void;
}

export interface FrameFuzzReport {
  readonly frames: number;
  /** Read the plain way. */
  readonly plain: number;
  /** Events, as the schema judged them. */
  readonly accepted: number;
  readonly refused: number;
}

export class FrameFailure extends Error {}

const PROGRESS_EVERY = 100_000;

/** Throws a FrameFailure that says how to make the frame again. */
export function fuzzFrames(options: FrameFuzzOptions): FrameFuzzReport {
  const { seed, frames, from = 0, ingestTimeMs = INGEST_MS, progress } = options;
  let plain = 0;
  let accepted = 0;
  let refused = 0;
  for (let index = from; index < from + frames; index++) {
    const bytes = forgeFrame(Random.ofCase(seed, index));
    try {
      if (checkReaders(FRAME_FORMATS.msgpack, bytes, ingestTimeMs)) plain++;
      const judged = checkAgainstSchema(bytes, ingestTimeMs);
      accepted += judged.accepted;
      refused += judged.refused;
    } catch (error) {
      const how = `seed ${seed}, frame ${index} (--frames 1 --seed ${seed} --case ${index})`;
      const hex = Buffer.from(bytes).toString("hex");
      throw new FrameFailure(`${how}: ${hex}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    if ((index + 1 - from) % PROGRESS_EVERY === 0) progress?.(index + 1 - from);
  }
  return { frames, plain, accepted, refused };
}
