/** The bench's side of a peer's load generator, and the messages between the two. */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { WorkloadParameters } from "../workload.ts";
import type { PeerAddress, PeerLoad } from "./peer.ts";

export interface PeerTarget {
  readonly peer: string;
  readonly address: PeerAddress;
  readonly load: PeerLoad;
}

export interface PeerRunFigures {
  readonly frames: number;
  readonly durationMs: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly clientCpuUs: number;
}

export type PeerCommand =
  | { readonly kind: "prepare"; readonly target: PeerTarget; readonly workload: WorkloadParameters }
  | { readonly kind: "run"; readonly frames: number };

export type PeerReply =
  | { readonly kind: "prepared"; readonly frameBytes: number }
  | { readonly kind: "ran"; readonly figures: PeerRunFigures }
  | { readonly kind: "failed"; readonly reason: string };

export class PeerDriver {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts a generator, lets it encode its requests and connect. */
  static async start(target: PeerTarget, workload: WorkloadParameters): Promise<{ driver: PeerDriver; frameBytes: number }> {
    const program = fileURLToPath(new URL("./peer-client.js", import.meta.url));
    const driver = new PeerDriver(fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
    try {
      const reply = await driver.#ask({ kind: "prepare", target, workload });
      if (reply.kind !== "prepared") throw new Error(`unexpected ${reply.kind}`);
      return { driver, frameBytes: reply.frameBytes };
    } catch (error) {
      driver.stop();
      throw error;
    }
  }

  /** Sends the next `frames` frames of the workload; resolves when the last one is acknowledged. */
  async run(frames: number): Promise<PeerRunFigures> {
    const reply = await this.#ask({ kind: "run", frames });
    if (reply.kind !== "ran") throw new Error(`unexpected ${reply.kind}`);
    return reply.figures;
  }

  stop(): void {
    this.#child.kill();
  }

  #ask(command: PeerCommand): Promise<PeerReply> {
    return new Promise((resolve, reject) => {
      const exited = (): void => reject(new Error("the generator ended early"));
      this.#child.once("exit", exited);
      this.#child.once("message", (reply: PeerReply) => {
        this.#child.off("exit", exited);
        if (reply.kind === "failed") reject(new Error(`generator: ${reply.reason}`));
        else resolve(reply);
      });
      this.#child.send(command);
    });
  }
}
