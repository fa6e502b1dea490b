/**
 * The warehouse as the server sees it: the QuestDB process when it is ours, the writer's thread, and how far it is.
 * The server never waits for it: without Java, jar or network it stays `pending`, rows wait in the journal and flow when it
 * appears.
 */
import { join } from "node:path";
import { homedir } from "node:os";
import { Worker } from "node:worker_threads";
import { WeirError } from "../protocol/error-codes.ts";
import { QuestDbHttp } from "../storage/questdb/http.ts";
import { prepareRuntime } from "../storage/questdb/runtime.ts";
import { QuestDbServer, type PgAccess } from "../storage/questdb/server.ts";
import { supervise, type QuestDbSupervisor } from "../storage/questdb/supervisor.ts";
import { journalSourceName } from "../workers/journal-source.ts";
import { paneSourceName } from "../workers/feed-sources.ts";
import type { FromWarehouse, ToWarehouse, WarehouseThreadOptions } from "../workers/warehouse-messages.ts";
import type { WriterStatus } from "../workers/warehouse-writer.ts";
import type { Log } from "./log.ts";
import type { WarehouseState } from "./services.ts";

export interface WarehouseOptions {
  /** `managed`, `off`, or the URL of an external QuestDB. */
  readonly questdb: string;
  readonly root: string;
  readonly httpPort: number;
  readonly pgPort: number;
  readonly jar: string | undefined;
  readonly mavenUrl: string | undefined;
  readonly cacheDir: string;
  readonly thread: WarehouseThreadOptions;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  readonly now: () => number;
  /** What the warehouse has of a host's journal and pane feed. */
  readonly onStored: (host: number, offset: number, rows: number) => void;
}

const RETRY_RUNTIME_MS = 60_000;

export class WarehouseService {
  readonly #options: WarehouseOptions;
  #worker: Worker | undefined;
  #server: QuestDbServer | undefined;
  #supervisor: QuestDbSupervisor | undefined;
  #http: QuestDbHttp | undefined;
  #url: string | undefined;
  #status: WriterStatus | undefined;
  #caughtUpMs = 0;
  #lastFlush = 0;
  #stopping = false;
  #runtimeTimer: NodeJS.Timeout | undefined;
  readonly #flushes = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #stopped: (() => void) | undefined;

  constructor(options: WarehouseOptions) {
    this.#options = options;
  }

  get state(): WarehouseState {
    if (this.#options.questdb === "off") return "off";
    return this.#url !== undefined && this.#status?.state === "ready" ? "ready" : "pending";
  }

  get status(): WriterStatus | undefined {
    return this.#status;
  }

  get url(): string | undefined {
    return this.#url;
  }

  get pg(): PgAccess | undefined {
    return this.#server?.pg;
  }

  /** For questions; undefined while there is no warehouse to ask. */
  get http(): QuestDbHttp | undefined {
    return this.state === "ready" ? this.#http : undefined;
  }

  /** How old the newest row may be. */
  get lagMs(): number {
    return Math.max(0, this.#options.now() - this.#caughtUpMs);
  }

  /** Starts the writer and, when it is ours, QuestDB. Resolves when QuestDB answers or will not for now. */
  async start(): Promise<void> {
    const { questdb } = this.#options;
    if (questdb === "off") return;
    this.#startWriter();
    if (questdb === "managed") await this.#startManaged();
    else this.#setTarget(questdb);
  }

  /** Resolves once everything that is durable by now is written; rejects when the warehouse is away. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastFlush;
      this.#flushes.set(id, { resolve, reject });
      this.#post({ type: "flush", id });
    });
  }

  /** Ends the writer, then QuestDB. What is not written yet stays in the journal. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#runtimeTimer);
    const worker = this.#worker;
    if (worker !== undefined) {
      await new Promise<void>((resolve) => {
        this.#stopped = resolve;
        worker.once("exit", () => resolve());
        this.#post({ type: "stop" });
      });
      await worker.terminate();
    }
    await this.#http?.close();
    await this.#supervisor?.stop();
  }

  #startWriter(): void {
    const worker = new Worker(new URL("../workers/warehouse-thread.js", import.meta.url), {
      workerData: this.#options.thread,
      name: "weir-warehouse",
    });
    worker.on("message", (message: FromWarehouse) => this.#receive(message));
    worker.on("error", (error) => {
      this.#options.log.error({ err: error }, "warehouse writer failed");
      this.#status = undefined;
    });
    worker.on("exit", () => {
      this.#status = undefined;
      if (this.#stopping || this.#worker !== worker) return;
      this.#startWriter();
      this.#post({ type: "target", url: this.#url });
    });
    this.#worker = worker;
  }

  async #startManaged(): Promise<void> {
    const { env, jar, mavenUrl, cacheDir, log, root, httpPort, pgPort } = this.#options;
    try {
      const runtime = await prepareRuntime({
        env: {
          ...env,
          ...(jar === undefined ? {} : { WEIR_QUESTDB_JAR: jar }),
          ...(mavenUrl === undefined ? {} : { WEIR_MAVEN_URL: mavenUrl }),
        },
        home: homedir(),
        cache: cacheDir,
        progress: (text) => log.warn({ step: text }, "preparing the warehouse"),
      });
      if (this.#stopping) return;
      const server = new QuestDbServer({ root, httpPort, pgPort, java: runtime.java.program, jar: runtime.jar, log });
      this.#server = server;
      this.#supervisor = supervise({ server, log });
      this.#supervisor.onState((state) => this.#setTarget(state === "ready" ? server.url : undefined));
      await this.#supervisor.firstStart;
      this.#setTarget(server.url);
    } catch (error) {
      const code = error instanceof WeirError ? error.code : "WEIR_QUESTDB_UNREACHABLE";
      log.warn({ code, err: error }, "warehouse pending: rows wait in the journal");
      if (this.#supervisor === undefined && !this.#stopping) {
        this.#runtimeTimer = setTimeout(() => void this.#startManaged(), RETRY_RUNTIME_MS);
        this.#runtimeTimer.unref();
      }
    }
  }

  #setTarget(url: string | undefined): void {
    if (url === this.#url) return;
    this.#url = url;
    void this.#http?.close();
    this.#http = undefined;
    if (url !== undefined) {
      const { origin, username, password } = new URL(url);
      this.#http = new QuestDbHttp({ url: origin, ...(username === "" ? {} : { user: username, password }) });
    }
    this.#post({ type: "target", url });
  }

  #receive(message: FromWarehouse): void {
    switch (message.type) {
      case "status":
        return this.#take(message.status);
      case "flushed": {
        const flush = this.#flushes.get(message.id);
        this.#flushes.delete(message.id);
        if (message.error === undefined) flush?.resolve();
        else flush?.reject(new WeirError("WEIR_QUESTDB_UNREACHABLE", message.error));
        return;
      }
      case "refused":
        this.#options.log.error({ table: message.table, reason: message.message }, "row refused by the warehouse");
        return;
      case "stopped":
        this.#stopped?.();
    }
  }

  #take(status: WriterStatus): void {
    const { log, thread, onStored } = this.#options;
    if (status.state !== this.#status?.state) log.info({ state: status.state, lastError: status.lastError }, "warehouse state");
    this.#status = status;
    this.#caughtUpMs = Math.max(this.#caughtUpMs, status.caughtUpMs);
    for (let host = 0; host < thread.hosts; host++) {
      onStored(host, status.positions[journalSourceName(host)] ?? 0, status.positions[paneSourceName(host)] ?? 0);
    }
  }

  #post(message: ToWarehouse): void {
    this.#worker?.postMessage(message);
  }
}

/** Where a managed QuestDB lives inside the data directory. */
export function questdbRoot(data: string): string {
  return join(data, "questdb");
}
