/**
 * A simulated service: sends frames within its credit, keeps each until it is answered, and sends those again that were in
 * flight when the wire was cut, with the same bytes. Some of its events it repeats on its own account, in other frames, other
 * order, and from other services.
 */
import { encodePublish, type AckFrame, type ErrorFrame, type ServerFrame } from "../../protocol/frames.ts";
import { randomEvent, wireEvent, type SimEvent } from "./events.ts";
import type { SimSocket, SocketOwner } from "./network.ts";
import type { Random } from "./random.ts";
import type { Process } from "./scheduler.ts";

interface OutgoingFrame {
  readonly seq: number;
  readonly events: readonly SimEvent[];
  readonly bytes: Uint8Array;
  sentMs: number;
}

export interface PublisherOptions {
  readonly name: string;
  readonly random: Random;
  readonly process: Process;
  readonly credit: number;
  /** All events that anybody has sent; new ones are added. */
  readonly pool: SimEvent[];
  readonly wallMs: () => number;
  readonly onSend: (event: SimEvent) => void;
  /** An ack leaves the server. */
  readonly onAck: (events: readonly SimEvent[], ack: AckFrame) => void;
  readonly onWrong: (what: string) => void;
  readonly connect: (owner: SocketOwner) => SimSocket | undefined;
}

const RETRY_MS = 300;
const GARBAGE = Uint8Array.of(0xc1, 0xff, 0x00, 0xc1);

export class SimPublisher implements SocketOwner {
  readonly name: string;
  readonly #options: PublisherOptions;
  readonly #frames = new Map<number, OutgoingFrame>();
  #waiting: OutgoingFrame[] = [];
  readonly #inFlight = new Map<number, OutgoingFrame>();
  /** Frames answered on each connection, as seen at the server. */
  readonly #answered = new WeakMap<SimSocket, Set<number>>();
  #socket: SimSocket | undefined;
  #credit = 0;
  #lastSeq = 0;
  #lastEvent = 0;

  constructor(options: PublisherOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#inFlight.size === 0;
  }

  /** The longest that a frame has been waiting for its answer on an open connection. */
  get unansweredMs(): number {
    const sent = [...this.#inFlight.values()].map(({ sentMs }) => sentMs);
    return sent.length === 0 ? 0 : this.#options.process.nowMs - Math.min(...sent);
  }

  /** Makes a frame and sends it when there is credit. */
  publish(): void {
    const { random, pool, onSend, wallMs } = this.#options;
    const events: SimEvent[] = [];
    for (let left = random.integer(1, 8); left > 0; left--) {
      if (pool.length > 0 && random.chance(0.2)) events.push(random.pick(pool.slice(-40)));
      else {
        const event = randomEvent(random, `${this.name}-${++this.#lastEvent}`, wallMs());
        onSend(event);
        pool.push(event);
        events.push(event);
      }
    }
    const seq = ++this.#lastSeq;
    const shuffled = random.chance(0.3) ? random.shuffle(events) : events;
    const frame = { seq, events: shuffled, bytes: encodePublish(seq, shuffled.map(wireEvent)), sentMs: 0 };
    this.#frames.set(seq, frame);
    this.#waiting.push(frame);
    this.#pump();
  }

  /** Bytes that are no frame. */
  publishGarbage(): void {
    if (this.#socket?.isOpen !== true || this.#credit === 0) return;
    this.#credit--;
    this.#socket.send(GARBAGE);
  }

  connect(): void {
    if (this.#socket?.isOpen === true) return;
    this.#socket = this.#options.connect(this);
    if (this.#socket !== undefined) this.#answered.set(this.#socket, new Set());
    this.#credit = this.#options.credit;
    this.#pump();
  }

  disconnect(): void {
    this.#socket?.cut();
  }

  leaving(frame: ServerFrame, socket: SimSocket): void {
    if (frame.t !== "ack" && frame.t !== "error") return;
    if (frame.seq === undefined) return;
    const sent = this.#frames.get(frame.seq);
    const answered = this.#answered.get(socket);
    if (sent === undefined || answered === undefined || answered.has(frame.seq)) {
      this.#options.onWrong(`${this.name}: frame ${frame.seq} was answered more than once on one connection`);
      return;
    }
    answered.add(frame.seq);
    if (frame.t === "ack") this.#options.onAck(sent.events, frame);
  }

  arrived(frame: ServerFrame): void {
    if (frame.t === "credit") this.#credit += frame.credit;
    else if (frame.t === "ack") {
      this.#credit += frame.credit;
      this.#inFlight.delete(frame.seq);
    } else if (frame.t === "error" && frame.seq !== undefined) this.#refused(frame, frame.seq);
    else if (frame.t === "error") this.#credit++;
    this.#pump();
  }

  closed(): void {
    this.#waiting = [...this.#inFlight.values(), ...this.#waiting].toSorted((a, b) => a.seq - b.seq);
    this.#inFlight.clear();
  }

  #refused(error: ErrorFrame, seq: number): void {
    const frame = this.#inFlight.get(seq);
    if (frame === undefined) return;
    if (!error.retryable || error.code === "WEIR_FLOW_CREDIT_EXCEEDED") {
      this.#options.onWrong(`${this.name}: frame ${seq} was refused with ${error.code}`);
    }
    this.#credit++;
    this.#inFlight.delete(seq);
    this.#options.process.after(RETRY_MS, () => {
      this.#waiting.unshift(frame);
      this.#pump();
    });
  }

  #pump(): void {
    const socket = this.#socket;
    while (socket?.isOpen === true && this.#credit > 0) {
      const frame = this.#waiting.shift();
      if (frame === undefined) return;
      this.#credit--;
      this.#answered.get(socket)?.delete(frame.seq);
      frame.sentMs = this.#options.process.nowMs;
      this.#inFlight.set(frame.seq, frame);
      socket.send(frame.bytes);
    }
  }
}
