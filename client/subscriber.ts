/**
 * All subscriptions of a connection: asks for channels, hands frames to the right states, and repairs: a gap, a new epoch and
 * a new socket are all answered with `sub` and the last position, which the server answers with what was missed or with a
 * snapshot. Until then the rows stay as they were: old, never torn. `client.ts` owns it.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { encodeFrame, type DeltaFrame, type ServerFrame, type SnapshotFrame } from "../protocol/frames.ts";
import { limits } from "../protocol/limits.ts";
import { cadenceFor, parseChannel } from "../protocol/windows.ts";
import { Backoff, type RetryOptions } from "./backoff.ts";
import type { Connection, ConnectionListener } from "./connection.ts";
import type { Step } from "./channel-state.ts";
import { ServerError } from "./server-error.ts";
import { Subscription, type OnChange } from "./subscription.ts";

/** What it needs of a connection; tests put a simulated network in its place. */
export type SubscriberLink = Pick<Connection, "start" | "listen" | "send" | "failure">;

interface Entry {
  readonly subscription: Subscription;
  /** A `sub` was sent and neither `snap` nor `resumed` came yet: deltas that do not fit are of the old course. */
  asking: boolean;
  readonly backoff: Backoff;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class Subscriber implements ConnectionListener {
  readonly #link: SubscriberLink;
  readonly #retry: RetryOptions | undefined;
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;
  #gaps = 0;

  constructor(link: SubscriberLink, retry?: RetryOptions) {
    this.#link = link;
    this.#retry = retry;
    link.listen(this);
  }

  /** How often deltas were missing and the channel was asked for again. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Throws WEIR_CHANNEL_INVALID or WEIR_SUBSCRIPTION_LIMIT; what the server refuses ends the subscription. */
  subscribe(channel: string, options: { every?: number | undefined }, onChange?: OnChange): Subscription {
    const { metric, window } = parseChannel(channel);
    if (this.#link.failure !== undefined) throw this.#link.failure;
    if (this.#entries.size >= limits.subscriptionsPerConnectionMax) throw new WeirError("WEIR_SUBSCRIPTION_LIMIT");
    const name = { metric, window, everyMs: cadenceFor(options.every) };
    const subscription = new Subscription(++this.#lastId, name, onChange, (closed) => this.#forget(closed));
    const entry: Entry = { subscription, asking: false, backoff: new Backoff(this.#retry), timer: undefined };
    this.#entries.set(subscription.id, entry);
    this.#link.start();
    this.#ask(entry);
    return subscription;
  }

  close(): void {
    for (const { subscription } of [...this.#entries.values()]) subscription.close();
  }

  #forget(subscription: Subscription): void {
    clearTimeout(this.#entries.get(subscription.id)?.timer);
    if (this.#entries.delete(subscription.id)) this.#link.send(encodeFrame({ t: "unsub", id: subscription.id }));
  }

  #ask(entry: Entry): void {
    const { id, channel, name, state } = entry.subscription;
    const since = state.position;
    entry.asking = this.#link.send(
      encodeFrame({ t: "sub", id, channel, every: name.everyMs, ...(since !== undefined && { since }) }),
    );
  }

  // The connection's events

  ready(): void {
    for (const entry of this.#entries.values()) this.#ask(entry);
  }

  lost(): void {
    for (const entry of this.#entries.values()) {
      entry.asking = false;
      clearTimeout(entry.timer);
    }
  }

  ended(error: WeirError): void {
    for (const { subscription } of [...this.#entries.values()]) subscription.fail(error);
  }

  frame(frame: ServerFrame): void {
    if (frame.t === "delta") this.#delta(frame);
    else if (frame.t === "snap") this.#snapshot(frame);
    else if (frame.t === "resumed") this.#answered(frame.id);
    else if (frame.t === "error" && frame.id !== undefined) this.#refused(frame.id, new ServerError(frame));
  }

  #snapshot(frame: SnapshotFrame): void {
    const entry = this.#answered(frame.id);
    if (entry !== undefined) this.#tell(entry, frame.cause, entry.subscription.state.snapshot(frame));
  }

  #answered(id: number): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    entry.asking = false;
    entry.backoff.succeeded();
    return entry;
  }

  /** Deltas name the channel, not a subscription: all that share it take them. */
  #delta(frame: DeltaFrame): void {
    const { metric, window } = parseChannel(frame.channel);
    for (const entry of [...this.#entries.values()]) {
      const { name, state } = entry.subscription;
      if (name.metric !== metric || name.window !== window || name.everyMs !== frame.every) continue;
      // Before the first answer there is nothing that a delta could change: it was meant for another subscription.
      if (state.position === undefined) continue;
      const step = state.delta(frame);
      if (step.kind === "gap" && !entry.asking) {
        this.#gaps++;
        this.#ask(entry);
      }
      this.#tell(entry, frame.cause, step);
    }
  }

  #tell(entry: Entry, cause: string, step: Step): void {
    if (step.kind === "changed") entry.subscription.changed(cause, step.change);
  }

  #refused(id: number, error: ServerError): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const delayMs = error.retryable ? entry.backoff.next(Date.now(), Math.random()) : undefined;
    if (delayMs === undefined) {
      entry.subscription.fail(error);
      return;
    }
    entry.timer = setTimeout(() => this.#ask(entry), delayMs);
  }
}
