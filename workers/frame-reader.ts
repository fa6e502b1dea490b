/** The reader of this thread: all that reads frames in it shares one memory of texts that were seen before. */
import type { EventColumns } from "../protocol/event-columns.ts";
import { FrameReader, type PlainRequest, type ReaderEvictions } from "../protocol/plain-reader.ts";
import { readProgram } from "./wasm-programs.ts";

const reader = new FrameReader(readProgram());

/** The columns of a frame, by the fast way if it can be. Throws what `readEvents` throws. */
export function readFrame(request: PlainRequest): EventColumns {
  return reader.read(request);
}

/** undefined: something in the frame is not plain. Throws nothing. `bytes` must stay as they are while the columns are used. */
export function readPlainFrame(request: PlainRequest): EventColumns | undefined {
  return reader.readPlain(request);
}

export function readerEvictions(): ReaderEvictions {
  return reader.evictions;
}
