/** What the hosts get of a frame, as one list: the whole frame for one host, or the shares of several. */
import type { FrameFormat } from "../../protocol/event-columns.ts";
import { FrameSplitter, type SplitRequest } from "../../protocol/split-frame.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";

export interface HostPart {
  readonly host: number;
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
  /** Row of the part -> row of the frame; undefined: it is the whole frame. */
  readonly indexes: readonly number[] | undefined;
}

const splitter = new FrameSplitter(splitProgram());

export function sharesOf(request: SplitRequest): HostPart[] {
  const { format, bytes } = request;
  const split = splitter.split(request);
  if (typeof split === "number") return [{ host: split, format, bytes, indexes: undefined }];
  return split.map((share) => ({ ...share, format }));
}
