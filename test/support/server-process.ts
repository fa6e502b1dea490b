/**
 * A real server as its users start it: `weir serve` in a process of its own, on a port and in a folder that stay the same over
 * kills and restarts. What ended it and what it wrote can be asked for. `end` leaves neither process nor folder behind.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TenantId } from "../../protocol/ids.ts";
import type { ReadyAnswer } from "../../server/health.ts";
import { openKeyStore, scopes, type Scope } from "../../server/key-store.ts";
import { eventually } from "./real-server.ts";

const weir = fileURLToPath(new URL("../../cli/weir.js", import.meta.url));

/** By the names of `server/config.ts`. */
export type Flags = Readonly<Record<string, string | number>>;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One run of the program. */
export interface Run {
  readonly child: ChildProcess;
  readonly exit: Promise<Exit>;
  readonly output: { stdout: string; stderr: string };
}

/** How the program is run. */
export interface Surroundings {
  /** Without it the program sees nothing of this process's environment but PATH. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Go to Node itself. */
  readonly nodeArgs?: readonly string[];
  /** A program and its arguments, which runs the rest of its command line in its own place (`exec`). */
  readonly within?: readonly string[];
}

/** Starts `weir serve` with these flags. */
export function serve(flags: Flags, options: Surroundings = {}): Run {
  const args = Object.entries(flags).flatMap(([name, value]) => [flagOf(name), String(value)]);
  const command = [...(options.within ?? []), process.execPath, ...(options.nodeArgs ?? []), weir, "serve", ...args];
  const [program = process.execPath, ...rest] = command;
  const child = spawn(program, rest, {
    env: options.env ?? { PATH: process.env["PATH"] },
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const exit = once(child, "close").then(([code, signal]) => ({ code, signal }) as Exit);
  return { child, exit, output };
}

function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

export class ServerProcess {
  readonly data: string;
  readonly port: number;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv | undefined;
  #flags: Flags;
  #run: Run | undefined;

  private constructor(folder: string, port: number, flags: Flags, env: NodeJS.ProcessEnv | undefined) {
    this.#folder = folder;
    this.data = join(folder, "data");
    this.port = port;
    this.#flags = { questdb: "off", logLevel: "warn", ...flags, data: this.data, port };
    this.#env = env;
  }

  /** Not started yet: keys can be made before. */
  static async create(flags: Flags, env?: NodeJS.ProcessEnv, parent = tmpdir()): Promise<ServerProcess> {
    return new ServerProcess(mkdtempSync(join(parent, "weir-process-")), await freePort(), flags, env);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Of the run that is or was last. */
  get run(): Run {
    if (this.#run === undefined) throw new Error("the server was never started");
    return this.#run;
  }

  get pid(): number {
    const { pid } = this.run.child;
    if (pid === undefined) throw new Error("the server has no process");
    return pid;
  }

  /** Makes a key as `weir keys create` does, before a start or beside a running server. */
  async newKey(tenant: string, granted: readonly Scope[] = scopes): Promise<string> {
    const control = openKeyStore({ data: this.data, partitions: Number(this.#flags["partitions"] ?? 16) }, Date.now());
    try {
      return (await control.createKey(tenant as TenantId, granted, Date.now())).key;
    } finally {
      await control.close();
    }
  }

  /** Starts (again) on the same data and port, with other flags where given, and resolves when `/readyz` answers 200. */
  start(other: Flags = {}): Promise<ReadyAnswer> {
    this.launch(other);
    return this.untilReady();
  }

  /** Starts it and waits for nothing. `nodeArgs` go to Node itself, `env` is added to the environment. */
  launch(other: Flags = {}, nodeArgs: readonly string[] = [], { env, within }: Pick<Surroundings, "env" | "within"> = {}): Run {
    this.#flags = { ...this.#flags, ...other };
    const run = serve(this.#flags, {
      cwd: this.#folder,
      nodeArgs,
      env: { ...(this.#env ?? { PATH: process.env["PATH"] }), ...env },
      ...(within !== undefined && { within }),
    });
    this.#run = run;
    return run;
  }

  /** Resolves when `/readyz` answers 200; rejects when the run ends before. */
  async untilReady(withinMs = 60_000): Promise<ReadyAnswer> {
    const { child, output } = this.run;
    let ready: ReadyAnswer | undefined;
    await eventually(
      async () => {
        const ended = child.exitCode ?? child.signalCode;
        if (ended !== null) throw new Error(`the server ended with ${ended}: ${output.stderr}`);
        ready = await this.ready();
        return ready?.status === "ready" || ready?.status === "degraded";
      },
      "the server is ready",
      withinMs,
    );
    if (ready === undefined) throw new Error("the server is not ready");
    return ready;
  }

  /** undefined while nothing listens. */
  async ready(): Promise<ReadyAnswer | undefined> {
    try {
      return (await (await fetch(`${this.url}/readyz`)).json()) as ReadyAnswer;
    } catch {
      return undefined;
    }
  }

  /** Ends the run with a signal and resolves with how it ended. */
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<Exit> {
    const { child, exit } = this.run;
    child.kill(signal);
    return exit;
  }

  async end(): Promise<void> {
    if (this.#run !== undefined) await this.stop("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
