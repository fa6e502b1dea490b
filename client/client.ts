/**
 * The client as its user holds it: publishing and subscribing over one shared WebSocket that is dialed when it is first
 * needed, and questions over HTTP. `index.ts` exports it.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { Connection } from "./connection.ts";
import type { EventVerdict, PublishResult } from "./delivery.ts";
import type { EventInput } from "./event.ts";
import { Publisher, type PublisherOptions, type PublisherStats } from "./publisher.ts";
import { QueryApi } from "./query.ts";
import type { WebSocketConstructor } from "./socket.ts";
import { Subscriber } from "./subscriber.ts";
import { platformTrusting, type TrustingPlatform } from "./trust.ts";
import type { OnChange, Subscription } from "./subscription.ts";

export interface ConnectOptions extends PublisherOptions {
  /** The server's address: `http://host:port`, `https:`, `ws:` or `wss:`. */
  readonly url: string;
  readonly key: string;
  /** Node only: certificates (PEM) of the authorities that the server's certificate may come from, in place of the well-known. */
  readonly ca?: string | readonly string[];
  /** Who is calling, for the server's log: `my-service/1.2`. */
  readonly client?: string;
  /** For platforms without a global WebSocket; Node 20 finds undici's by itself. */
  readonly WebSocket?: WebSocketConstructor;
  readonly dialTimeoutMs?: number;
  readonly pingAfterMs?: number;
  readonly requestTimeoutMs?: number;
  /** Closes the client when it fires. */
  readonly signal?: AbortSignal;
}

export interface ClientStats extends PublisherStats {
  readonly reconnects: number;
  /** Times that a subscription missed deltas and was repaired. */
  readonly gaps: number;
}

const CLOSE_TIMEOUT_MS = 10_000;

export class WeirClient extends QueryApi {
  readonly #connection: Connection;
  readonly #publisher: Publisher;
  readonly #subscriber: Subscriber;

  constructor(options: ConnectOptions) {
    const { http, stream } = addressesOf(options.url);
    const platform = options.ca === undefined ? undefined : once(options.ca);
    const ownFetch = platform && (async () => (await platform()).fetch);
    super({ url: http, key: options.key, timeoutMs: options.requestTimeoutMs, fetch: ownFetch });
    const { WebSocket: given } = options;
    const givenSocket = given && (async () => given);
    this.#connection = new Connection({
      url: stream,
      key: options.key,
      client: options.client ?? "weir-client",
      receipts: options.onReceipt !== undefined,
      WebSocket: givenSocket ?? (platform && (async () => (await platform()).WebSocket)),
      retry: options.retry,
      dialTimeoutMs: options.dialTimeoutMs,
      pingAfterMs: options.pingAfterMs,
    });
    this.#publisher = new Publisher(this.#connection, options);
    this.#subscriber = new Subscriber(this.#connection, options.retry);
    options.signal?.addEventListener("abort", () => void this.close({ timeoutMs: 0 }), { once: true });
  }

  get stats(): ClientStats {
    return { ...this.#publisher.stats, reconnects: this.#connection.reconnects, gaps: this.#subscriber.gaps };
  }

  /** Sends one event; resolves with its verdict. */
  track(event: EventInput, signal?: AbortSignal): Promise<EventVerdict> {
    return this.#publisher.track(event, signal);
  }

  /** Sends many events, one promise for all. */
  publish(events: readonly EventInput[], signal?: AbortSignal): Promise<PublishResult> {
    return this.#publisher.publish(events, signal);
  }

  /** Resolves when the buffer has room: await it before calls whose verdicts you do not await. */
  room(): Promise<void> {
    return this.#publisher.room();
  }

  /** Resolves when everything sent so far has its verdict. */
  flush(): Promise<void> {
    return this.#publisher.flush();
  }

  /** `channel` is `metric` or `metric@window`; `every` is the shortest time between two changes, in ms. */
  subscribe(channel: string, options: { every?: number } = {}, onChange?: OnChange): Subscription {
    return this.#subscriber.subscribe(channel, options, onChange);
  }

  /** Waits up to `timeoutMs` for verdicts, then ends everything. `abandonedEvents` have none: send them again elsewhere. */
  async close(options: { timeoutMs?: number } = {}): Promise<{ abandonedEvents: number }> {
    const abandonedEvents = await this.#publisher.close(options.timeoutMs ?? CLOSE_TIMEOUT_MS);
    this.#subscriber.close();
    this.#connection.close();
    return { abandonedEvents };
  }
}

/** Loaded when it is first needed. */
function once(ca: string | readonly string[]): () => Promise<TrustingPlatform> {
  let platform: Promise<TrustingPlatform> | undefined;
  return () => (platform ??= platformTrusting(typeof ca === "string" ? [ca] : ca));
}

function addressesOf(url: string): { http: string; stream: string } {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw new WeirError("WEIR_CONFIG_INVALID", `${url} is not an address such as http://localhost:7300.`, { path: "url", cause });
  }
  const secure = parsed.protocol === "https:" || parsed.protocol === "wss:";
  if (!secure && parsed.protocol !== "http:" && parsed.protocol !== "ws:") {
    throw new WeirError("WEIR_CONFIG_INVALID", "The address starts with http, https, ws or wss.", { path: "url" });
  }
  const base = `${parsed.host}${parsed.pathname.replace(/\/+$/, "")}`;
  return { http: `http${secure ? "s" : ""}://${base}`, stream: `ws${secure ? "s" : ""}://${base}/v1/stream` };
}
