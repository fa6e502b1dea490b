/**
 * Sends events and says what became of each. Nothing is forgotten before the server acknowledged it: frames that were not
 * answered are sent again over the next socket with the same ids, and the server counts an id once.
 *
 * Order: frames leave in the order of the calls, and what must be sent again goes before what was never sent. After a
 * retryable refusal nothing new leaves until every answer is in, then one frame probes, then the credit rules again. Frames
 * that were already in flight behind the refused one may be taken before it; with `inFlightMax: 1` not even that.
 * `client.ts` owns it.
 */
import { WeirError } from "../protocol/error-codes.ts";
import type { AckFrame, ErrorFrame, HelloAnswer, ServerFrame } from "../protocol/frames.ts";
import { limits } from "../protocol/limits.ts";
import { Backoff, type RetryOptions } from "./backoff.ts";
import type { Connection, ConnectionListener } from "./connection.ts";
import { Delivery, type EventVerdict, type PublishResult } from "./delivery.ts";
import { completeEvent, type EventDefaults, type EventInput } from "./event.ts";
import { Outbox, type OutgoingFrame } from "./outbox.ts";

export interface PublisherOptions {
  readonly defaults?: EventDefaults | undefined;
  /** Give events without an id or a time one of each. False sends events exactly as they are, for files and replays. */
  readonly complete?: boolean;
  /** Events of a frame at most. */
  readonly batchEvents?: number;
  /** Bytes of a frame, about; a frame of more than twice as many is split. */
  readonly batchBytes?: number;
  /** How long an event may wait for others to share its frame. */
  readonly lingerMs?: number;
  /** Bounds on what is not acknowledged yet. */
  readonly bufferEvents?: number;
  readonly bufferBytes?: number;
  /** At a full buffer: let the call wait for room (up to `waitingCallsMax` of them), or reject it with WEIR_CLIENT_BUFFER_FULL. */
  readonly onFull?: "wait" | "reject";
  readonly waitingCallsMax?: number;
  /** Frames in flight at most, within the server's credit. */
  readonly inFlightMax?: number;
  readonly retry?: RetryOptions | undefined;
  /** Gets the proof of each acknowledged frame, to be kept and to be checked with `verifyReceipt`. Costs the server a little. */
  readonly onReceipt?: ((receipt: PublishReceipt) => void) | undefined;
}

/** What a frame's ack proves: that the server has these events, each with its verdict. */
export interface PublishReceipt {
  readonly proof: string;
  readonly eventIds: readonly string[];
}

/** All in events, except `reconnects`. */
export interface PublisherStats {
  /** Sent at least once. */
  readonly sent: number;
  /** Answered with a verdict of their own, whatever it was. */
  readonly acked: number;
  readonly resent: number;
  readonly duplicates: number;
  readonly failed: number;
  readonly buffered: number;
  readonly bufferedBytes: number;
}

interface WaitingCall {
  readonly events: readonly EventInput[];
  readonly delivery: Delivery;
  next: number;
}

export class Publisher implements ConnectionListener {
  readonly #connection: Connection;
  readonly #complete: (event: EventInput) => EventInput;
  readonly #outbox: Outbox;
  readonly #lingerMs: number;
  readonly #onFull: "wait" | "reject";
  readonly #waitingCallsMax: number;
  readonly #inFlightMax: number;
  readonly #giveUpAfterMs: number;
  readonly #onReceipt: PublisherOptions["onReceipt"];
  readonly #backoff: Backoff;
  #waitingCalls: WaitingCall[] = [];
  #roomWaiters: (() => void)[] = [];
  #credit = 0;
  #frameBytesMax: number = limits.frameBytesMax;
  #lingerTimer: ReturnType<typeof setTimeout> | undefined;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;
  /** True from a retryable refusal until a frame was acknowledged again: one frame in flight at a time. */
  #probing = false;
  #closed = false;
  #sent = 0;
  #acked = 0;
  #resent = 0;
  #duplicates = 0;
  #failed = 0;

  constructor(connection: Connection, options: PublisherOptions) {
    this.#connection = connection;
    const { defaults } = options;
    this.#complete = options.complete === false ? (event) => event : (event) => completeEvent(event, defaults);
    this.#lingerMs = options.lingerMs ?? 5;
    this.#onFull = options.onFull ?? "wait";
    this.#waitingCallsMax = options.waitingCallsMax ?? 10_000;
    this.#inFlightMax = options.inFlightMax ?? limits.creditFrames;
    this.#giveUpAfterMs = options.retry?.giveUpAfterMs ?? 10 * 60_000;
    this.#onReceipt = options.onReceipt;
    this.#backoff = new Backoff(options.retry);
    this.#outbox = new Outbox({
      batchEvents: Math.min(options.batchEvents ?? 100, limits.frameEventsMax),
      batchBytes: options.batchBytes ?? 256 * 1024,
      bufferEvents: options.bufferEvents ?? 100_000,
      bufferBytes: options.bufferBytes ?? 64 * 1024 * 1024,
    });
    connection.listen(this);
  }

  get stats(): PublisherStats {
    return {
      sent: this.#sent,
      acked: this.#acked,
      resent: this.#resent,
      duplicates: this.#duplicates,
      failed: this.#failed,
      buffered: this.#outbox.events,
      bufferedBytes: this.#outbox.bytes,
    };
  }

  /** Resolves with the event's verdict. Use `publish` for many: it makes one promise for all. */
  async track(event: EventInput, signal?: AbortSignal): Promise<EventVerdict> {
    const complete = this.#complete(event);
    const { results } = await this.publish([complete], signal);
    return results[0] ?? { index: 0, eventId: complete.eventId ?? "", success: true, duplicate: false };
  }

  /**
   * Resolves when every event has its verdict. Events are read during the call, or later while it waits for room.
   * Rejects when some may not have been taken: WEIR_CLIENT_BUFFER_FULL, WEIR_CLIENT_CLOSED, WEIR_CLIENT_UNREACHABLE after
   * `giveUpAfterMs`, WEIR_AUTH_KEY_UNKNOWN. `signal` ends the wait for room; events already buffered are still sent.
   */
  publish(events: readonly EventInput[], signal?: AbortSignal): Promise<PublishResult> {
    const refusal = this.#refuseCall(signal);
    if (refusal !== undefined) return Promise.reject(refusal);
    const delivery = new Delivery(events.length);
    const call: WaitingCall = { events, delivery, next: 0 };
    this.#waitingCalls.push(call);
    this.#connection.start();
    this.#admit();
    if (signal !== undefined && call.next < events.length) this.#abandonOn(signal, call);
    return delivery.promise;
  }

  #refuseCall(signal: AbortSignal | undefined): unknown {
    if (signal?.aborted === true) return signal.reason;
    const failure = this.#closed ? new WeirError("WEIR_CLIENT_CLOSED") : this.#connection.failure;
    if (failure !== undefined) return failure;
    const blocked = this.#waitingCalls.length > 0 || !this.#outbox.hasRoom;
    const full = this.#onFull === "reject" ? blocked : this.#waitingCalls.length >= this.#waitingCallsMax;
    return full ? new WeirError("WEIR_CLIENT_BUFFER_FULL") : undefined;
  }

  /** Resolves when there is room: a producer that awaits it before each call never fills the buffer. */
  room(): Promise<void> {
    if (this.#waitingCalls.length === 0 && this.#outbox.hasRoom) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Resolves when everything published before has its verdict; rejects as `publish` does. */
  async flush(): Promise<void> {
    this.#seal();
    const waited = new Set([...this.#outbox.deliveries(), ...this.#waitingCalls.map((call) => call.delivery)]);
    await Promise.all(Array.from(waited, (delivery) => delivery.promise));
  }

  /** Takes nothing more and waits up to `timeoutMs` for what was taken. Returns how many events have no verdict. */
  async close(timeoutMs: number): Promise<number> {
    this.#closed = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.flush().catch(() => undefined), timeout]);
    clearTimeout(timer);
    return this.#rejectAll(new WeirError("WEIR_CLIENT_CLOSED"));
  }

  // The connection's events

  ready(hello: HelloAnswer): void {
    this.#credit = hello.credit;
    this.#frameBytesMax = hello.limits.frameBytesMax;
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
    this.#pump();
  }

  frame(frame: ServerFrame): void {
    if (frame.t === "ack") this.#acknowledge(frame);
    else if (frame.t === "credit") this.#credit += frame.credit;
    else if (frame.t === "error" && frame.seq !== undefined) this.#refused(frame.seq, frame);
    else return;
    this.#admit();
  }

  lost(closeCode: number): void {
    if (closeCode === 1009) this.#failOversized();
    this.#outbox.returnAll();
    this.#credit = 0;
  }

  ended(error: WeirError): void {
    this.#rejectAll(error);
  }

  // The path of an event: admit -> (linger) -> seal -> pump -> acknowledge

  /** Moves events of waiting calls into the outbox while there is room. */
  #admit(): void {
    for (let call = this.#waitingCalls[0]; call !== undefined; call = this.#waitingCalls[0]) {
      while (call.next < call.events.length && this.#outbox.hasRoom) {
        const index = call.next++;
        this.#outbox.add(this.#complete(call.events[index] ?? {}), call.delivery, index, this.#frameBytesMax);
      }
      if (call.next < call.events.length) break;
      this.#waitingCalls.shift();
    }
    // A full buffer with an open batch would wait for itself.
    if (!this.#outbox.hasRoom) this.#outbox.seal(this.#frameBytesMax);
    if (this.#waitingCalls.length === 0 && this.#outbox.hasRoom) this.#tellRoom();
    if (this.#outbox.openEvents > 0) this.#lingerTimer ??= setTimeout(() => this.#seal(), this.#lingerMs);
    this.#pump();
  }

  #tellRoom(): void {
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const tell of waiters) tell();
  }

  #seal(): void {
    clearTimeout(this.#lingerTimer);
    this.#lingerTimer = undefined;
    this.#outbox.seal(this.#frameBytesMax);
    this.#pump();
  }

  #pump(): void {
    if (this.#connection.state !== "ready" || this.#outbox.framesRefused > 0) return;
    const inFlightMax = this.#probing ? 1 : this.#inFlightMax;
    // A probe may go without credit: that is how a client finds out when the two sides count differently.
    while (this.#outbox.framesInFlight < inFlightMax && (this.#credit > 0 || this.#probing)) {
      const frame = this.#outbox.take(Date.now());
      if (frame === undefined) return;
      this.#credit = Math.max(0, this.#credit - 1);
      if (frame.sends === 1) this.#sent += frame.eventIds.length;
      else this.#resent += frame.eventIds.length;
      this.#connection.send(frame.bytes);
    }
  }

  #acknowledge(ack: AckFrame): void {
    this.#credit += ack.credit;
    const frame = this.#outbox.answered(ack.seq);
    if (frame === undefined) return;
    this.#probing = this.#outbox.framesRefused > 0;
    this.#backoff.succeeded();
    this.#acked += frame.eventIds.length;
    const results = ack.results ?? [];
    for (const result of results) {
      if (result.duplicate === true) this.#duplicates++;
      else if (!result.success) this.#failed++;
    }
    this.#outbox.settle(frame, results);
    if (ack.proof !== undefined) this.#onReceipt?.({ proof: ack.proof, eventIds: frame.eventIds });
    this.#probeWhenQuiet();
  }

  #refused(seq: number, error: ErrorFrame): void {
    const frame = this.#outbox.answered(seq);
    if (frame === undefined) return;
    // A refused frame is not in flight any more; a frame beyond the credit never had one.
    if (error.code !== "WEIR_FLOW_CREDIT_EXCEEDED") this.#credit++;
    const givenUp = Date.now() - frame.firstSentAtMs >= this.#giveUpAfterMs;
    if (error.retryable && !givenUp) {
      this.#outbox.refuse(frame);
      this.#probing = true;
    } else {
      this.#fail(frame, error);
    }
    this.#probeWhenQuiet();
  }

  #fail(frame: OutgoingFrame, refusal: { code: string; message: string; path?: string | undefined }): void {
    this.#failed += frame.eventIds.length;
    this.#outbox.settleRefused(frame, refusal);
  }

  /** Once nothing is in flight, refused frames go back to the front, and after a delay the first of them probes. */
  #probeWhenQuiet(): void {
    if (this.#outbox.framesRefused === 0 || this.#outbox.framesInFlight > 0 || this.#probeTimer !== undefined) return;
    const delayMs = this.#backoff.next(Date.now(), Math.random());
    this.#probeTimer = setTimeout(() => {
      this.#probeTimer = undefined;
      this.#outbox.returnRefused();
      this.#pump();
    }, delayMs ?? 0);
  }

  #failOversized(): void {
    const { message } = new WeirError("WEIR_FRAME_TOO_LARGE");
    for (const frame of this.#outbox.oversized(this.#frameBytesMax)) {
      this.#outbox.answered(frame.seq);
      this.#fail(frame, { code: "WEIR_FRAME_TOO_LARGE", message });
    }
  }

  #abandonOn(signal: AbortSignal, call: WaitingCall): void {
    const abandon = () => {
      const at = this.#waitingCalls.indexOf(call);
      if (at < 0) return;
      this.#waitingCalls.splice(at, 1);
      call.delivery.reject(signal.reason);
      this.#admit();
    };
    signal.addEventListener("abort", abandon, { once: true });
    const forget = () => signal.removeEventListener("abort", abandon);
    call.delivery.promise.then(forget, forget);
  }

  #rejectAll(error: WeirError): number {
    clearTimeout(this.#lingerTimer);
    clearTimeout(this.#probeTimer);
    this.#lingerTimer = undefined;
    this.#probeTimer = undefined;
    const calls = this.#waitingCalls;
    this.#waitingCalls = [];
    let events = this.#outbox.rejectAll(error);
    for (const call of calls) {
      events += call.events.length - call.next;
      call.delivery.reject(error);
    }
    this.#tellRoom();
    return events;
  }
}
