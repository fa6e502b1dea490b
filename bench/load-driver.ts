/**
 * The parent's side of a load client process, and the messages between the two. Every run's acks are held against what its
 * frames were: a server that calls an event by another verdict fails the bench.
 */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { expectedVerdicts, type Verdicts, type WorkloadParameters } from "./workload.ts";

/** `records`: msgpackr inline records as the SDK sends them; `maps`: plain msgpack; `json`: JSON text frames. */
export type Codec = "records" | "maps" | "json";

export interface LoadTarget {
  readonly url: string;
  /** Of the one tenant, or one for each tenant of the workload. */
  readonly key?: string;
  readonly keys?: readonly string[];
  readonly codec: Codec;
  /** Of all tenants; each has a share in proportion to its frames. */
  readonly connections: number;
}

/** `inFlight` is per connection. */
export type RunMode =
  | { readonly kind: "closed"; readonly inFlight: number }
  | { readonly kind: "open"; readonly framesPerSecond: number };

export interface RunFigures {
  readonly frames: number;
  /** Epoch milliseconds. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly successfulEvents: number;
  readonly failedEvents: number;
  /** As the acks named them. */
  readonly verdicts: Verdicts;
  /** Refused with a retryable code, and sent again. */
  readonly refusedFrames: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly ackMaxMs: number;
  readonly clientCpuUs: number;
}

export type ClientCommand =
  | { readonly kind: "prepare"; readonly target: LoadTarget; readonly workload: WorkloadParameters }
  | { readonly kind: "run"; readonly frames: number; readonly mode: RunMode };

export type ClientReply =
  | { readonly kind: "prepared"; readonly frameBytes: number }
  | { readonly kind: "ran"; readonly figures: RunFigures }
  | { readonly kind: "failed"; readonly reason: string };

export class LoadDriver {
  readonly #child: ChildProcess;
  readonly #workload: WorkloadParameters;
  #frames = 0;

  private constructor(child: ChildProcess, workload: WorkloadParameters) {
    this.#child = child;
    this.#workload = workload;
  }

  /** Starts a client process, lets it encode its templates and connect. */
  static async start(target: LoadTarget, workload: WorkloadParameters): Promise<{ driver: LoadDriver; frameBytes: number }> {
    const program = fileURLToPath(new URL("./load-client.js", import.meta.url));
    const driver = new LoadDriver(fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] }), workload);
    try {
      const reply = await driver.#ask({ kind: "prepare", target, workload });
      if (reply.kind !== "prepared") throw new Error(`unexpected ${reply.kind}`);
      return { driver, frameBytes: reply.frameBytes };
    } catch (error) {
      driver.stop();
      throw error;
    }
  }

  /**
   * Sends the next `frames` frames of the workload; resolves when the last one is acknowledged, and throws when the acks named
   * other numbers of duplicate, late or invalid events than were sent.
   */
  async run(frames: number, mode: RunMode): Promise<RunFigures> {
    const reply = await this.#ask({ kind: "run", frames, mode });
    if (reply.kind !== "ran") throw new Error(`unexpected ${reply.kind}`);
    this.#check(frames, reply.figures.verdicts);
    return reply.figures;
  }

  #check(frames: number, verdicts: Verdicts): void {
    const before = expectedVerdicts(this.#frames, this.#workload);
    this.#frames += frames;
    const after = expectedVerdicts(this.#frames, this.#workload);
    const expected = {
      accepted: after.accepted - before.accepted,
      duplicate: after.duplicate - before.duplicate,
      late: after.late - before.late,
      invalid: after.invalid - before.invalid,
    };
    if (isDeepStrictEqual(verdicts, expected)) return;
    throw new Error(
      `wrong verdicts after ${this.#frames} frames: ${JSON.stringify(verdicts)}, expected ${JSON.stringify(expected)}`,
    );
  }

  stop(): void {
    this.#child.kill();
  }

  #ask(command: ClientCommand): Promise<ClientReply> {
    return new Promise((resolve, reject) => {
      const exited = (): void => reject(new Error("the load client ended early"));
      this.#child.once("exit", exited);
      this.#child.once("message", (reply: ClientReply) => {
        this.#child.off("exit", exited);
        if (reply.kind === "failed") reject(new Error(`load client: ${reply.reason}`));
        else resolve(reply);
      });
      this.#child.send(command);
    });
  }
}
