/**
 * Which socket listens to which channel. Deltas reach sockets through uWS topics, one encoded frame for all listeners;
 * every subscription holds one opening of its channel, given back when it ends, however it ends.
 *
 * Order: `opened` comes in order with the deltas, so a socket that joins the topic inside it misses nothing. The snapshot
 * leaves before any later delta, because uWS sends what a topic holds for a socket before a direct send.
 * When a channel's host has come back after a failure, everyone who listens gets a new snapshot, of another epoch.
 * A reader that falls behind by more than the backlog limit loses deltas; it sees the jump in `seq` and subscribes again.
 */
import { WeirError, type ErrorCode } from "../protocol/error-codes.ts";
import type { ServerFrame } from "../protocol/frames.ts";
import type { TenantId } from "../protocol/ids.ts";
import { cadenceFor, parseChannel } from "../protocol/windows.ts";
import { topicOf, type ChannelAddress, type ChannelOpening, type Channels } from "../workers/ports.ts";
import type { Control } from "./services.ts";

/** The part of a socket that a subscription needs. Nothing is called after `leaveAll`. */
export interface Listener {
  send(frame: ServerFrame): void;
  sendEncoded(frames: readonly Uint8Array[]): void;
  refuse(error: WeirError, ids: { id: number }): void;
  listen(topic: string): void;
  unlisten(topic: string): void;
}

export interface SubscribeRequest {
  readonly id: number;
  readonly channel: string;
  readonly since?: { readonly epoch: string; readonly seq: number } | undefined;
  readonly every?: number | undefined;
}

interface Subscription {
  readonly id: number;
  readonly address: ChannelAddress;
  readonly topic: string;
  /** What the channel was opened with; it closes it too. */
  readonly opened: (opening: ChannelOpening) => void;
  state: "opening" | "open" | "ended";
}

/** All subscriptions of one socket. */
export class SocketSubscriptions {
  readonly #channels: Channels;
  readonly #control: Control;
  readonly #listener: Listener;
  readonly #countMax: number;
  readonly #byId = new Map<number, Subscription>();
  /** How many open subscriptions of this socket share a topic. */
  readonly #listening = new Map<string, number>();

  constructor(options: { channels: Channels; control: Control; listener: Listener; countMax: number }) {
    this.#channels = options.channels;
    this.#control = options.control;
    this.#listener = options.listener;
    this.#countMax = options.countMax;
  }

  get count(): number {
    return this.#byId.size;
  }

  /** An id that is in use is subscribed anew: that is how a client repairs a gap. */
  subscribe(tenant: TenantId, request: SubscribeRequest): void {
    const { metric, window } = parseChannel(request.channel);
    if (this.#control.metric(tenant, metric) === undefined) {
      throw new WeirError("WEIR_METRIC_UNKNOWN", undefined, { path: "channel" });
    }
    const before = this.#byId.get(request.id);
    if (before === undefined && this.#byId.size >= this.#countMax) throw new WeirError("WEIR_SUBSCRIPTION_LIMIT");
    const address = { tenant, metric, window, everyMs: cadenceFor(request.every) };
    const subscription: Subscription = {
      id: request.id,
      address,
      topic: topicOf(address),
      opened: (opening) => this.#opened(subscription, opening),
      state: "opening",
    };
    this.#byId.set(request.id, subscription);
    this.#channels.open(address, request.since, subscription.opened);
    // Only now: a channel without any opening may forget its history.
    if (before !== undefined) this.#end(before);
  }

  unsubscribe(id: number): void {
    const subscription = this.#byId.get(id);
    if (subscription === undefined) throw new WeirError("WEIR_SUBSCRIPTION_UNKNOWN", undefined, { path: "id" });
    this.#byId.delete(id);
    this.#end(subscription);
    this.#listener.send({ t: "unsubbed", id });
  }

  /** When the socket is gone: it left its topics by itself. */
  leaveAll(): void {
    for (const subscription of this.#byId.values()) {
      if (subscription.state === "open") this.#close(subscription);
      subscription.state = "ended";
    }
    this.#byId.clear();
    this.#listening.clear();
  }

  #opened(subscription: Subscription, opening: ChannelOpening): void {
    if (opening.kind === "refused") {
      this.#refused(subscription, opening.code);
      return;
    }
    if (subscription.state === "ended") {
      this.#close(subscription);
      return;
    }
    // Otherwise the channel's host has come back after a failure: the snapshot is all there is to tell.
    if (subscription.state === "opening") this.#listen(subscription);
    const { id, address } = subscription;
    const channel = `${address.metric}@${address.window}`;
    const { epoch, seq } = opening;
    if (opening.kind === "resumed") {
      this.#listener.send({ t: "resumed", id, channel, epoch, seq });
      this.#listener.sendEncoded(opening.deltas);
      return;
    }
    const window = { from: opening.window.fromMs, to: opening.window.toMs };
    this.#listener.send({ t: "snap", id, channel, epoch, seq, window, cause: "snapshot", values: opening.rows });
  }

  #listen(subscription: Subscription): void {
    subscription.state = "open";
    const { topic } = subscription;
    const shared = this.#listening.get(topic) ?? 0;
    this.#listening.set(topic, shared + 1);
    if (shared === 0) this.#listener.listen(topic);
  }

  #close({ address, opened }: Subscription): void {
    this.#channels.close(address, opened);
  }

  #refused(subscription: Subscription, code: ErrorCode): void {
    // A refused opening holds nothing; giving it back would take another's.
    if (subscription.state === "ended") return;
    if (subscription.state === "open") this.#unlisten(subscription.topic);
    subscription.state = "ended";
    if (this.#byId.get(subscription.id) === subscription) this.#byId.delete(subscription.id);
    this.#listener.refuse(new WeirError(code, undefined, { path: "channel" }), { id: subscription.id });
  }

  /** One that is still opening is closed when it has opened. */
  #end(subscription: Subscription): void {
    const { state, topic } = subscription;
    subscription.state = "ended";
    if (state !== "open") return;
    this.#unlisten(topic);
    this.#close(subscription);
  }

  #unlisten(topic: string): void {
    const left = (this.#listening.get(topic) ?? 1) - 1;
    if (left > 0) this.#listening.set(topic, left);
    else {
      this.#listening.delete(topic);
      this.#listener.unlisten(topic);
    }
  }
}
