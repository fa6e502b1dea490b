/** What the hosts get of a frame, as one list: the whole frame for one host, or the shares of several. */
import type { FrameFormat } from "../../protocol/event-columns.ts";
import { splitFrame, type SplitRequest } from "../../protocol/split-frame.ts";

export interface HostPart {
  readonly host: number;
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
  /** Row of the part -> row of the frame; undefined: it is the whole frame. */
  readonly indexes: readonly number[] | undefined;
}

export function sharesOf(request: SplitRequest): HostPart[] {
  const { format, bytes } = request;
  const split = splitFrame(request);
  if (typeof split === "number") return [{ host: split, format, bytes, indexes: undefined }];
  return split.map((share) => ({ ...share, format }));
}
