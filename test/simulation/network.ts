/**
 * WebSockets between simulated clients and a real `Connection`: frames arrive in order, each after a while. When the wire is
 * cut, what was under way to the client is lost, what was under way to the server may still arrive, and the server hears of
 * the end somewhat later. A reader that takes its frames slowly has a backlog; past the limit the server's frames are dropped,
 * as uWebSockets.js does it.
 */
import type { WebSocket } from "uWebSockets.js";
import { decodeServerFrame, type ServerFrame } from "../../protocol/frames.ts";
import type { Connection, SocketData } from "../../server/connection.ts";
import type { Random } from "./random.ts";
import type { Process } from "./scheduler.ts";

const SENT = 1;
const DROPPED = 2;
const BACKLOG_FRAMES_MAX = 6;

export interface SocketOwner {
  /** Seen when it leaves the server, before the wire. */
  leaving(frame: ServerFrame, socket: SimSocket): void;
  arrived(frame: ServerFrame): void;
  closed(): void;
}

export class SimSocket {
  readonly connection: Connection;
  readonly #random: Random;
  readonly #wire: Process;
  readonly #owner: SocketOwner;
  readonly #topics = new Set<string>();
  readonly #onGone: (socket: SimSocket) => void;
  /** The last arrival planned in each direction: nothing overtakes. */
  #toClientMs = 0;
  #toServerMs = 0;
  #backlog = 0;
  /** How long each frame takes to be read; slow readers fall behind. */
  readMs = 0;
  #cut = false;
  #gone = false;

  constructor(connection: Connection, owner: SocketOwner, wire: Process, random: Random, onGone: (socket: SimSocket) => void) {
    this.connection = connection;
    this.#owner = owner;
    this.#wire = wire;
    this.#random = random;
    this.#onGone = onGone;
    connection.opened(this.#asWebSocket());
  }

  get isOpen(): boolean {
    return !this.#cut && !this.#gone;
  }

  /** From the client. */
  send(bytes: Uint8Array): void {
    const delayMs = this.#random.duration(0.1, 50);
    const nowMs = this.#wire.nowMs;
    this.#toServerMs = Math.max(this.#toServerMs, nowMs + delayMs);
    this.#wire.after(this.#toServerMs - nowMs, () => {
      if (!this.#gone) this.connection.received(bytes, true);
    });
  }

  publish(topic: string, frame: Uint8Array): void {
    if (this.#topics.has(topic)) this.#push(frame);
  }

  cut(): void {
    if (this.#cut) return;
    this.#cut = true;
    this.#owner.closed();
    this.#wire.after(this.#random.duration(1, 5_000), () => this.#end());
  }

  #end(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#onGone(this);
    this.connection.closed();
    this.cut();
  }

  #push(frame: Uint8Array): number {
    if (this.#gone) return DROPPED;
    const decoded = decodeServerFrame(frame);
    this.#owner.leaving(decoded, this);
    if (this.#cut) return SENT;
    if (this.#backlog >= BACKLOG_FRAMES_MAX && this.readMs > 0) return DROPPED;
    this.#backlog++;
    const nowMs = this.#wire.nowMs;
    this.#toClientMs = Math.max(this.#toClientMs, nowMs) + this.#random.duration(0.1, 20) + this.readMs;
    this.#wire.after(this.#toClientMs - nowMs, () => {
      this.#backlog--;
      if (!this.#cut) this.#owner.arrived(decoded);
    });
    return SENT;
  }

  /** The part of a uWS socket that a connection uses. */
  #asWebSocket(): WebSocket<SocketData> {
    const socket = {
      send: (bytes: Uint8Array) => this.#push(bytes),
      cork: (work: () => void) => work(),
      subscribe: (topic: string) => this.#topics.add(topic),
      unsubscribe: (topic: string) => this.#topics.delete(topic),
      end: () => this.#end(),
    };
    return socket as unknown as WebSocket<SocketData>;
  }
}
