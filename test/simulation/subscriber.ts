/**
 * A simulated dashboard on one channel: snapshot, deltas, and after a gap, a new epoch or a cut wire a `sub` with its position.
 * Its state is the client library's own (`client/channel-state.ts`); now and then it reads slowly, and misses deltas.
 */
import { ChannelState } from "../../client/channel-state.ts";
import { encodeFrame, type DeltaFrame, type ServerFrame, type SnapshotFrame } from "../../protocol/frames.ts";
import type { SimSocket, SocketOwner } from "./network.ts";
import type { Process } from "./scheduler.ts";

export interface SubscriberOptions {
  readonly name: string;
  readonly channel: string;
  readonly everyMs: number;
  readonly process: Process;
  readonly connect: (owner: SocketOwner) => SimSocket | undefined;
  /** A snapshot or delta leaves the server. */
  readonly onShown: (frame: SnapshotFrame | DeltaFrame) => void;
  /** The rows are those of (epoch, seq). */
  readonly onState: (subscriber: SimSubscriber) => void;
}

const RETRY_MS = 300;
const ID = 1;

export class SimSubscriber implements SocketOwner {
  readonly name: string;
  readonly channel: string;
  readonly everyMs: number;
  state = new ChannelState();
  gaps = 0;
  readonly #options: SubscriberOptions;
  #socket: SimSocket | undefined;
  #asking = false;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.name = options.name;
    this.channel = options.channel;
    this.everyMs = options.everyMs;
  }

  get isOpen(): boolean {
    return this.#socket?.isOpen === true;
  }

  /** Milliseconds for each frame; 0: as fast as they come. */
  readSlowly(readMs: number): void {
    if (this.#socket !== undefined) this.#socket.readMs = readMs;
  }

  connect(): void {
    if (this.isOpen) return;
    this.#socket = this.#options.connect(this);
    if (this.isOpen) this.#ask();
  }

  disconnect(): void {
    this.#socket?.cut();
  }

  /** Somebody opens the page anew: it knows nothing. */
  forget(): void {
    this.disconnect();
    this.state = new ChannelState();
  }

  leaving(frame: ServerFrame): void {
    if (frame.t === "snap" || frame.t === "delta") this.#options.onShown(frame);
  }

  arrived(frame: ServerFrame): void {
    if (frame.t === "snap") {
      this.#asking = false;
      this.state.snapshot(frame);
      this.#options.onState(this);
    } else if (frame.t === "resumed") this.#asking = false;
    else if (frame.t === "error") this.#options.process.after(RETRY_MS, () => this.#ask());
    else if (frame.t === "delta") this.#delta(frame);
  }

  closed(): void {
    this.#asking = false;
  }

  #delta(frame: DeltaFrame): void {
    if (this.state.position === undefined) return;
    const step = this.state.delta(frame);
    if (step.kind === "changed") this.#options.onState(this);
    if (step.kind !== "gap" || this.#asking) return;
    this.gaps++;
    this.#ask();
  }

  #ask(): void {
    if (!this.isOpen) return;
    this.#asking = true;
    const since = this.state.position;
    this.#socket?.send(
      encodeFrame({
        t: "sub",
        id: ID,
        channel: this.channel,
        every: this.everyMs,
        ...(since === undefined ? {} : { since }),
      }),
    );
  }
}
