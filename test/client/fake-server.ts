/**
 * A server that speaks the protocol of docs/protocol.md and can be told to misbehave: end connections before acks, refuse,
 * hold acks back and answer them in another order. It is written against the document with msgpackr alone, so that it does
 * not share mistakes with `protocol/frames.ts`. HTTP routes are whatever a test puts into `routes`.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { Packr, Unpackr } from "msgpackr";
import { WebSocketServer, type WebSocket } from "ws";

export type Message = Record<string, unknown>;

export interface PublishedFrame {
  readonly seq: number;
  readonly events: readonly Message[];
  readonly connection: FakeConnection;
}

/** What to do with a published frame. `take: false` forgets the events, as a crash before the commit does. */
export type Reaction =
  | { readonly kind: "ack" }
  | { readonly kind: "hold" }
  | { readonly kind: "drop"; readonly take: boolean; readonly code?: number }
  | { readonly kind: "refuse"; readonly code: string; readonly retryable: boolean };

// Maps, not records: the oldest clients' format, and objects on the way in.
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: true, mapsAsObjects: true });

export class FakeConnection {
  readonly #socket: WebSocket;
  readonly number: number;
  inFlight = 0;

  constructor(socket: WebSocket, number: number) {
    this.#socket = socket;
    this.number = number;
  }

  send(message: Message): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(packr.pack(message));
  }

  close(code: number, reason = ""): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }
}

export class FakeServer {
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly connections: FakeConnection[] = [];
  /** Every frame as it came, in order. */
  readonly frames: PublishedFrame[] = [];
  /** Event ids in the order of their first acceptance, and every acceptance after it. */
  readonly accepted: string[] = [];
  duplicates = 0;
  /** The most frames of one connection that were unanswered at once. */
  inFlightMax = 0;
  held: PublishedFrame[] = [];
  credit = 64;
  /** The credit that each ack gives. */
  ackCredit = 1;
  keys = new Set(["weir_demo_good"]);
  react: (frame: PublishedFrame) => Reaction = () => ({ kind: "ack" });
  onMessage: (message: Message, connection: FakeConnection) => void = () => undefined;
  /** `"GET /v1/x"` (without the query string) to an answer. */
  readonly routes = new Map<string, (body: unknown, request: IncomingMessage) => { status: number; body?: unknown }>();
  readonly #seen = new Set<string>();

  constructor() {
    this.#http = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const path = (request.url ?? "").split("?")[0] ?? "";
        const route = this.routes.get(`${request.method ?? ""} ${path}`);
        const text = Buffer.concat(chunks).toString("utf8");
        const answer = route?.(text === "" ? undefined : JSON.parse(text), request) ?? {
          status: 404,
          body: { code: "WEIR_HTTP_NOT_FOUND", title: "No such route.", retryable: false },
        };
        response.writeHead(answer.status, { "content-type": "application/json" });
        response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
      });
    });
    this.#sockets = new WebSocketServer({ server: this.#http, path: "/v1/stream" });
    this.#sockets.on("connection", (socket) => this.#accept(socket));
  }

  static async start(): Promise<FakeServer> {
    const server = new FakeServer();
    await new Promise<void>((resolve) => server.#http.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    const address = this.#http.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #accept(socket: WebSocket): void {
    const connection = new FakeConnection(socket, this.connections.length);
    this.connections.push(connection);
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer) => this.#take(unpackr.unpack(data) as Message, connection));
  }

  #take(message: Message, connection: FakeConnection): void {
    if (!connection.isOpen) return;
    if (message["t"] === "hello") this.#greet(message, connection);
    else if (message["t"] === "pub") this.#publish(message, connection);
    this.onMessage(message, connection);
  }

  #greet(message: Message, connection: FakeConnection): void {
    if (!this.keys.has(String(message["key"]))) {
      connection.close(4401, "WEIR_AUTH_KEY_UNKNOWN");
      return;
    }
    connection.send({
      t: "hello",
      protocol: 1,
      server: "fake",
      tenant: "demo",
      scopes: ["write", "read", "admin"],
      credit: this.credit,
      serverTimeMs: Date.now(),
      limits: { frameBytesMax: 4 * 1024 * 1024, frameEventsMax: 10_000 },
    });
  }

  #publish(message: Message, connection: FakeConnection): void {
    const frame = { seq: Number(message["seq"]), events: message["events"] as Message[], connection };
    this.frames.push(frame);
    connection.inFlight++;
    this.inFlightMax = Math.max(this.inFlightMax, connection.inFlight);
    const reaction = this.react(frame);
    switch (reaction.kind) {
      case "ack":
        this.ack(frame);
        break;
      case "hold":
        this.held.push(frame);
        break;
      case "drop":
        if (reaction.take) this.#apply(frame);
        if (reaction.code === undefined) connection.terminate();
        else connection.close(reaction.code);
        break;
      case "refuse":
        this.refuse(frame, reaction.code, reaction.retryable);
    }
  }

  refuse(frame: PublishedFrame, code: string, retryable: boolean): void {
    frame.connection.inFlight--;
    frame.connection.send({ t: "error", seq: frame.seq, code, message: code, retryable });
  }

  /** Takes the events and answers, as a commit does. Events of the type `bad` are invalid. */
  ack(frame: PublishedFrame): void {
    const results = this.#apply(frame);
    const failed = results.filter((result) => result["success"] === false).length;
    frame.connection.inFlight--;
    frame.connection.send({
      t: "ack",
      seq: frame.seq,
      totalEvents: frame.events.length,
      successfulEvents: frame.events.length - failed,
      failedEvents: failed,
      receipt: "0:1",
      credit: this.ackCredit,
      ...(results.length > 0 && { results }),
    });
  }

  #apply({ events }: PublishedFrame): Message[] {
    const results: Message[] = [];
    for (const [index, event] of events.entries()) {
      const eventId = String(event["eventId"]);
      if (event["eventType"] === "bad") {
        const code = "WEIR_EVENT_FIELD_TYPE";
        results.push({ index, eventId, success: false, code, error: "wrong", path: "eventType" });
      } else if (this.#seen.has(eventId)) {
        this.duplicates++;
        results.push({ index, eventId, success: true, duplicate: true, code: "WEIR_EVENT_DUPLICATE" });
      } else {
        this.#seen.add(eventId);
        this.accepted.push(eventId);
      }
    }
    return results;
  }
}

/** Waits for a condition, asked for again after each turn of timers; fails with its name after ten seconds. */
export async function until(name: string, condition: () => boolean): Promise<void> {
  const endMs = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`timed out: ${name}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
