/**
 * What became of the events of one call: collects the verdicts of every frame that carries some of them and resolves once,
 * when all are in. One promise a call, whatever the number of events.
 */
import type { ErrorCode } from "../protocol/error-codes.ts";

/** The verdict of one event. `success` is true for duplicates: they were counted before. */
export interface EventVerdict {
  /** Position in the call. */
  readonly index: number;
  readonly eventId: string;
  readonly success: boolean;
  readonly duplicate: boolean;
  readonly code?: string;
  readonly error?: string;
  /** Which part of the event is wrong. */
  readonly path?: string;
}

export interface PublishResult {
  readonly totalEvents: number;
  readonly successfulEvents: number;
  readonly failedEvents: number;
  /** Of the successful ones. */
  readonly duplicateEvents: number;
  /** Only the events that were not plainly accepted, by rising index. */
  readonly results: readonly EventVerdict[];
}

/** Why an event was not taken, as a frame or the client itself says it. */
export interface Refusal {
  readonly code: ErrorCode | string;
  readonly message: string;
  readonly path?: string | undefined;
}

export class Delivery {
  readonly promise: Promise<PublishResult>;
  readonly #totalEvents: number;
  readonly #exceptions: EventVerdict[] = [];
  #pendingEvents: number;
  #settled = false;
  #resolve: (result: PublishResult) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(totalEvents: number) {
    this.#totalEvents = totalEvents;
    this.#pendingEvents = totalEvents;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever awaits the promise sees the rejection; a call that nobody awaits must not end the process.
    this.promise.catch(() => undefined);
    if (totalEvents === 0) this.settle(0);
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** An event that is not plainly accepted. Call it before `settle` counts the event. */
  except(verdict: EventVerdict): void {
    this.#exceptions.push(verdict);
  }

  /** So many more events have their verdict. */
  settle(events: number): void {
    this.#pendingEvents -= events;
    if (this.#pendingEvents > 0 || this.#settled) return;
    this.#settled = true;
    const results = this.#exceptions.toSorted((left, right) => left.index - right.index);
    const duplicateEvents = results.filter((each) => each.duplicate).length;
    const failedEvents = results.filter((each) => !each.success).length;
    this.#resolve({
      totalEvents: this.#totalEvents,
      successfulEvents: this.#totalEvents - failedEvents,
      failedEvents,
      duplicateEvents,
      results,
    });
  }

  /** The fate of some events is unknown, or they will never be sent. */
  reject(error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
  }
}
