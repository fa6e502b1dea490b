/**
 * A QuestDB process of our own: configured, started, watched, stopped. One object is one root folder; it can be started
 * again after an exit. It never outlives us: `setpriv` has the kernel stop it when we die, and where there is no setpriv,
 * the next start ends what an earlier run left behind.
 *
 * Start it from the main thread: the kernel's watch is on the thread that started the process.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WeirError } from "../../protocol/error-codes.ts";
import { LOG_CONF, PG_USER, serverConf } from "./configuration.ts";
import { forgetProcess, rememberProcess, endLeftProcess } from "./left-process.ts";
import { claimPort } from "./port.ts";

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const PING_INTERVAL_MS = 50;
const LOG_LINES_KEPT = 40;

export interface ServerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface QuestDbServerOptions {
  /** QuestDB's root folder: its tables, its configuration, its password. */
  readonly root: string;
  /** 0: a free one, kept over restarts. */
  readonly httpPort: number;
  readonly pgPort: number;
  /** The `java` program. */
  readonly java: string;
  readonly jar: string;
  readonly log: ServerLog;
  readonly env?: NodeJS.ProcessEnv;
  readonly startTimeoutMs?: number;
  readonly stopTimeoutMs?: number;
}

export interface PgAccess {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

export class QuestDbServer {
  readonly #options: QuestDbServerOptions;
  readonly #root: string;
  readonly #exitHandlers: ((reason: string) => void)[] = [];
  #httpPort: number;
  #pgPort: number;
  #password = "";
  #child: ChildProcess | undefined;
  #stopping = false;
  #logLines: string[] = [];

  constructor(options: QuestDbServerOptions) {
    this.#options = options;
    this.#root = resolve(options.root);
    this.#httpPort = options.httpPort;
    this.#pgPort = options.pgPort;
  }

  /** Known once `start` has resolved. */
  get url(): string {
    return `http://127.0.0.1:${this.#httpPort}`;
  }

  get pg(): PgAccess {
    return { host: "127.0.0.1", port: this.#pgPort, user: PG_USER, password: this.#password };
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The last lines that QuestDB wrote. */
  get logTail(): readonly string[] {
    return this.#logLines;
  }

  /** Called when the process ends without `stop`. */
  onExit(handler: (reason: string) => void): void {
    this.#exitHandlers.push(handler);
  }

  /**
   * Resolves when QuestDB answers. Rejects with WEIR_START_PORT_IN_USE, WEIR_START_DATA_IN_USE (another process has the
   * root folder) or WEIR_QUESTDB_UNREACHABLE (it ended or did not answer in time); no process is left then.
   */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#child !== undefined) throw new WeirError("WEIR_START_DATA_IN_USE", "This QuestDB runs already.");
    signal?.throwIfAborted();
    await endLeftProcess(this.#root);
    this.#httpPort = await claimPort(this.#httpPort);
    this.#pgPort = await claimPort(this.#pgPort);
    await this.#writeConfiguration();
    const child = this.#spawn();
    try {
      if (child.pid === undefined) throw await spawnFailure(child);
      await rememberProcess(this.#root, child.pid);
      await this.#awaitAnswer(child, signal);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#options.log.info({ pid: child.pid, url: this.url }, "questdb ready");
  }

  /** Asks it to stop, then ends it: a running query may keep it from stopping by itself. Resolves when it is gone. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#stopping = true;
    const stopped = exited(child);
    child.kill("SIGTERM");
    const deadline = setTimeout(() => child.kill("SIGKILL"), this.#options.stopTimeoutMs ?? STOP_TIMEOUT_MS);
    await stopped;
    clearTimeout(deadline);
    await forgetProcess(this.#root);
  }

  /** Ends it at once, as a crash would. `onExit` is told. */
  kill(): void {
    this.#child?.kill("SIGKILL");
  }

  /** Whether it answers within the deadline. */
  async ping(timeoutMs: number): Promise<boolean> {
    try {
      const { request } = await import("undici");
      const response = await request(`${this.url}/ping`, { signal: AbortSignal.timeout(timeoutMs) });
      await response.body.dump();
      return response.statusCode < 300;
    } catch {
      return false;
    }
  }

  async #writeConfiguration(): Promise<void> {
    const folder = join(this.#root, "conf");
    await mkdir(folder, { recursive: true });
    this.#password = await keptPassword(join(this.#root, "pg-password"));
    const conf = serverConf({ httpPort: this.#httpPort, pgPort: this.#pgPort, pgPassword: this.#password });
    const file = join(folder, "server.conf");
    await writeFile(file, conf, { mode: 0o600 });
    await chmod(file, 0o600);
    await writeFile(join(folder, "log.conf"), LOG_CONF);
  }

  #spawn(): ChildProcess {
    const { java, jar, env = process.env } = this.#options;
    const memory = ["-Xms32m", "-Xmx256m", "-XX:+UseSerialGC"];
    const command = [java, ...memory, "-p", jar, "-m", "io.questdb/io.questdb.ServerMain", "-d", this.#root];
    const guarded = hasProgram("setpriv", env) ? ["setpriv", "--pdeathsig", "TERM", "--", ...command] : command;
    this.#stopping = false;
    this.#logLines = [];
    const [program = java, ...args] = guarded;
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: environment(env), cwd: this.#root });
    this.#child = child;
    child.stdout?.on("data", (chunk: Buffer) => this.#keepLog(chunk));
    child.stderr?.on("data", (chunk: Buffer) => this.#keepLog(chunk));
    const ended = (reason: string): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      if (this.#stopping) return;
      this.#options.log.warn({ reason, lastLines: this.#logLines.slice(-5) }, "questdb ended");
      for (const handler of this.#exitHandlers) handler(reason);
    };
    child.once("error", (error) => ended(error.message));
    child.once("exit", (code, by) => ended(by === null ? `exit code ${code}` : `signal ${by}`));
    return child;
  }

  #keepLog(chunk: Buffer): void {
    const lines = chunk
      .toString()
      .split("\n")
      .filter((line) => line !== "");
    this.#logLines = [...this.#logLines, ...lines].slice(-LOG_LINES_KEPT);
    for (const line of lines) if (/ C /.test(line.slice(0, 40))) this.#options.log.warn({ line }, "questdb critical");
  }

  async #awaitAnswer(child: ChildProcess, signal: AbortSignal | undefined): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? START_TIMEOUT_MS;
    const deadline = Date.now() + timeoutMs;
    while (!(await this.ping(1_000))) {
      signal?.throwIfAborted();
      if (this.#child !== child) throw this.#startFailure();
      if (Date.now() > deadline) throw new WeirError("WEIR_QUESTDB_UNREACHABLE", `It did not start in ${timeoutMs} ms.`);
      await sleep(PING_INTERVAL_MS);
    }
    // Someone else may answer on the port while ours has just ended because of that.
    if (this.#child !== child) throw this.#startFailure();
  }

  #startFailure(): WeirError {
    const output = this.#logLines.join("\n");
    if (output.includes("cannot lock table name registry")) {
      return new WeirError("WEIR_START_DATA_IN_USE", `Another QuestDB uses ${this.#root}.`);
    }
    return new WeirError("WEIR_QUESTDB_UNREACHABLE", `It ended while starting. ${output.slice(0, 2_000)}`);
  }
}

/** Settings of QuestDB come from our configuration only: `QDB_*` variables would win over it. */
function environment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith("QDB_"));
  return { ...Object.fromEntries(kept), MALLOC_ARENA_MAX: "2" };
}

function hasProgram(name: string, env: NodeJS.ProcessEnv): boolean {
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return process.platform === "linux" && folders.some((folder) => existsSync(join(folder, name)));
}

async function keptPassword(file: string): Promise<string> {
  if (existsSync(file)) return (await readFile(file, "utf8")).trim();
  const password = randomBytes(24).toString("base64url");
  await writeFile(file, `${password}\n`, { mode: 0o600 });
  return password;
}

async function spawnFailure(child: ChildProcess): Promise<WeirError> {
  const [error] = (await once(child, "error").catch((failure: unknown) => [failure])) as unknown[];
  return new WeirError("WEIR_START_NO_JAVA", error instanceof Error ? error.message : String(error));
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  await once(child, "exit");
}
