/**
 * A peer's server process: a child with a folder of its own, ready when its probe says so, ended by its pid. On Linux the
 * kernel ends it when the bench dies, however that happens.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processTreeCpuUs } from "../process-cpu.ts";
import { findProgram, type PeerMachine } from "./machine.ts";

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const PROBE_INTERVAL_MS = 10;
const OUTPUT_CHARACTERS_KEPT = 4_000;

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Another user to run as. */
  readonly user?: UserIds;
  readonly isReady: () => Promise<boolean>;
  /** How it is asked to stop; it is killed when it does not. */
  readonly stopSignal?: NodeJS.Signals;
}

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

export function temporaryFolder(peer: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `weir-peer-${peer}-`));
}

export class Program {
  readonly #child: ChildProcess;
  readonly #options: ProgramOptions;
  #output = "";

  private constructor(child: ChildProcess, options: ProgramOptions) {
    this.#child = child;
    this.#options = options;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARACTERS_KEPT);
      });
    }
    child.on("error", (error) => (this.#output += error.message));
  }

  /** Rejects with what it wrote when it ends or is not ready in time; its folder is removed then. */
  static async start(options: ProgramOptions, machine: PeerMachine): Promise<Program> {
    const setpriv = process.platform === "linux" ? findProgram("setpriv", machine) : undefined;
    const guard = setpriv === undefined ? [] : [setpriv, "--pdeathsig", "KILL", "--"];
    const [command = "", ...args] = [...guard, options.command, ...options.args];
    const child = spawn(command, args, {
      cwd: options.folder,
      env: { ...machine.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      ...options.user,
    });
    const program = new Program(child, options);
    try {
      await program.#ready();
    } catch (error) {
      await program.stop();
      throw error;
    }
    return program;
  }

  async #ready(): Promise<void> {
    const deadlineMs = Date.now() + READY_TIMEOUT_MS;
    while (!(await this.#options.isReady())) {
      if (!this.#isRunning()) throw new Error(`${this.#options.command} ended: ${this.#output}`);
      if (Date.now() > deadlineMs) throw new Error(`${this.#options.command} did not answer: ${this.#output}`);
      await sleep(PROBE_INTERVAL_MS);
    }
  }

  #isRunning(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  cpuUs(): number {
    if (this.#child.pid === undefined || !this.#isRunning()) throw new Error(`${this.#options.command} ended: ${this.#output}`);
    return processTreeCpuUs(this.#child.pid);
  }

  async stop(): Promise<void> {
    if (this.#isRunning()) {
      const exited = once(this.#child, "exit");
      this.#child.kill(this.#options.stopSignal ?? "SIGKILL");
      const deadline = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(deadline);
    }
    await rm(this.#options.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** Whether something listens on the port. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
