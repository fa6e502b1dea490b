/**
 * One hostile case: what is sent, and the one right answer to it, as a text.
 *
 *   frame, body   `ack ok, WEIR_EVENT_FIELD_TYPE at userId, 2 ok`   verdicts by row, like ones in a row counted
 *                 `WEIR_FRAME_MALFORMED`, `WEIR_FRAME_FIELD_INVALID at seq`, `pong`, `hello` ...
 *   body          `200 ok`, `400 WEIR_FRAME_MALFORMED`
 *   wire, socket  one for each answer, then how the connection stands, with `; ` between them
 *   standing      `open` (it still answers), `ended` (no close frame), `closed 1009`; a frame's connection stays open if none is said
 */
import type { WireFrame } from "./raw-socket.ts";

interface CaseHead {
  readonly name: string;
  readonly answer: string;
  /**
   * As right, for what depends on how TCP cuts the bytes: a server that ends a connection while bytes come may see its answer lost
   * on the way (a reset), and uWS takes a head of any length if all of it comes at once, but keeps no more than 4 KiB of one.
   */
  readonly or?: readonly string[];
  /** The frame or body as a whole is kept as one dead letter. */
  readonly isKept?: true;
}

/** One WebSocket message on a connection of its own; text where it is a text. */
export interface FrameCase extends CaseHead {
  readonly frame: Uint8Array | string;
}

/** A body of `POST /v1/events`. */
export interface BodyCase extends CaseHead {
  readonly body: Uint8Array | string;
  /** JSON by default. */
  readonly type?: string;
  readonly isGzip?: true;
}

/** Bytes on a TCP connection. `{KEY}` stands for a key that may write, `{ADMIN}` for one that may all. */
export interface WireCase extends CaseHead {
  readonly wire: readonly (string | Uint8Array)[];
  /** Sent every 500 ms until the connection ends. */
  readonly drip?: string;
}

/** Frames on a WebSocket that is open and has a key, unless `key` is false. */
export interface SocketCase extends CaseHead {
  readonly socket: readonly WireFrame[];
  readonly key?: false;
}

export type CorpusCase = FrameCase | BodyCase | WireCase | SocketCase;
