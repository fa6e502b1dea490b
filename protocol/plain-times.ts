/** Times as texts of a form that few producers write, which `wasm/read-times.ts` leaves to the plain reader. */
import { asciiText, isAscii, type FrameBytes } from "./interner.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Of the text of up to 255 bytes whose head is at `at`, all of it within the frame: epoch milliseconds; NaN: no time. */
export function plainTextTime(frame: FrameBytes, at: number): number {
  const token = frame.bytes[at] ?? 0;
  const isLong = token === 0xd9;
  const from = isLong ? at + 2 : at + 1;
  const length = isLong ? (frame.bytes[at + 1] ?? 0) : token - 0xa0;
  return isAscii(frame, from, length) ? parseTimestamp(asciiText(frame.bytes, from, from + length)) : Number.NaN;
}
