/** The servers that benches run: each one a child process on a port of its own, with a folder of its own that is removed after. */
import { execFile, fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect } from "../client/index.ts";
import { projectRoot } from "../test/support/project.ts";
import type { Codec } from "./load-driver.ts";
import { processCpuUs, processMemoryBytes } from "./process-cpu.ts";
import { sortAnswer, type AnswerRow } from "./workload.ts";

const READY_TIMEOUT_MS = 60_000;

export interface BenchServer {
  /** Where frames go. */
  readonly streamUrl: string;
  readonly codec: Codec;
  readonly key?: string;
  cpuUs(): number;
  /** Events by type and country, all time. */
  answer(): Promise<AnswerRow[]>;
  stop(): Promise<void>;
}

export async function startNaive(): Promise<BenchServer> {
  const program = fileURLToPath(new URL("./naive-server.js", import.meta.url));
  const child = fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  return {
    streamUrl: `ws://127.0.0.1:${port}`,
    codec: "json",
    cpuUs: () => processCpuUs(pidOf(child)),
    answer: async () => (await (await fetch(`http://127.0.0.1:${port}/answer`)).json()) as AnswerRow[],
    stop: () => end(child, "SIGKILL"),
  };
}

export interface WeirOptions {
  readonly codec: Exclude<Codec, "json">;
  /** Names of environment variables and their values: `{WEIR_QUESTDB: "off"}`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Weir as its users start it. Survives `kill9()` and `start()`: the data folder stays until `stop()`. */
export class WeirServer implements BenchServer {
  readonly codec: Codec;
  readonly key: string;
  readonly #data: string;
  readonly #port: number;
  readonly #settings: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  private constructor(options: WeirOptions, data: string, port: number, key: string) {
    this.codec = options.codec;
    this.key = key;
    this.#settings = options.settings;
    this.#data = data;
    this.#port = port;
  }

  static async start(options: WeirOptions): Promise<WeirServer> {
    const data = await mkdtemp(join(tmpdir(), "weir-bench-"));
    // It makes the data directory: the number of partitions is fixed from here on.
    const key = await createKey(data, "bench", options.settings);
    const server = new WeirServer(options, data, await freePort(), key);
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get streamUrl(): string {
    return `ws://127.0.0.1:${this.#port}/v1/stream`;
  }

  /** A key of another tenant. */
  createKey(tenant: string): Promise<string> {
    return createKey(this.#data, tenant, this.#settings);
  }

  /** Starts the process and resolves when it is ready to take events. */
  async start(): Promise<void> {
    const args = [weirProgram, "serve", "--port", String(this.#port), "--data", this.#data];
    const env = { ...process.env, WEIR_LOG_LEVEL: "warn", ...this.#settings };
    const child = spawn(process.execPath, args, { cwd: projectRoot, env, stdio: ["ignore", "ignore", "inherit"] });
    this.#child = child;
    const deadlineMs = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      if (child.exitCode !== null) throw new Error(`the server ended with code ${child.exitCode}`);
      if (Date.now() > deadlineMs) throw new Error(`the server was not ready within ${READY_TIMEOUT_MS} ms`);
      await sleep(10);
    }
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/readyz`)).ok;
    } catch {
      // Not listening yet.
      return false;
    }
  }

  cpuUs(): number {
    return processCpuUs(pidOf(this.#child));
  }

  memoryBytes(): number {
    return processMemoryBytes(pidOf(this.#child));
  }

  async answer(): Promise<AnswerRow[]> {
    const client = connect({ url: this.url, key: this.key });
    try {
      const { data } = await client.query({
        metrics: ["events_by_type_and_country.count"],
        dimensions: ["eventType", "country"],
        timeRange: { last: "24h" },
      });
      return sortAnswer(
        data.map((row) => ({
          eventType: String(row["eventType"]),
          country: String(row["country"]),
          count: Number(row["events_by_type_and_country.count"]),
        })),
      );
    } finally {
      await client.close();
    }
  }

  async kill9(): Promise<void> {
    await end(this.#child, "SIGKILL");
  }

  async stop(): Promise<void> {
    await end(this.#child, "SIGTERM");
    await rm(this.#data, { recursive: true, force: true });
  }
}

const weirProgram = fileURLToPath(new URL("../cli/weir.js", import.meta.url));

async function createKey(data: string, tenant: string, settings: WeirOptions["settings"]): Promise<string> {
  const options = ["--data", data, "--tenant", tenant, "--scopes", "write,read,admin", "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, [weirProgram, "keys", "create", ...options], {
    env: { ...process.env, ...settings },
  });
  return (JSON.parse(stdout) as { key: string }).key;
}

function pidOf(child: ChildProcess | undefined): number {
  if (child?.pid === undefined) throw new Error("the server does not run");
  return child.pid;
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
