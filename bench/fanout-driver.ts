/** The parent's side of a process of subscribers (`fanout-client.ts`), and the messages between the two. */
import { fork, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface FanoutTarget {
  readonly url: string;
  readonly key: string;
  readonly subscribers: number;
  readonly channel: string;
  readonly everyMs: number;
}

/** What was published: for each frame, by epoch milliseconds, and what the channel's count is when it is included. */
export interface PublishedFrames {
  readonly plannedMs: readonly number[];
  readonly ackedMs: readonly number[];
  readonly counts: readonly number[];
}

export interface FanoutFigures {
  /** From the ack, which leaves when the commit is done, to the first delta that includes the frame; over all subscribers. */
  readonly fromCommitP50Ms: number;
  readonly fromCommitP99Ms: number;
  readonly fromPlannedP50Ms: number;
  readonly fromPlannedP99Ms: number;
  readonly fromPlannedMaxMs: number;
  /** From the first subscriber's receipt of a delta to the last one's. */
  readonly spreadP50Ms: number;
  readonly spreadMaxMs: number;
  readonly deltas: number;
  /** Deltas that a subscriber did not get, because it was behind by more than the backlog allows. */
  readonly missedDeltas: number;
  readonly clientCpuUs: number;
}

export type FanoutCommand =
  | { readonly kind: "subscribe"; readonly target: FanoutTarget }
  | { readonly kind: "figures"; readonly frames: PublishedFrames };

export type FanoutReply =
  | { readonly kind: "subscribed" }
  | { readonly kind: "figures"; readonly figures: FanoutFigures }
  | { readonly kind: "failed"; readonly reason: string };

const OTHER_FILES = 256;

/** A socket is a file at both ends. Node raises its own limit as far as the hard limit lets it. */
export function requireOpenFiles(sockets: number): void {
  const hardMax = hardOpenFiles();
  if (hardMax >= sockets + OTHER_FILES) return;
  throw new Error(
    `${sockets} subscribers need ${sockets + OTHER_FILES} open files a process, and the hard limit is ${hardMax}: ` +
      "raise it (`ulimit -Hn`, as root; with Docker `--ulimit nofile=20000`)",
  );
}

function hardOpenFiles(): number {
  try {
    const [, hard = ""] = /^Max open files +\S+ +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
  } catch {
    // No /proc: a limit that is too low shows when the sockets are opened.
    return Number.POSITIVE_INFINITY;
  }
}

export class FanoutDriver {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when every subscriber has its snapshot. */
  static async start(target: FanoutTarget): Promise<FanoutDriver> {
    const program = fileURLToPath(new URL("./fanout-client.js", import.meta.url));
    const driver = new FanoutDriver(fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
    await driver.#ask({ kind: "subscribe", target });
    return driver;
  }

  /** Resolves when every subscriber has seen the last of the frames; rejects when one sees something wrong. */
  async figures(frames: PublishedFrames): Promise<FanoutFigures> {
    const reply = await this.#ask({ kind: "figures", frames });
    if (reply.kind !== "figures") throw new Error(`unexpected ${reply.kind}`);
    return reply.figures;
  }

  stop(): void {
    this.#child.kill();
  }

  #ask(command: FanoutCommand): Promise<FanoutReply> {
    return new Promise((resolve, reject) => {
      const exited = (): void => reject(new Error("the process of subscribers ended early"));
      this.#child.once("exit", exited);
      this.#child.once("message", (reply: FanoutReply) => {
        this.#child.off("exit", exited);
        if (reply.kind === "failed") reject(new Error(`subscribers: ${reply.reason}`));
        else resolve(reply);
      });
      this.#child.send(command);
    });
  }
}
