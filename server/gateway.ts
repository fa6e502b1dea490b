/**
 * The gateway: one uWS app with the WebSocket at `/v1/stream` and the HTTP API. It authenticates, admits, and passes on
 * bytes; it decodes no events and waits for nothing. It must live in the main thread (a uWS listener in a worker thread
 * aborts the process when that thread ends).
 *
 *   listen --> serving --drain--> refusing what is new --in flight done--> sockets closed (1012) --close--> gone
 *
 * Everything it uses comes by argument; `server/main.ts` is the one caller outside tests.
 */
import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t, WebSocket } from "uWebSockets.js";
import { AckEncoder } from "../protocol/encode-ack.ts";
import { entryOf, WeirError } from "../protocol/error-codes.ts";
import { limits as protocolLimits } from "../protocol/limits.ts";
import type { KeyState } from "../storage/api-keys.ts";
import type { Channels, LiveData, Publisher } from "../workers/ports.ts";
import { Admission } from "./admission.ts";
import { Authenticator, refuseKeyInUrl } from "./authenticate.ts";
import { ClientAddresses, type ClientAddress } from "./client-address.ts";
import { Connection, type ConnectionServices, type SocketData } from "./connection.ts";
import type { GatewayLimits } from "./gateway-limits.ts";
import { HttpApi } from "./http.ts";
import { Listener } from "./listener.ts";
import type { Log } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { Origins } from "./origins.ts";
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
import { tlsFilesOf } from "./tls.ts";
import { TurnEnd } from "./turn-end.ts";
import { checkUpgrade } from "./upgrade.ts";

/** The settings that it needs. */
export interface GatewayConfig {
  readonly host: string;
  readonly port: number;
  readonly drainTimeoutMs: number;
  readonly allowedOrigins?: readonly string[];
  readonly trustedProxies?: readonly string[];
  /** Both or neither. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}

export interface GatewayOptions {
  readonly config: GatewayConfig;
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
  readonly tlsCheckEveryMs?: number;
}

const STREAM_PATH = "/v1/stream";
/** Keys are revoked on open sockets within a second. */
const CHECK_EVERY_MS = 250;
const TLS_CHECK_EVERY_MS = 10_000;

export function createGateway(options: GatewayOptions): Gateway {
  return new Gateway(options);
}

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #limits: GatewayLimits;
  readonly #admission: Admission;
  readonly #listener: Listener;
  readonly #http: HttpApi;
  readonly #authenticator: Authenticator;
  readonly #connectionServices: ConnectionServices;
  readonly #connections = new Set<Connection>();
  #checking: ReturnType<typeof setInterval> | undefined;
  #notingExpired = false;
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
    this.#authenticator = new Authenticator({ ...options, limits });
    const idle = () => this.#checkIdle();
    const addresses = new ClientAddresses(options.config.trustedProxies ?? []);
    const access = { authenticator: this.#authenticator, origins: new Origins(options.config.allowedOrigins ?? []), addresses };
    const tls = options.config.tlsCert !== undefined;
    const shared = { ...options, ...access, tls, admission: this.#admission, idle };
    this.#connectionServices = { ...shared, limits, ackEncoder: new AckEncoder(), turnEnd: new TurnEnd() };
    this.routes = allRoutes({
      ...shared,
      readiness: () => ({ ...options.readiness(), draining: this.#admission.draining }),
      refreshGauges: () => this.#refreshGauges(),
    });
    this.#http = new HttpApi(shared, this.routes);
    this.#listener = new Listener({
      host: options.config.host,
      port: options.config.port,
      tls: tlsFilesOf(options.config),
      tlsCheckEveryMs: options.tlsCheckEveryMs ?? TLS_CHECK_EVERY_MS,
      log: options.log,
      build: (app) => this.#build(app),
    });
    options.channels.onDelta((topic, frame) => {
      if (!this.#closed) this.#listener.publish(topic, frame);
    });
  }

  /** Resolves with the port; rejects with WEIR_START_PORT_IN_USE. */
  async listen(): Promise<number> {
    const port = this.#listener.listen();
    this.#checking = setInterval(() => this.#check(), CHECK_EVERY_MS);
    return port;
  }

  /** Takes nothing new, waits for what is in flight (at most `drainTimeoutMs`), and closes the sockets with 1012. */
  async drain(): Promise<void> {
    if (this.#closed) return;
    this.#admission.startDraining();
    this.#listener.stop();
    await this.#idle();
    const { close = 1012 } = entryOf("WEIR_FLOW_DRAINING");
    for (const connection of this.#connections) connection.end(close, "WEIR_FLOW_DRAINING");
  }

  /** At once, without regard to what is in flight. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#checking);
    this.#listener.close();
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
    let from: ClientAddress;
    try {
      from = this.#http.addressOf(response, request);
      checkUpgrade(request, this.#options.config.allowedOrigins ?? []);
      refuseKeyInUrl(request.getQuery() ?? "");
      owner = this.#authenticator.ownerOfHeader(request.getHeader("authorization"), from);
      this.#admission.openConnection();
    } catch (thrown) {
      // What comes behind may be frames already: they are no requests.
      this.#http.refuse(response, thrown, { close: true, headers: { "Sec-WebSocket-Version": "13" } });
      return;
    }
    const connection = new Connection(this.#connectionServices, owner, from);
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
      const { control, now } = this.#options;
      const states = new Map<string, KeyState>();
      const keyState = (keyId: string): KeyState => {
        const state = states.get(keyId) ?? control.keyState(keyId, now());
        states.set(keyId, state);
        return state;
      };
      for (const connection of this.#connections) connection.check(keyState);
      void this.#noteExpiredKeys();
    } catch (error) {
      this.#options.log.error({ err: error }, "check of open connections failed");
    }
  }

  async #noteExpiredKeys(): Promise<void> {
    if (this.#notingExpired) return;
    this.#notingExpired = true;
    const { control, log, now } = this.#options;
    try {
      for (const { keyId, tenant } of await control.noteExpiredKeys(now())) log.info({ keyId, tenant }, "key expired");
    } catch (error) {
      log.error({ err: error }, "audit entry failed");
    } finally {
      this.#notingExpired = false;
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
    metrics.certificateExpiry.set((this.#listener.certificateExpiresMs ?? Number.POSITIVE_INFINITY) / 1_000);
    metrics.auditRemoved.set(this.#options.control.auditRemoved);
  }
}
