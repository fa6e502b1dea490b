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
import type { TableHealth } from "../storage/questdb/reads.ts";
import { prepareRuntime } from "../storage/questdb/runtime.ts";
import { QuestDbServer, type PgAccess } from "../storage/questdb/server.ts";
import { supervise, type QuestDbSupervisor } from "../storage/questdb/supervisor.ts";
import { QuestDbWatch } from "../storage/questdb/watch.ts";
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
  /** Which start of QuestDB the writer's positions are about, as it has remembered. */
  readonly serverStarted: () => string | undefined;
  /** What the warehouse has of a host's journal and pane feed. */
  readonly onStored: (host: number, offset: number, rows: number) => void;
}

const RETRY_RUNTIME_MS = 60_000;
const STOP_WRITER_MS = 10_000;
const RESTART_WRITER_MS = 2_000;
const POLL_MS = 5_000;

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
  #reopening: Promise<void> | undefined;
  readonly #watch: QuestDbWatch;
  #pollTimer: NodeJS.Timeout | undefined;
  #polling = false;
  /** The start of QuestDB that this writer's thread was told of. */
  #toldStart: string | undefined;

  constructor(options: WarehouseOptions) {
    this.#options = options;
    this.#watch = new QuestDbWatch(options.now);
  }

  get state(): WarehouseState {
    if (this.#options.questdb === "off") return "off";
    return this.#url !== undefined && this.#status?.state === "ready" ? "ready" : "pending";
  }

  get status(): WriterStatus | undefined {
    return this.#status;
  }

  /** Our tables in QuestDB, as of a few seconds ago; empty while it is away. */
  get tables(): readonly TableHealth[] {
    return this.#url === undefined ? [] : this.#watch.tables;
  }

  /** How often a suspended table was resumed. */
  get resumes(): number {
    return this.#watch.resumes;
  }

  /** How often a managed QuestDB was started again. */
  get restarts(): number {
    return this.#supervisor?.restarts ?? 0;
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

  /** Starts the writer and, when it is ours, QuestDB. Resolves when QuestDB answers, or has not in its time to start. */
  async start(): Promise<void> {
    const { questdb } = this.#options;
    if (questdb === "off") return;
    this.#startWriter();
    this.#pollTimer = setInterval(() => void this.#poll(), POLL_MS);
    this.#pollTimer.unref();
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

  /**
   * Ends the writer's thread and starts it anew: a host whose environments have failed can open them only when nobody else in
   * this process has them. It goes on from its remembered positions.
   */
  async reopenWriter(): Promise<void> {
    if (this.#worker === undefined || this.#stopping) return;
    this.#reopening ??= this.#endWriter(this.#worker).then(() => {
      this.#reopening = undefined;
      if (!this.#stopping) this.#startWriter();
    });
    await this.#reopening;
  }

  /** Ends the writer, then QuestDB. What is not written yet stays in the journal. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#runtimeTimer);
    clearInterval(this.#pollTimer);
    await this.#reopening;
    if (this.#worker !== undefined) await this.#endWriter(this.#worker);
    await this.#http?.close();
    await this.#supervisor?.stop();
  }

  async #endWriter(worker: Worker): Promise<void> {
    this.#worker = undefined;
    const stopped = new Promise<void>((resolve) => {
      this.#stopped = resolve;
      worker.once("exit", () => resolve());
    });
    worker.postMessage({ type: "stop" } satisfies ToWarehouse);
    await within(STOP_WRITER_MS, stopped);
    await worker.terminate();
    this.#status = undefined;
    for (const { reject } of this.#flushes.values()) reject(new WeirError("WEIR_QUESTDB_UNREACHABLE", "The writer was ended."));
    this.#flushes.clear();
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
      this.#worker = undefined;
      // With a pause: what ended it may end the next one too.
      const restart = (): void => (this.#stopping || this.#worker !== undefined ? undefined : this.#startWriter());
      setTimeout(restart, RESTART_WRITER_MS).unref();
    });
    this.#worker = worker;
    this.#toldStart = undefined;
    if (this.#url !== undefined) this.#post({ type: "target", url: this.#url });
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
    void this.#poll();
  }

  async #poll(): Promise<void> {
    const http = this.#http;
    if (http === undefined || this.#polling) return;
    this.#polling = true;
    const resumes = this.#watch.resumes;
    try {
      await this.#watch.poll(http, AbortSignal.timeout(POLL_MS));
      if (this.#http === http) this.#tellStart();
    } catch {
      // It is away: the writer says so, and a managed one is started again.
    } finally {
      this.#polling = false;
    }
    if (this.#watch.resumes > resumes) this.#options.log.warn({ tables: this.#watch.tables }, "suspended table resumed");
  }

  /** A restart that may have lost rows: of an external QuestDB any, of ours one that it did not stop for by itself. */
  #tellStart(): void {
    const { questdb, serverStarted } = this.#options;
    const started = this.#watch.startedAt;
    const known = serverStarted();
    if (started === undefined || started === known || started === this.#toldStart) return;
    this.#toldStart = started;
    const lossy = questdb === "managed" ? this.restarts > 0 : known !== undefined;
    this.#post({ type: "restarted", started, lossy });
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
      case "rewound":
        this.#options.log.warn(
          { to: new Date(message.toMs).toISOString() },
          "warehouse restarted: its safety tail is sent again",
        );
        return;
      case "broken":
        this.#options.log.error({ reason: message.message }, "warehouse writer is started again");
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

async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([promise, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))]);
  clearTimeout(timer);
}
