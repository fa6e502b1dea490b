/**
 * One WebSocket of `/v1/stream`: greeting, publishing, subscribing, errors.
 *
 *   opened --key in the upgrade--> authenticated --frames--> ... --> closed
 *      +-----key in `hello`-----------^      no key in time, or a wrong one: closed (4408, 4401)
 *
 * Invariants: the socket is never touched after it closed; every published frame is answered exactly once (ack or error)
 * while the socket lives; frames in flight never exceed the credit. A frame that is wrong costs an error, not the
 * connection, until there were too many of them. Frames that leave in one turn leave in one write.
 * The gateway makes one for each socket and tells it of frames, time and the end.
 */
import type { WebSocket } from "uWebSockets.js";
import { entryOf, WeirError, type ErrorCode } from "../protocol/error-codes.ts";
import type { AckEncoder } from "../protocol/encode-ack.ts";
import { limits } from "../protocol/limits.ts";
import { FRAME_FORMATS } from "../protocol/event-columns.ts";
import { decodeClientFrame, encodeFrame, type ClientFrame, type HelloFrame, type ServerFrame } from "../protocol/frames.ts";
import { scanHead, type FrameHead } from "../protocol/msgpack-scan.ts";
import { ACCEPTED } from "../protocol/verdicts.ts";
import type { KeyState } from "../storage/api-keys.ts";
import type { Channels, Publisher, PublishOutcome } from "../workers/ports.ts";
import type { Admission } from "./admission.ts";
import { ackBodyOf, countEvents, refusalOf, resultBodyOf } from "./api/events.ts";
import { hasScope, requireScope, type Authenticator } from "./authenticate.ts";
import type { ClientAddress } from "./client-address.ts";
import type { GatewayLimits } from "./gateway-limits.ts";
import type { Log } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { codedError } from "./problem.ts";
import type { Receipts } from "./receipts.ts";
import type { Control, KeyOwner } from "./services.ts";
import { SocketSubscriptions } from "./subscriptions.ts";
import type { TurnEnd } from "./turn-end.ts";

export const PROTOCOL_VERSION = 1;

/** What all connections share. */
export interface ConnectionServices {
  readonly control: Control;
  readonly authenticator: Authenticator;
  readonly publisher: Publisher;
  readonly channels: Channels;
  readonly admission: Admission;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  readonly receipts: Receipts;
  readonly limits: GatewayLimits;
  readonly version: string;
  readonly ackEncoder: AckEncoder;
  readonly turnEnd: TurnEnd;
  now(): number;
  /** Called when a connection has no frame in flight any more. */
  idle(): void;
}

export interface SocketData {
  readonly connection: Connection;
}

/** What an answer repeats of the frame that it answers. */
interface FrameIds {
  readonly seq?: number;
  readonly id?: number;
}

/** Not the sender's fault, or for it to try again and again: they don't count towards abuse. */
const forgivenCodes: ReadonlySet<ErrorCode> = new Set([
  "WEIR_FLOW_OVERLOADED",
  "WEIR_FLOW_DRAINING",
  "WEIR_DISK_FULL",
  "WEIR_HOST_FAILED",
  "WEIR_TENANT_STATE_FULL",
  "WEIR_INTERNAL",
]);

/** uWS: the frame was dropped, because the reader is behind by more than the backlog. */
const SEND_DROPPED = 2;
/** RFC 6455's registry: try again later. */
const CLOSE_TRY_AGAIN = 1013;

export class Connection {
  readonly #services: ConnectionServices;
  readonly #from: ClientAddress;
  readonly #openedMs: number;
  readonly #subscriptions: SocketSubscriptions;
  #socket: WebSocket<SocketData> | undefined;
  #owner: KeyOwner | undefined;
  #outbox: Uint8Array[] = [];
  #flushPlanned = false;
  #inFlight = 0;
  /** How many frames the sender was told that it may have in flight. A crowd of new connections cannot flood us at once. */
  #granted: number;
  /** Credit that acks did not return, to slow the sender down. */
  #withheld = 0;
  #errors = 0;
  /** Acks carry proofs: asked for in `hello`. */
  #proves = false;

  constructor(services: ConnectionServices, owner: KeyOwner | undefined, from: ClientAddress) {
    this.#services = services;
    this.#from = from;
    this.#owner = owner;
    this.#openedMs = services.now();
    this.#granted = Math.min(limits.creditFramesAtStart, services.limits.creditFrames);
    this.#subscriptions = new SocketSubscriptions({
      channels: services.channels,
      control: services.control,
      countMax: services.limits.subscriptionsPerConnectionMax,
      listener: {
        send: (frame) => {
          this.#send(frame);
          // At once: a delta of the channel may be published in this same turn, and must not overtake the snapshot.
          this.#flush();
        },
        sendEncoded: (frames) => {
          for (const frame of frames) this.#enqueue(frame, "delta");
          this.#flush();
        },
        refuse: (error, ids) => this.#refuse(error, ids),
        listen: (topic) => void this.#socket?.subscribe(topic),
        unlisten: (topic) => void this.#socket?.unsubscribe(topic),
      },
    });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get subscriptionCount(): number {
    return this.#subscriptions.count;
  }

  opened(socket: WebSocket<SocketData>): void {
    this.#socket = socket;
  }

  /** The socket is gone. Frames in flight still finish; their answers have nobody to go to. */
  closed(): void {
    this.#socket = undefined;
    this.#outbox = [];
    this.#subscriptions.leaveAll();
  }

  /** The bytes are valid during the call only. */
  received(bytes: Uint8Array, isBinary: boolean): void {
    const ids: { seq?: number; id?: number } = {};
    try {
      this.#take(bytes, isBinary, ids);
    } catch (thrown) {
      this.#refuse(thrown, ids);
    }
  }

  /** Called a few times a second: ends the connection when its key came too late, or is no longer valid. */
  check(keyState: (keyId: string) => KeyState): void {
    if (this.#owner !== undefined) {
      const state = keyState(this.#owner.keyId);
      if (state === "unknown") this.#refuse(new WeirError("WEIR_AUTH_KEY_UNKNOWN", "It was revoked."), {});
      else if (state === "expired") this.#refuse(new WeirError("WEIR_AUTH_KEY_EXPIRED"), {});
    } else if (this.#services.now() - this.#openedMs >= this.#services.limits.helloTimeoutMs) {
      this.#refuse(new WeirError("WEIR_AUTH_HELLO_TIMEOUT"), {});
    }
  }

  /** The pressure is over: gives back the credit that acks held back. */
  returnCredit(): void {
    if (this.#withheld === 0) return;
    this.#send({ t: "credit", credit: this.#withheld });
    this.#withheld = 0;
  }

  end(closeCode: number, reason: string): void {
    this.#flush();
    this.#socket?.end(closeCode, reason);
  }

  #take(bytes: Uint8Array, isBinary: boolean, ids: { seq?: number; id?: number }): void {
    const { metrics, limits } = this.#services;
    if (!isBinary) {
      metrics.frame("in", "text", bytes.length);
      throw new WeirError("WEIR_FRAME_NOT_BINARY");
    }
    if (bytes.length > limits.frameBytesMax) {
      metrics.frame("in", "oversized", bytes.length);
      throw new WeirError("WEIR_FRAME_TOO_LARGE", `At most ${limits.frameBytesMax} bytes.`);
    }
    const head = headOf(bytes);
    metrics.frame("in", head?.t ?? "other", bytes.length);
    if (head === undefined) {
      this.#keepMalformed(bytes);
      return;
    }
    if (head.seq !== undefined) ids.seq = head.seq;
    if (head.id !== undefined) ids.id = head.id;
    if (head.t === "pub") this.#publish(bytes, head.seq);
    else this.#answer(decodeClientFrame(bytes));
  }

  #answer(frame: ClientFrame): void {
    if (frame.t === "hello") {
      this.#greet(frame);
      return;
    }
    const owner = this.#knownOwner();
    switch (frame.t) {
      case "sub":
        requireScope(owner, "read");
        this.#services.admission.refuseWhenDraining();
        this.#subscriptions.subscribe(owner.tenant, frame);
        return;
      case "unsub":
        this.#subscriptions.unsubscribe(frame.id);
        return;
      case "ping":
        this.#send({ t: "pong", ...(frame.id === undefined ? {} : { id: frame.id }), serverTimeMs: this.#services.now() });
        return;
    }
  }

  #greet({ key, receipts }: HelloFrame): void {
    const { authenticator, limits, version } = this.#services;
    if (key !== undefined) {
      const owner = authenticator.ownerOfKey(key, this.#from);
      // A connection that changed its tenant would carry the old one's subscriptions and frames along.
      if (this.#owner !== undefined && this.#owner.keyId !== owner.keyId) {
        throw new WeirError("WEIR_FRAME_FIELD_INVALID", "The connection has another key already.", { path: "key" });
      }
      this.#owner = owner;
    }
    const { tenant, scopes } = this.#knownOwner();
    this.#proves = receipts === true;
    this.#send({
      t: "hello",
      protocol: PROTOCOL_VERSION,
      server: `weir/${version}`,
      tenant,
      scopes,
      credit: this.#granted,
      serverTimeMs: this.#services.now(),
      limits: { frameBytesMax: limits.frameBytesMax, frameEventsMax: limits.frameEventsMax },
    });
  }

  #knownOwner(): KeyOwner {
    if (this.#owner === undefined) throw new WeirError("WEIR_AUTH_KEY_MISSING");
    return this.#owner;
  }

  /**
   * Bytes that are no frame may have been events: from one who may send events they go to the journal as a dead letter.
   * The answer is an error either way.
   */
  #keepMalformed(bytes: Uint8Array): void {
    if (this.#owner === undefined || !hasScope(this.#owner, "write")) throw new WeirError("WEIR_FRAME_MALFORMED");
    this.#publish(bytes, undefined);
  }

  #publish(bytes: Uint8Array, seq: number | undefined): void {
    const { admission, publisher, limits, now } = this.#services;
    const owner = this.#knownOwner();
    requireScope(owner, "write");
    admission.refuseWhenDraining();
    if (this.#inFlight + this.#withheld >= limits.creditFrames) throw new WeirError("WEIR_FLOW_CREDIT_EXCEEDED");
    const bytesHeld = bytes.length;
    const startedMs = now();
    admission.reserve(bytesHeld);
    this.#inFlight++;
    try {
      publisher.publish({ tenant: owner.tenant, format: FRAME_FORMATS.msgpack, bytes, allResults: false }, (outcome) => {
        this.#settle(bytesHeld);
        this.#services.metrics.published("websocket", now() - startedMs);
        this.#acknowledge(seq, outcome);
      });
    } catch (error) {
      this.#settle(bytesHeld);
      throw error;
    }
  }

  #settle(bytesHeld: number): void {
    this.#inFlight--;
    this.#services.admission.release(bytesHeld);
    if (this.#inFlight === 0) this.#services.idle();
  }

  #acknowledge(seq: number | undefined, outcome: PublishOutcome): void {
    if (outcome.kind === "refused") {
      this.#refuse(refusalOf(outcome), seq === undefined ? {} : { seq });
      return;
    }
    if (seq === undefined) {
      this.#refuse(new WeirError("WEIR_FRAME_MALFORMED"), {});
      return;
    }
    countEvents(this.#services.metrics, outcome);
    const credit = this.#creditOfAck();
    const { totalEvents, failedEvents, results, receipt } = outcome;
    if (results.length === 0 && !this.#proves) {
      this.#enqueue(this.#services.ackEncoder.encode(seq, totalEvents, failedEvents, receipt, credit), "ack");
      return;
    }
    const told = results.filter((each) => each.verdict !== ACCEPTED).map(resultBodyOf);
    this.#send({
      t: "ack",
      seq,
      ...ackBodyOf(outcome),
      ...(this.#proves ? { proof: this.#services.receipts.proofOf(this.#knownOwner().tenant, outcome) } : {}),
      credit,
      ...(told.length === 0 ? {} : { results: told }),
    });
  }

  /** Slower under pressure, down to one frame in flight; faster while the sender has less than it may have. */
  #creditOfAck(): number {
    if (this.#services.admission.pressed && this.#withheld < this.#granted - 1) {
      this.#withheld++;
      return 0;
    }
    if (this.#services.admission.pressed || this.#granted >= this.#services.limits.creditFrames) return 1;
    this.#granted++;
    return 2;
  }

  /** Answers with a coded error, and ends the connection where the code says so or where it was one too many. */
  #refuse(thrown: unknown, ids: FrameIds): void {
    const { error, unexpected } = codedError(thrown);
    const { code } = error;
    this.#services.metrics.refusal(code);
    if (unexpected) this.#services.log.error({ err: error.cause ?? error, tenant: this.#owner?.tenant }, "frame failed");
    if (this.#socket === undefined) return;
    this.#sendError(error, ids);
    const { close } = entryOf(code);
    // While draining, the acks of what is in flight are still to be sent; the gateway closes after them.
    if (close !== undefined && code !== "WEIR_FLOW_DRAINING") {
      this.end(close, code);
      return;
    }
    if (!forgivenCodes.has(code) && ++this.#errors > this.#services.limits.errorsPerConnectionMax) {
      this.#refuse(new WeirError("WEIR_CONNECTION_ABUSED"), {});
    }
  }

  #sendError({ code, message, retryable, path, retryAfterMs }: WeirError, ids: FrameIds): void {
    const more = { ...(path !== undefined && { path }), ...(retryAfterMs !== undefined && { retryAfterMs }) };
    this.#send({ t: "error", ...ids, code, message, retryable, ...more });
  }

  #send(frame: ServerFrame): void {
    this.#enqueue(encodeFrame(frame), frame.t);
  }

  #enqueue(bytes: Uint8Array, type: string): void {
    if (this.#socket === undefined) return;
    this.#services.metrics.frame("out", type, bytes.length);
    this.#outbox.push(bytes);
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    this.#services.turnEnd.call(this);
  }

  /** Everything that is to be sent leaves now. */
  endTurn(): void {
    this.#flush();
  }

  #flush(): void {
    this.#flushPlanned = false;
    const socket = this.#socket;
    const frames = this.#outbox;
    if (socket === undefined || frames.length === 0) return;
    this.#outbox = [];
    // One frame is one write anyway.
    const [only] = frames;
    if (only !== undefined && frames.length === 1) {
      this.#closeIf(socket.send(only, true) === SEND_DROPPED, socket);
      return;
    }
    let dropped = false;
    socket.cork(() => {
      for (const frame of frames) dropped = socket.send(frame, true) === SEND_DROPPED || dropped;
    });
    this.#closeIf(dropped, socket);
  }

  /** An ack that never arrives would leave its sender waiting. After a reconnect it sends again, which is harmless. */
  #closeIf(dropped: boolean, socket: WebSocket<SocketData>): void {
    if (dropped) socket.end(CLOSE_TRY_AGAIN, "WEIR_FLOW_OVERLOADED");
  }
}

/** undefined: the bytes are not msgpack. Throws for msgpack that is no frame. */
function headOf(bytes: Uint8Array): FrameHead | undefined {
  try {
    return scanHead(bytes);
  } catch (error) {
    if (error instanceof WeirError && error.code === "WEIR_FRAME_MALFORMED") return undefined;
    throw error;
  }
}
