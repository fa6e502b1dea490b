/** The servers that benches run: each one a child process on a port of its own, with a folder of its own that is removed after. */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connect } from "../client/index.ts";
import { isTenantId } from "../protocol/ids.ts";
import { parseConfig } from "../server/config.ts";
import { openKeyStore, scopes } from "../server/key-store.ts";
import { projectRoot } from "../test/support/project.ts";
import type { Codec } from "./load-driver.ts";
import { processCpuUs, processMemoryBytes, processTreeCpuUs } from "./process-cpu.ts";
import { sortAnswer, type AnswerRow } from "./workload.ts";

const READY_TIMEOUT_MS = 60_000;
const DRAIN_TIMEOUT_MS = 10 * 60_000;
const DRAIN_POLL_MS = 100;

/** Those that run, so that none is left behind when a bench is ended early. */
const running = new Set<{ stop(): Promise<void> }>();

export async function stopAll(): Promise<void> {
  await Promise.allSettled([...running].map((server) => server.stop()));
}

export interface BenchServer {
  /** Where frames go. */
  readonly streamUrl: string;
  readonly codec: Codec;
  readonly key?: string;
  /** So many tenants' keys, the first one being `key`. The same each time. */
  tenantKeys(count: number): Promise<readonly string[]>;
  cpuUs(): number;
  /** Events by type and country, all time, of the tenant of this key or of `key`. */
  answer(key?: string): Promise<AnswerRow[]>;
  /** Where it has one that takes its events. */
  readonly warehouse?: BenchWarehouse | undefined;
  stop(): Promise<void>;
}

export interface BenchWarehouse {
  /** Of its own process. */
  cpuUs(): number;
  /** Resolves when it has all that was acknowledged; gives how long that took from the call. */
  drained(): Promise<number>;
}

export async function startNaive(): Promise<BenchServer> {
  const program = fileURLToPath(new URL("./naive-server.js", import.meta.url));
  const child = fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const keyOf = (tenant: number): string => `tenant-${tenant}`;
  return {
    streamUrl: `ws://127.0.0.1:${port}`,
    codec: "json",
    key: keyOf(0),
    tenantKeys: async (count) => Array.from({ length: count }, (_, tenant) => keyOf(tenant)),
    cpuUs: () => processCpuUs(pidOf(child)),
    answer: async (key = keyOf(0)) => {
      const headers = { authorization: `Bearer ${key}` };
      return (await (await fetch(`http://127.0.0.1:${port}/answer`, { headers })).json()) as AnswerRow[];
    },
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
  readonly #tenantKeys: string[];

  private constructor(options: WeirOptions, data: string, port: number, key: string) {
    this.codec = options.codec;
    this.key = key;
    this.#tenantKeys = [key];
    this.#settings = options.settings;
    this.#data = data;
    this.#port = port;
  }

  static async start(options: WeirOptions): Promise<WeirServer> {
    const data = await mkdtemp(join(tmpdir(), "weir-bench-"));
    const key = await createKey(data, "bench", options.settings);
    const isManaged = options.settings["WEIR_QUESTDB"] === "managed";
    const ports = isManaged
      ? { WEIR_QUESTDB_HTTP_PORT: String(await freePort()), WEIR_QUESTDB_PG_PORT: String(await freePort()) }
      : {};
    const server = new WeirServer({ ...options, settings: { ...ports, ...options.settings } }, data, await freePort(), key);
    running.add(server);
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

  async tenantKeys(count: number): Promise<readonly string[]> {
    while (this.#tenantKeys.length < count) {
      this.#tenantKeys.push(await this.createKey(`bench-${this.#tenantKeys.length}`));
    }
    return this.#tenantKeys.slice(0, count);
  }

  /** Starts the process and resolves when it is ready to take events. */
  async start(): Promise<void> {
    const args = [weirProgram, "serve", "--port", String(this.#port), "--data", this.#data];
    const env = { ...process.env, WEIR_LOG_LEVEL: "warn", ...this.#settings };
    const child = spawn(process.execPath, args, { cwd: projectRoot, env, stdio: ["ignore", "ignore", "inherit"] });
    this.#child = child;
    const deadlineMs = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.#isReady())) {
      const ended = child.exitCode ?? child.signalCode;
      if (ended !== null) throw new Error(`the server ended: ${ended}`);
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

  get warehouse(): BenchWarehouse | undefined {
    if (this.#settings["WEIR_QUESTDB"] !== "managed") return undefined;
    return { cpuUs: () => processTreeCpuUs(pidOf(this.#child)) - this.cpuUs(), drained: () => this.#drained() };
  }

  async #drained(): Promise<number> {
    const startMs = performance.now();
    const deadlineMs = startMs + DRAIN_TIMEOUT_MS;
    for (;;) {
      const text = await (await fetch(`${this.url}/metrics`)).text();
      const isUp = /^weir_warehouse_up 1$/m.test(text);
      const lags = [...text.matchAll(/^weir_warehouse_lag_records\{.*\} (\S+)$/gm)].map(([, lag]) => Number(lag));
      if (isUp && lags.length > 0 && lags.every((lag) => lag === 0)) return performance.now() - startMs;
      if (performance.now() > deadlineMs) throw new Error(`the warehouse lags by ${lags.join(", ")} records, up: ${isUp}`);
      await sleep(DRAIN_POLL_MS);
    }
  }

  memoryBytes(): number {
    return processMemoryBytes(pidOf(this.#child));
  }

  async answer(key = this.key): Promise<AnswerRow[]> {
    const client = connect({ url: this.url, key });
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
    running.delete(this);
    await end(this.#child, "SIGTERM");
    await rm(this.#data, { recursive: true, force: true });
  }
}

const weirProgram = fileURLToPath(new URL("../cli/weir.js", import.meta.url));

/** Beside a running server or before its first start. */
async function createKey(data: string, tenant: string, settings: WeirOptions["settings"]): Promise<string> {
  if (!isTenantId(tenant)) throw new RangeError(`no name of a tenant: ${tenant}`);
  const nowMs = Date.now();
  const store = openKeyStore(parseConfig({ flags: { data }, env: { ...process.env, ...settings } }), nowMs);
  try {
    return (await store.createKey(tenant, [...scopes], nowMs, { author: { by: "bench" } })).key;
  } finally {
    await store.close();
  }
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
