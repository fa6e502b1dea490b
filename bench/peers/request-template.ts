/**
 * A peer's request, encoded once and sent many times with fresh event ids. The ids are written by `frame-template.ts`, so
 * that a peer gets the same events as Weir, with the same repetitions. That one wants a `seq` in each frame: a request
 * without one gets five bytes before it, which are cut off again before it is sent.
 */
import { encodeTemplate, stampFrame, type EncodedTemplate } from "../frame-template.ts";
import type { WorkloadEvent } from "../workload.ts";
import type { PeerGenerator } from "./peer.ts";

const SEQ_BYTES = 5;
const UINT32 = 0xce;

export class RequestTemplate {
  readonly length: number;
  readonly #parts: readonly EncodedTemplate[];
  readonly #bytes: Buffer;

  /** `numbersBack`: as the plan of the workload says of this template. */
  constructor(
    events: readonly WorkloadEvent[],
    numbersBack: Float64Array,
    { ids, encode }: Pick<PeerGenerator, "ids" | "encode">,
  ) {
    const parts = encode(events);
    this.#bytes = Buffer.concat(parts);
    this.length = this.#bytes.length;
    this.#parts = ids ? parts.map((part) => encodeTemplate(events, numbersBack, (seq) => withSeq(seq, part))) : [];
  }

  /** The bytes to send for frame number `frame` of the run; valid for good. */
  stamp(frame: number): Buffer {
    const [first = this.#bytes, ...others] = this.#parts.map((part) => {
      stampFrame(part, frame);
      return part.bytes.subarray(SEQ_BYTES);
    });
    return this.#parts.length === 0 ? first : Buffer.concat([first, ...others]);
  }
}

function withSeq(seq: number, part: Uint8Array): Buffer {
  const head = Buffer.alloc(SEQ_BYTES, UINT32);
  head.writeUInt32BE(seq, 1);
  return Buffer.concat([head, part]);
}
