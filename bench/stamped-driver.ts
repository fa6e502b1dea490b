/** The parent's side of a process that sends stamped frames (`stamped-client.ts`), and the messages between the two. */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ProfileName, ProfileParameters } from "./frame-profiles.ts";

export interface StampedTarget {
  readonly url: string;
  readonly key: string;
  readonly connections: number;
  readonly profile: ProfileName;
  readonly parameters: ProfileParameters;
}

/**
 * `frames`: so many, as fast as `inFlight` on each connection allow. `paced`: for so long at a fixed rate; what cannot be sent for
 * want of credit is sent later, or not at all when the time is over. `storm`: for so long every connection sends one frame, waits
 * for its ack, closes and connects again.
 */
export type StampedRun =
  | { readonly kind: "frames"; readonly frames: number; readonly inFlight: number }
  | { readonly kind: "paced"; readonly seconds: number; readonly framesPerSecond: number }
  | { readonly kind: "storm"; readonly seconds: number };

export interface StampedFigures {
  readonly frames: number;
  readonly events: number;
  readonly successfulEvents: number;
  /** Connections that were made during the run. */
  readonly connected: number;
  readonly durationMs: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly clientCpuUs: number;
}

export type StampedCommand =
  | { readonly kind: "prepare"; readonly target: StampedTarget }
  | { readonly kind: "run"; readonly run: StampedRun };

export type StampedReply =
  | { readonly kind: "prepared" }
  | { readonly kind: "ran"; readonly figures: StampedFigures }
  | { readonly kind: "failed"; readonly reason: string };

export class StampedDriver {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(target: StampedTarget): Promise<StampedDriver> {
    const program = fileURLToPath(new URL("./stamped-client.js", import.meta.url));
    const driver = new StampedDriver(fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
    await driver.#ask({ kind: "prepare", target });
    return driver;
  }

  /** Goes on with the numbers where the run before ended. Resolves when all that was sent is acknowledged. */
  async run(run: StampedRun): Promise<StampedFigures> {
    const reply = await this.#ask({ kind: "run", run });
    if (reply.kind !== "ran") throw new Error(`unexpected ${reply.kind}`);
    return reply.figures;
  }

  stop(): void {
    this.#child.kill();
  }

  #ask(command: StampedCommand): Promise<StampedReply> {
    return new Promise((resolve, reject) => {
      const exited = (): void => reject(new Error("the process that sends stamped frames ended early"));
      this.#child.once("exit", exited);
      this.#child.once("message", (reply: StampedReply) => {
        this.#child.off("exit", exited);
        if (reply.kind === "failed") reject(new Error(`stamped client: ${reply.reason}`));
        else resolve(reply);
      });
      this.#child.send(command);
    });
  }
}
