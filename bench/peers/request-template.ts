/**
 * A peer's request, encoded once and sent many times with fresh event ids. The ids are written by `frame-template.ts`, so
 * that a peer gets the same events as Weir, with the same repetitions. That one wants a `seq` in each frame: a request
 * without one gets five bytes before it, which are cut off again before it is sent.
 */
import { encodeTemplate, stampFrame, type EncodedTemplate } from "../frame-template.ts";
import type { WorkloadEvent, WorkloadParameters } from "../workload.ts";
import type { PeerGenerator } from "./peer.ts";

const SEQ_BYTES = 5;
const UINT32 = 0xce;

export class RequestTemplate {
  readonly #frame: EncodedTemplate | undefined;
  readonly #bytes: Buffer;

  constructor(events: readonly WorkloadEvent[], { ids, encode }: Pick<PeerGenerator, "ids" | "encode">) {
    this.#bytes = Buffer.from(encode(events));
    if (!ids) return;
    this.#frame = encodeTemplate(events, (seq) => {
      const head = Buffer.alloc(SEQ_BYTES, UINT32);
      head.writeUInt32BE(seq, 1);
      return Buffer.concat([head, this.#bytes]);
    });
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The bytes to send for frame number `frame` of the run; valid for good. */
  stamp(frame: number, workload: WorkloadParameters): Buffer {
    return this.#frame === undefined ? this.#bytes : stampFrame(this.#frame, frame, workload).subarray(SEQ_BYTES);
  }
}
