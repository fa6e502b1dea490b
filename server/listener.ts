/**
 * The uWS app, its one listening socket, and with TLS the change to a renewed certificate without a restart.
 *
 *   app 1 listens --files renewed--> app 2 is made --> app 1 stops listening, app 2 listens on the same port
 *                                                      app 1 keeps the connections that it has until they end
 *
 * uWS cannot change the certificate of an app, so each certificate gets an app of its own, with the same routes; what is
 * published goes to all. There are as many as renewals since the start: a handful a year. The gateway owns the one listener.
 */
import uWS from "uWebSockets.js";
import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";
import { WeirError } from "../protocol/error-codes.ts";
import type { Log } from "./log.ts";
import { readTlsPair, type TlsFiles, type TlsPair } from "./tls.ts";

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  /** How often the files are looked at. */
  readonly tlsCheckEveryMs: number;
  readonly log: Log;
  /** Adds the routes to an app. */
  build(app: TemplatedApp): TemplatedApp;
}

/** LIBUS_LISTEN_EXCLUSIVE_PORT. Without it a second server would share the port unnoticed, and the two split the connections. */
const LISTEN_EXCLUSIVELY = 1;

/** A form of `listen` that uWS has and its declarations lack. It calls back before it returns. */
type Listen = (host: string, port: number, options: number, opened: (socket: us_listen_socket | false) => void) => unknown;

export class Listener {
  readonly #options: ListenerOptions;
  /** The last one listens. */
  readonly #apps: TemplatedApp[];
  #pair: TlsPair | undefined;
  /** The version of files that were of no use, so that they are reported once. */
  #refused = "";
  #port = 0;
  #socket: us_listen_socket | undefined;
  #checking: ReturnType<typeof setInterval> | undefined;

  /** Throws WEIR_START_TLS_INVALID. */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#pair = options.tls === undefined ? undefined : readTlsPair(options.tls);
    this.#apps = [this.#makeApp()];
  }

  /** When the certificate in use ends; undefined without TLS. */
  get certificateExpiresMs(): number | undefined {
    return this.#pair?.expiresMs;
  }

  /** The port. Throws WEIR_START_PORT_IN_USE. */
  listen(): number {
    const { host, port, tls, tlsCheckEveryMs } = this.#options;
    const [app] = this.#apps;
    if (app === undefined || !this.#listenWith(app, port)) {
      throw new WeirError("WEIR_START_PORT_IN_USE", `${host}:${port} cannot be listened on.`);
    }
    if (tls !== undefined) this.#checking = setInterval(() => this.#checkFiles(tls), tlsCheckEveryMs);
    return this.#port;
  }

  publish(topic: string, frame: Uint8Array): void {
    for (const app of this.#apps) app.publish(topic, frame, true);
  }

  /** No new connections. */
  stop(): void {
    clearInterval(this.#checking);
    if (this.#socket !== undefined) uWS.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Ends every connection. */
  close(): void {
    this.stop();
    for (const app of this.#apps) app.close();
  }

  #makeApp(): TemplatedApp {
    const { tls, build } = this.#options;
    if (tls === undefined) return build(uWS.App());
    try {
      return build(uWS.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile }));
    } catch (cause) {
      throw new WeirError("WEIR_START_TLS_INVALID", undefined, { path: "tlsCert", cause });
    }
  }

  #listenWith(app: TemplatedApp, port: number): boolean {
    (app.listen as unknown as Listen).call(app, this.#options.host, port, LISTEN_EXCLUSIVELY, (socket) => {
      this.#socket = socket === false ? undefined : socket;
    });
    if (this.#socket === undefined) return false;
    this.#port = uWS.us_socket_local_port(this.#socket);
    return true;
  }

  #checkFiles(files: TlsFiles): void {
    const { log } = this.#options;
    let pair: TlsPair;
    try {
      pair = readTlsPair(files);
    } catch (error) {
      // Half of a renewal, or a mistake; the one in use goes on either way.
      const message = String(error);
      if (message !== this.#refused) log.warn({ err: error }, "renewed certificate cannot be used yet");
      this.#refused = message;
      return;
    }
    this.#refused = "";
    if (pair.version === this.#pair?.version) return;
    this.#renew(pair);
  }

  #renew(pair: TlsPair): void {
    const { log, port } = this.#options;
    this.#pair = pair;
    const expires = new Date(pair.expiresMs).toISOString();
    if (port === 0) {
      // A socket that was bound to any free port does not let another one have it (no SO_REUSEADDR).
      log.warn({ expires }, "with port 0 a renewed certificate is taken at the next start");
      return;
    }
    const before = this.#apps.at(-1);
    let app: TemplatedApp;
    try {
      app = this.#makeApp();
    } catch (error) {
      log.error({ err: error }, "renewed certificate cannot be used");
      return;
    }
    if (this.#socket !== undefined) uWS.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
    if (this.#listenWith(app, port)) {
      this.#apps.push(app);
      log.info({ expires }, "renewed certificate in use");
    } else if (before !== undefined && this.#listenWith(before, port)) {
      log.error({ expires }, "renewed certificate not in use: the port could not be listened on anew");
    } else {
      log.fatal({ port }, "the port was lost to another process");
    }
  }
}
