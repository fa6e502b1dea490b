/**
 * Events between the caller and the socket: an open batch, then sealed frames that keep their bytes until they are answered.
 *
 *   add -> [open batch] --count | bytes | age--> [waiting frames] -> [in flight] -> settled
 *                                                      ^                 |
 *                                                      +- lost, refused -+   (same bytes: same ids, same seq)
 *
 * Invariant: waiting frames stand in order of `seq`, and what goes back goes in front of what was never sent.
 * No sockets, timers or clock here: `publisher.ts` decides when.
 */
import { encodePublish, type EventOutcome } from "../protocol/frames.ts";
import type { Delivery, Refusal } from "./delivery.ts";
import type { EventInput } from "./event.ts";

/** A run of events of one call within a frame. */
interface Share {
  readonly delivery: Delivery;
  /** Index in the call of the first event. */
  readonly firstIndex: number;
  events: number;
}

export interface OutgoingFrame {
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly eventIds: readonly string[];
  readonly shares: readonly Share[];
  sends: number;
  firstSentAtMs: number;
}

export interface OutboxLimits {
  readonly batchEvents: number;
  readonly batchBytes: number;
  readonly bufferEvents: number;
  readonly bufferBytes: number;
}

const BYTES_PER_EVENT_GUESS = 600;

export class Outbox {
  readonly #limits: OutboxLimits;
  #open: EventInput[] = [];
  #openShares: Share[] = [];
  #waiting: OutgoingFrame[] = [];
  readonly #inFlight = new Map<number, OutgoingFrame>();
  #refused: OutgoingFrame[] = [];
  #lastSeq = 0;
  #events = 0;
  #bytes = 0;
  #bytesPerEvent = BYTES_PER_EVENT_GUESS;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  /** Events that have no verdict yet. */
  get events(): number {
    return this.#events;
  }

  get bytes(): number {
    return this.#bytes + Math.ceil(this.#open.length * this.#bytesPerEvent);
  }

  get hasRoom(): boolean {
    return this.#events < this.#limits.bufferEvents && this.bytes < this.#limits.bufferBytes;
  }

  get openEvents(): number {
    return this.#open.length;
  }

  get framesWaiting(): number {
    return this.#waiting.length;
  }

  get framesInFlight(): number {
    return this.#inFlight.size;
  }

  get framesRefused(): number {
    return this.#refused.length;
  }

  /** Adds one event to the open batch and seals it when it is full. The frame bound is the server's, as last heard. */
  add(event: EventInput, delivery: Delivery, index: number, frameBytesMax: number): void {
    const last = this.#openShares.at(-1);
    if (last?.delivery === delivery) last.events++;
    else this.#openShares.push({ delivery, firstIndex: index, events: 1 });
    this.#open.push(event);
    this.#events++;
    const full =
      this.#open.length >= this.#limits.batchEvents || this.#open.length * this.#bytesPerEvent >= this.#limits.batchBytes;
    if (full) this.seal(frameBytesMax);
  }

  /** Closes the open batch into frames. Events whose bytes cannot be made or sent get their verdict here. */
  seal(frameBytesMax: number): void {
    if (this.#open.length === 0) return;
    const events = this.#open;
    const shares = this.#openShares;
    this.#open = [];
    this.#openShares = [];
    this.#frame(events, shares, frameBytesMax);
  }

  #frame(events: readonly EventInput[], shares: readonly Share[], frameBytesMax: number): void {
    const seq = this.#lastSeq + 1;
    const bytes = tryEncode(seq, events);
    const bytesMax = events.length === 1 ? frameBytesMax : Math.min(this.#limits.batchBytes * 2, frameBytesMax);
    if (bytes instanceof Uint8Array && bytes.length <= bytesMax) {
      this.#lastSeq = seq;
      this.#bytesPerEvent = bytes.length / events.length;
      this.#bytes += bytes.length;
      this.#waiting.push({ seq, bytes, eventIds: events.map(idOf), shares, sends: 0, firstSentAtMs: 0 });
    } else if (events.length > 1) {
      const half = events.length >> 1;
      const [left, right] = splitShares(shares, half);
      this.#frame(events.slice(0, half), left, frameBytesMax);
      this.#frame(events.slice(half), right, frameBytesMax);
    } else {
      this.#events--;
      const refusal = bytes instanceof Uint8Array ? tooLarge : bytes;
      for (const share of shares) refuseShare(share, events.map(idOf), refusal);
    }
  }

  /** The next frame to send, moved to those in flight; its bytes are the caller's to send and must not change. */
  take(nowMs: number): OutgoingFrame | undefined {
    const frame = this.#waiting.shift();
    if (frame === undefined) return undefined;
    if (frame.sends === 0) frame.firstSentAtMs = nowMs;
    frame.sends++;
    this.#inFlight.set(frame.seq, frame);
    return frame;
  }

  /** The frame that an answer is about, no longer in flight; undefined for an answer to nothing. The caller settles it. */
  answered(seq: number): OutgoingFrame | undefined {
    const frame = this.#inFlight.get(seq);
    this.#inFlight.delete(seq);
    return frame;
  }

  /** A frame that was answered and is to be sent again, by `returnRefused`. */
  refuse(frame: OutgoingFrame): void {
    this.#refused.push(frame);
  }

  returnRefused(): void {
    this.#return(this.#refused);
    this.#refused = [];
  }

  /** The socket is gone: nothing in flight will be answered. */
  returnAll(): void {
    this.#return([...this.#inFlight.values(), ...this.#refused]);
    this.#inFlight.clear();
    this.#refused = [];
  }

  #return(frames: readonly OutgoingFrame[]): void {
    if (frames.length > 0) this.#waiting = [...frames.toSorted((left, right) => left.seq - right.seq), ...this.#waiting];
  }

  /** In-flight frames of more bytes than the bound, or else the largest one: one of them made the server end the socket. */
  oversized(frameBytesMax: number): readonly OutgoingFrame[] {
    const frames = [...this.#inFlight.values()];
    const over = frames.filter((frame) => frame.bytes.length > frameBytesMax);
    if (over.length > 0) return over;
    return frames.toSorted((left, right) => right.bytes.length - left.bytes.length).slice(0, 1);
  }

  /** The server's answer to a frame: `results` names the events that were not plainly accepted. */
  settle(frame: OutgoingFrame, results: readonly EventOutcome[]): void {
    for (const result of results) {
      const place = placeOf(frame.shares, result.index);
      place?.share.delivery.except({
        index: place.share.firstIndex + place.offset,
        eventId: frame.eventIds[result.index] ?? result.eventId,
        success: result.success,
        duplicate: result.duplicate === true,
        ...(result.code !== undefined && { code: result.code }),
        ...(result.error !== undefined && { error: result.error }),
        ...(result.path !== undefined && { path: result.path }),
      });
    }
    this.#forget(frame);
    for (const share of frame.shares) share.delivery.settle(share.events);
  }

  /** None of the frame's events was taken and none will be. */
  settleRefused(frame: OutgoingFrame, refusal: Refusal): void {
    this.#forget(frame);
    let at = 0;
    for (const share of frame.shares) {
      refuseShare(share, frame.eventIds.slice(at, at + share.events), refusal);
      at += share.events;
    }
  }

  #forget(frame: OutgoingFrame): void {
    this.#events -= frame.eventIds.length;
    this.#bytes -= frame.bytes.length;
  }

  /** Rejects every call that has events here and empties the box. */
  rejectAll(error: unknown): number {
    const abandoned = this.#events;
    this.returnAll();
    for (const share of this.#openShares) share.delivery.reject(error);
    for (const frame of this.#waiting) for (const share of frame.shares) share.delivery.reject(error);
    this.#open = [];
    this.#openShares = [];
    this.#waiting = [];
    this.#events = 0;
    this.#bytes = 0;
    return abandoned;
  }

  /** The calls that still have events here. */
  deliveries(): Set<Delivery> {
    const all = new Set<Delivery>();
    for (const frame of [...this.#inFlight.values(), ...this.#refused, ...this.#waiting]) {
      for (const share of frame.shares) all.add(share.delivery);
    }
    for (const share of this.#openShares) all.add(share.delivery);
    return all;
  }
}

const tooLarge: Refusal = { code: "WEIR_FRAME_TOO_LARGE", message: "The event alone is larger than a frame may be." };

function tryEncode(seq: number, events: readonly EventInput[]): Uint8Array | Refusal {
  try {
    return encodePublish(seq, events);
  } catch (cause) {
    return { code: "WEIR_EVENT_VALUE_INVALID", message: cause instanceof Error ? cause.message : String(cause) };
  }
}

function idOf(event: EventInput): string {
  const id: unknown = typeof event === "object" && event !== null ? event.eventId : undefined;
  return typeof id === "string" ? id : "";
}

function splitShares(shares: readonly Share[], events: number): [Share[], Share[]] {
  const left: Share[] = [];
  const right: Share[] = [];
  let taken = 0;
  for (const { delivery, firstIndex, events: count } of shares) {
    const here = Math.min(count, Math.max(0, events - taken));
    taken += count;
    if (here > 0) left.push({ delivery, firstIndex, events: here });
    if (here < count) right.push({ delivery, firstIndex: firstIndex + here, events: count - here });
  }
  return [left, right];
}

function placeOf(shares: readonly Share[], index: number): { share: Share; offset: number } | undefined {
  let start = 0;
  for (const share of shares) {
    if (index < start + share.events) return { share, offset: index - start };
    start += share.events;
  }
  return undefined;
}

function refuseShare(share: Share, eventIds: readonly string[], refusal: Refusal): void {
  const { code, message, path } = refusal;
  for (let event = 0; event < share.events; event++) {
    share.delivery.except({
      index: share.firstIndex + event,
      eventId: eventIds[event] ?? "",
      success: false,
      duplicate: false,
      code,
      error: message,
      ...(path !== undefined && { path }),
    });
  }
  share.delivery.settle(share.events);
}
