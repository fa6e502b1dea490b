/**
 * The gateway: one uWS app with the WebSocket at `/v1/stream` and the HTTP API. It authenticates, admits, and passes on
 * bytes; it decodes no events and waits for nothing. It must live in the main thread (a uWS listener in a worker thread
 * aborts the process when that thread ends).
 *
 *   listen --> serving --drain--> refusing what is new --in flight done--> sockets closed (1012) --close--> gone
 *
 * Everything it uses comes by argument; `server/main.ts` is the one caller outside tests.
 */
import uWS from "uWebSockets.js";
import type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, us_socket_context_t, WebSocket } from "uWebSockets.js";
import { entryOf, WeirError } from "../protocol/error-codes.ts";
import { limits as protocolLimits } from "../protocol/limits.ts";
import type { Channels, LiveData, Publisher } from "../workers/ports.ts";
import { Admission } from "./admission.ts";
import { ownerOfHeader } from "./authenticate.ts";
import { Connection, type ConnectionServices, type SocketData } from "./connection.ts";
import type { GatewayLimits } from "./gateway-limits.ts";
import { HttpApi } from "./http.ts";
import type { Log } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Receipts } from "./receipts.ts";
import type { Route } from "./route.ts";
import { allRoutes } from "./routes.ts";
import type {
  Auditor,
  Control,
  DescribeMetric,
  ExportJobs,
  KeyOwner,
  QueryService,
  Readiness,
  ReceiptChecker,
} from "./services.ts";
import { socketSettings } from "./socket-settings.ts";
import { checkUpgrade } from "./upgrade.ts";

export interface GatewayOptions {
  readonly config: {
    readonly host: string;
    readonly port: number;
    readonly drainTimeoutMs: number;
    readonly allowedOrigins: readonly string[];
  };
  readonly control: Control;
  readonly publisher: Publisher;
  readonly channels: Channels;
  readonly liveData: LiveData;
  readonly describeMetric: DescribeMetric;
  readonly queryService: QueryService;
  readonly exportJobs: ExportJobs;
  readonly auditor: Auditor;
  readonly receipts: Receipts;
  readonly receiptChecker: ReceiptChecker;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  readonly version: string;
  now(): number;
  /** `draining` is added by the gateway. */
  readiness(): Omit<Readiness, "draining">;
  readonly limits?: Partial<GatewayLimits>;
}

const STREAM_PATH = "/v1/stream";
/** Keys are revoked on open sockets within a second. */
const CHECK_EVERY_MS = 250;
/** LIBUS_LISTEN_EXCLUSIVE_PORT. Without it a second server would share the port unnoticed, and the two split the connections. */
const LISTEN_EXCLUSIVELY = 1;

/** A form of `listen` that uWS has and its declarations lack. */
type Listen = (host: string, port: number, options: number, opened: (socket: us_listen_socket | false) => void) => unknown;

export function createGateway(options: GatewayOptions): Gateway {
  return new Gateway(options);
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #admission: Admission;
  readonly #app: TemplatedApp;
  readonly #http: HttpApi;
  readonly #connectionServices: ConnectionServices;
  readonly #connections = new Set<Connection>();
  #listenSocket: us_listen_socket | undefined;
  #checking: ReturnType<typeof setInterval> | undefined;
  #onIdle: (() => void) | undefined;
  #closed = false;

  readonly routes: readonly Route[];

  constructor(options: GatewayOptions) {
    this.#options = options;
    const limits = { ...protocolLimits, ...options.limits };
    this.#limits = limits;
    this.#admission = new Admission({
      connectionsMax: limits.connectionsMax,
      // What hosts may hold in their mailboxes is what the gateway may hold for them.
      heldBytesMax: limits.mailboxBytesMax,
      concurrentQueriesMax: limits.concurrentQueriesMax,
    });
    this.#admission.onRelief(() => {
      for (const connection of this.#connections) connection.returnCredit();
    });
    const idle = () => this.#checkIdle();
    const shared = { ...options, admission: this.#admission, idle };
    this.#connectionServices = { ...shared, limits };
    this.routes = allRoutes({
      ...shared,
      readiness: () => ({ ...options.readiness(), draining: this.#admission.draining }),
      refreshGauges: () => this.#refreshGauges(),
    });
    this.#http = new HttpApi(shared, this.routes);
    this.#app = this.#build(uWS.App());
    options.channels.onDelta((topic, frame) => {
      if (!this.#closed) this.#app.publish(topic, frame, true);
    });
  }

  /** Resolves with the port; rejects with WEIR_START_PORT_IN_USE. */
  async listen(): Promise<number> {
    const { host, port } = this.#options.config;
    const listenSocket = await new Promise<us_listen_socket | false>((resolve) => {
      (this.#app.listen as unknown as Listen).call(this.#app, host, port, LISTEN_EXCLUSIVELY, resolve);
    });
    if (listenSocket === false) throw new WeirError("WEIR_START_PORT_IN_USE", `${host}:${port} cannot be listened on.`);
    this.#listenSocket = listenSocket;
    this.#checking = setInterval(() => this.#check(), CHECK_EVERY_MS);
    return uWS.us_socket_local_port(listenSocket);
  }

  /** Takes nothing new, waits for what is in flight (at most `drainTimeoutMs`), and closes the sockets with 1012. */
  async drain(): Promise<void> {
    if (this.#closed) return;
    this.#admission.startDraining();
    this.#stopListening();
    await this.#idle();
    const { close = 1012 } = entryOf("WEIR_FLOW_DRAINING");
    for (const connection of this.#connections) connection.end(close, "WEIR_FLOW_DRAINING");
  }

  /** At once, without regard to what is in flight. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#checking);
    this.#stopListening();
    this.#app.close();
  }

  #stopListening(): void {
    if (this.#listenSocket !== undefined) uWS.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = undefined;
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#options.log.warn({ requests: this.#http.open, frames: this.#framesInFlight() }, "drain timed out");
        done();
      }, this.#options.config.drainTimeoutMs);
      const done = () => {
        clearTimeout(timer);
        this.#onIdle = undefined;
        resolve();
      };
      this.#onIdle = done;
      this.#checkIdle();
    });
  }

  /** Deferred by a microtask: the answer to the last frame is sent after the frame is counted as done. */
  #checkIdle(): void {
    if (this.#onIdle === undefined) return;
    queueMicrotask(() => {
      if (this.#http.open === 0 && this.#framesInFlight() === 0) this.#onIdle?.();
    });
  }

  #framesInFlight(): number {
    let frames = 0;
    for (const connection of this.#connections) frames += connection.inFlight;
    return frames;
  }

  #build(app: TemplatedApp): TemplatedApp {
    return app
      .ws<SocketData>(STREAM_PATH, {
        ...socketSettings(this.#limits),
        upgrade: (response, request, context) => this.#upgrade(response, request, context),
        open: (socket) => this.#opened(socket),
        message: (socket, message, isBinary) => socket.getUserData().connection.received(new Uint8Array(message), isBinary),
        close: (socket) => this.#gone(socket.getUserData().connection),
      })
      .any(STREAM_PATH, (response) => {
        const error = new WeirError("WEIR_FRAME_FIELD_INVALID", "Upgrade to WebSocket.", { path: "upgrade" });
        this.#http.refuse(response, error, { close: true });
      })
      .any("/*", (response, request) => this.#http.serve(response, request));
  }

  #upgrade(response: HttpResponse, request: HttpRequest, context: us_socket_context_t): void {
    let owner: KeyOwner | undefined;
    try {
      checkUpgrade(request, this.#options.config.allowedOrigins);
      owner = ownerOfHeader(this.#options.control, request.getHeader("authorization"));
      this.#admission.openConnection();
    } catch (thrown) {
      // What comes behind may be frames already: they are no requests.
      this.#http.refuse(response, thrown, { close: true, headers: { "Sec-WebSocket-Version": "13" } });
      return;
    }
    const connection = new Connection(this.#connectionServices, owner);
    const key = request.getHeader("sec-websocket-key");
    const extensions = request.getHeader("sec-websocket-extensions");
    response.upgrade<SocketData>({ connection }, key, "", extensions, context);
  }

  #opened(socket: WebSocket<SocketData>): void {
    const { connection } = socket.getUserData();
    this.#connections.add(connection);
    connection.opened(socket);
  }

  #gone(connection: Connection): void {
    this.#connections.delete(connection);
    this.#admission.closeConnection();
    connection.closed();
    this.#checkIdle();
  }

  #check(): void {
    try {
      const active = new Map<string, boolean>();
      const isKeyValid = (keyId: string): boolean => {
        const known = active.get(keyId) ?? this.#options.control.isKeyValid(keyId);
        active.set(keyId, known);
        return known;
      };
      for (const connection of this.#connections) connection.check(isKeyValid);
    } catch (error) {
      this.#options.log.error({ err: error }, "check of open connections failed");
    }
  }

  #refreshGauges(): void {
    const { metrics } = this.#options;
    let subscriptions = 0;
    for (const connection of this.#connections) subscriptions += connection.subscriptionCount;
    metrics.connections.set(this.#connections.size);
    metrics.subscriptions.set(subscriptions);
    metrics.creditHeld.set(this.#framesInFlight());
    metrics.heldBytes.set(this.#admission.heldBytes);
  }
}
