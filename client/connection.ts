/**
 * One WebSocket to the server, made anew whenever it is lost: dial, `hello`, frames, backoff, dial again.
 *
 *   idle --start--> dialing --hello--> ready --close--> waiting --delay--> dialing
 *     ^                |                  |                |
 *     +--- gave up ----+-- 4400 / 4401 ---+--> failed      +--> closed (by `close`)
 *
 * Frames from an older socket never reach a listener. Listeners are told in the order in which they were added.
 * `client.ts` owns it; the publisher and the subscriptions share it.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { decodeServerFrame, encodeFrame, type HelloAnswer, type ServerFrame } from "../protocol/frames.ts";
import { Backoff, type RetryOptions } from "./backoff.ts";
import { fatalClose } from "./server-error.ts";
import {
  messageBytes,
  webSocketConstructor,
  type SocketClose,
  type SocketMessage,
  type WebSocketConstructor,
  type WebSocketLike,
} from "./socket.ts";

export interface ConnectionOptions {
  /** `ws://host:port/v1/stream` */
  readonly url: string;
  readonly key: string;
  readonly client: string;
  /** Ask for a proof in each ack. */
  readonly receipts?: boolean | undefined;
  readonly WebSocket?: (() => Promise<WebSocketConstructor>) | undefined;
  readonly retry?: RetryOptions | undefined;
  /** How long a dial may take, up to the server's `hello`. */
  readonly dialTimeoutMs?: number | undefined;
  /** A `ping` after so long without a frame; twice as long without one ends the socket. */
  readonly pingAfterMs?: number | undefined;
}

export interface ConnectionListener {
  /** The server said hello: send what is to be sent (again). */
  ready(hello: HelloAnswer): void;
  frame(frame: ServerFrame): void;
  /** The socket is gone; another is tried. */
  lost(closeCode: number): void;
  /** No other is tried until `start` is called again (never, when the key is refused). */
  ended(error: WeirError): void;
}

type State = "idle" | "dialing" | "ready" | "waiting" | "failed" | "closed";

const ABNORMAL_CLOSURE = 1006;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #listeners: ConnectionListener[] = [];
  readonly #backoff: Backoff;
  #state: State = "idle";
  #socket: WebSocketLike | undefined;
  #failure: WeirError | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pinger: ReturnType<typeof setInterval> | undefined;
  #heardAtMs = 0;
  #dials = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.retry);
  }

  get state(): State {
    return this.#state;
  }

  /** How many sockets were made after the first. */
  get reconnects(): number {
    return Math.max(0, this.#dials - 1);
  }

  /** Why the connection will not come back; undefined while it may. */
  get failure(): WeirError | undefined {
    return this.#failure;
  }

  listen(listener: ConnectionListener): void {
    this.#listeners.push(listener);
  }

  /** Dials unless it is dialing or connected already. */
  start(): void {
    if (this.#state === "idle") void this.#dial();
  }

  /** False when there is no ready socket: the caller keeps the frame and sends it after `ready`. */
  send(bytes: Uint8Array): boolean {
    if (this.#state !== "ready" || this.#socket === undefined) return false;
    this.#socket.send(bytes);
    return true;
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#failure = new WeirError("WEIR_CLIENT_CLOSED");
    this.#drop(1000);
  }

  async #dial(): Promise<void> {
    this.#state = "dialing";
    this.#dials++;
    let socket: WebSocketLike;
    try {
      const Socket = await (this.#options.WebSocket ?? webSocketConstructor)();
      if (this.#state !== "dialing") return;
      socket = new Socket(this.#options.url);
    } catch (cause) {
      const error = cause instanceof WeirError ? cause : undefined;
      this.#end(error ?? new WeirError("WEIR_CLIENT_UNREACHABLE", `The address ${this.#options.url} is not usable.`, { cause }));
      return;
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      const { key, client, receipts } = this.#options;
      socket.send(encodeFrame({ t: "hello", key, client, ...(receipts === true && { receipts }) }));
    };
    socket.onmessage = (event: SocketMessage) => {
      if (socket === this.#socket) this.#take(event.data);
    };
    socket.onclose = (event: SocketClose) => {
      if (socket === this.#socket) this.#lose(event.code, event.reason);
    };
    // An error is always followed by a close, which says more; without a handler `ws` would throw.
    socket.onerror = () => undefined;
    this.#timer = setTimeout(() => {
      if (socket === this.#socket) this.#lose(ABNORMAL_CLOSURE, "");
    }, this.#options.dialTimeoutMs ?? 10_000);
  }

  #take(data: unknown): void {
    this.#heardAtMs = Date.now();
    const bytes = messageBytes(data);
    if (bytes === undefined) return;
    const frame = tryDecode(bytes);
    if (frame === undefined) {
      // Whatever it was may have been an answer: a new socket asks for it again.
      this.#lose(ABNORMAL_CLOSURE, "");
      return;
    }
    if (this.#state === "ready") {
      // Not at `hello`: a server that dies of our first frame would be dialed again and again without a pause.
      this.#backoff.succeeded();
      for (const listener of this.#listeners) listener.frame(frame);
      return;
    }
    if (frame.t !== "hello") return;
    clearTimeout(this.#timer);
    this.#state = "ready";
    this.#startPings();
    for (const listener of this.#listeners) listener.ready(frame);
  }

  #startPings(): void {
    const pingAfterMs = this.#options.pingAfterMs ?? 30_000;
    this.#pinger = setInterval(() => {
      const silentMs = Date.now() - this.#heardAtMs;
      if (silentMs >= 2 * pingAfterMs) this.#lose(ABNORMAL_CLOSURE, "");
      else if (silentMs >= pingAfterMs) this.send(encodeFrame({ t: "ping" }));
    }, pingAfterMs / 2);
  }

  #lose(code: number, reason: string): void {
    const wasReady = this.#state === "ready";
    this.#state = "waiting";
    this.#drop(1000);
    const fatal = fatalClose(code, reason);
    if (fatal !== undefined) {
      this.#failure = fatal;
      this.#end(fatal);
      return;
    }
    if (wasReady) for (const listener of this.#listeners) listener.lost(code);
    const delayMs = this.#backoff.next(Date.now(), Math.random());
    if (delayMs === undefined) {
      this.#backoff.succeeded();
      this.#end(new WeirError("WEIR_CLIENT_UNREACHABLE", `Gave up on ${this.#options.url}.`));
      return;
    }
    this.#timer = setTimeout(() => void this.#dial(), delayMs);
  }

  #end(error: WeirError): void {
    this.#state = this.#failure === undefined ? "idle" : "failed";
    for (const listener of this.#listeners) listener.ended(error);
  }

  /** Lets go of the socket and of every timer; nothing of that socket is heard any more. */
  #drop(code: number): void {
    clearTimeout(this.#timer);
    clearInterval(this.#pinger);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    try {
      socket.close(code);
    } catch {
      // Closing a socket that never opened may throw; it is gone either way.
    }
  }
}

function tryDecode(bytes: Uint8Array): ServerFrame | undefined {
  try {
    return decodeServerFrame(bytes);
  } catch {
    return undefined;
  }
}
