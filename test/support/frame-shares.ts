/** What the hosts get of a frame, as one list: the whole frame for one host, or the shares of several. */
import type { FrameFormat } from "../../protocol/event-columns.ts";
import { PlainSplitter } from "../../protocol/plain-splitter.ts";
import { FrameSplitter, type FrameShare, type SplitRequest } from "../../protocol/split-frame.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";

export interface HostPart {
  readonly host: number;
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
  /** Row of the part -> row of the frame; undefined: it is the whole frame. */
  readonly indexes: readonly number[] | undefined;
}

const splitter = new FrameSplitter(splitProgram());
const plainSplitter = new PlainSplitter(splitProgram());

export function sharesOf(request: SplitRequest): HostPart[] {
  const { format, bytes } = request;
  const split = splitter.split(request);
  if (typeof split === "number") return [{ host: split, format, bytes, indexes: undefined }];
  return split.map((share) => ({ ...share, format }));
}

/** Of a msgpack frame by the fast way alone: one host, shares, or undefined where it gives up. */
export function plainShares(request: SplitRequest): readonly FrameShare[] | number | undefined {
  return plainSplitter.split(request);
}
