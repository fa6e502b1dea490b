/**
 * One host over its lives. When one fails (a commit error, an assertion, the death of its thread) it is over at once for
 * whoever waits for it; then, at a growing pause, the next life opens the same environments and recovers:
 *
 *   starting --recovered--> (takes frames) --rebuilt--> running
 *       ^                          |                       |
 *       '--- pause <--- closed <---+------ failed <--------'          stop(): stopped
 *
 * - A life begins only when nothing of the last one runs any more and every user of its environments has let go of them:
 *   threads of a process share an LMDB environment, so one that has failed stays failed until the last one has closed it.
 * - The fate of what was not answered is unknown. Senders send it again, deduplication decides.
 * - A first life that fails ends the start, unless it failed at a record of the replay: that one is left out at last.
 */
import { randomUUID } from "node:crypto";
import { isErrorCode, WeirError } from "../protocol/error-codes.ts";
import type { HostLife } from "./host-life.ts";
import type { HostOptions } from "./host-options.ts";
import type { FromHost, HostFailure, ToHost } from "./messages.ts";
import { Strikes, type FrameMark } from "./poison.ts";
import type { HostStatus, HostSupervision } from "./ports.ts";
import { restartPauseMs, type RestartPolicy } from "./restart-policy.ts";

export interface SupervisedHostOptions {
  readonly host: HostOptions;
  readonly launch: (options: HostOptions) => HostLife;
  readonly policy: RestartPolicy;
  readonly now: () => number;
  readonly random: () => number;
  /** Resolves after the time, or when the signal aborts. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  /** What is not about the life itself. Nothing comes from a life that is over. */
  readonly receive: (message: FromHost) => void;
  readonly onDown: (error: WeirError, failure: HostFailure) => void;
  /** The life is over and closed; resolves when all others have let go of its environments. */
  readonly beforeReopen: () => Promise<void>;
  /** A later life has recovered and takes frames: it is to be given what it missed, and then `run`. */
  readonly onBack: () => void;
  /** It cannot come back in this process. */
  readonly onLost: (error: WeirError) => void;
}

export class SupervisedHost {
  readonly #options: SupervisedHostOptions;
  readonly #strikes = new Strikes();
  readonly #stopping = new AbortController();
  #life: HostLife | undefined;
  #lives = 0;
  #state: HostStatus["state"] = "starting";
  #takesFrames = false;
  #status: HostStatus | undefined;
  #failures = 0;
  #nextAttemptMs: number | null = null;
  #lastError: WeirError | undefined;
  /** What a careful life applies at the moment. */
  #applying: FrameMark | undefined;
  /** Since when this life has been running. */
  #runningSinceMs: number | undefined;
  #closed: Promise<void> = Promise.resolve();
  #whenUp: (() => void)[] = [];
  #recovered: { resolve: (replayed: number) => void; reject: (error: WeirError) => void } | undefined;

  constructor(options: SupervisedHostOptions) {
    this.#options = options;
  }

  get state(): HostStatus["state"] {
    return this.#state;
  }

  get takesFrames(): boolean {
    return this.#takesFrames;
  }

  /** Tells lives apart. */
  get life(): number {
    return this.#lives;
  }

  /** As of the last second of its last life. */
  get status(): HostStatus | undefined {
    return this.#status === undefined ? undefined : { ...this.#status, state: this.#state };
  }

  get supervision(): HostSupervision {
    return {
      host: this.#options.host.host,
      state: this.#state,
      takesFrames: this.#takesFrames,
      restarts: Math.max(0, this.#lives - 1),
      failures: this.#failuresInARow,
      gaveUp: this.#failuresInARow > this.#options.policy.attemptsMax,
      nextAttemptMs: this.#nextAttemptMs,
      lastError: this.#lastError?.code ?? null,
    };
  }

  /** 0 once it has got over the last one. */
  get #failuresInARow(): number {
    const { now, policy } = this.#options;
    const ranMs = this.#runningSinceMs === undefined ? 0 : now() - this.#runningSinceMs;
    return ranMs >= policy.wellAfterMs ? 0 : this.#failures;
  }

  /** Resolves with the number of replayed records when it has recovered for the first time. */
  start(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#recovered = { resolve, reject };
      this.#begin();
    });
  }

  /** What is posted to a host that is down is lost. */
  post(message: ToHost, transfer?: readonly ArrayBuffer[]): void {
    this.#life?.line.post(message, transfer);
  }

  /** It may be asked: everything that it has to know has reached it. */
  run(): void {
    this.#state = "running";
    this.#runningSinceMs = this.#options.now();
  }

  /** Resolves at once when it takes frames, else when it does again; never when it is stopped before. */
  up(): Promise<void> {
    return this.#takesFrames ? Promise.resolve() : new Promise((resolve) => this.#whenUp.push(resolve));
  }

  /** Resolves when nothing of a life that is over runs any more. */
  closed(): Promise<void> {
    return this.#closed;
  }

  /** Ends the life as a failure does. */
  fail(failure: HostFailure): void {
    const life = this.#life;
    if (life === undefined) return;
    const error = errorOf(failure);
    this.#life = undefined;
    this.#state = "failed";
    this.#takesFrames = false;
    this.#failures = this.#failuresInARow + 1;
    this.#runningSinceMs = undefined;
    this.#lastError = error;
    this.#blame(failure);
    this.#closed = life.end();
    // Whoever waits for it sees it reject; `#comeBack` does.
    this.#closed.catch(() => undefined);
    this.#options.onDown(error, failure);
    void this.#comeBack(error, failure);
  }

  /** No more lives: this one goes on. */
  noMoreLives(): void {
    this.#stopping.abort();
  }

  /** Ends it as it is. */
  async stop(): Promise<void> {
    this.noMoreLives();
    const life = this.#life;
    this.#life = undefined;
    if (this.#state !== "failed") this.#state = "stopped";
    this.#takesFrames = false;
    await life?.kill();
    await this.#closed.catch(() => undefined);
  }

  #begin(): void {
    const { host, launch } = this.#options;
    // Who has seen another life of the channels takes a new snapshot: seqs begin anew.
    const again = { epoch: randomUUID(), again: { poison: [...this.#strikes.frames], skip: [...this.#strikes.records] } };
    const life = launch(this.#lives === 0 ? host : { ...host, ...again });
    this.#life = life;
    this.#lives++;
    this.#state = "starting";
    this.#nextAttemptMs = null;
    this.#applying = undefined;
    life.line.onMessage((message) => {
      if (this.#life === life) this.#receive(message);
    });
    life.onEnd((error) => {
      if (this.#life !== life) return;
      const frame = this.#applying === undefined ? {} : { frame: this.#applying };
      this.fail({ code: error.code, message: error.message, ...frame });
    });
  }

  #receive(message: FromHost): void {
    switch (message.type) {
      case "recovered":
        return this.#up(message.replayedRecords);
      case "status":
        this.#status = message.status;
        return;
      case "applying":
        this.#applying = message.frame;
        return;
      case "failed":
        return this.fail(message);
      default:
        return this.#options.receive(message);
    }
  }

  #up(replayedRecords: number): void {
    this.#takesFrames = true;
    for (const resolve of this.#whenUp.splice(0)) resolve();
    if (this.#recovered === undefined) this.#options.onBack();
    this.#recovered?.resolve(replayedRecords);
    this.#recovered = undefined;
  }

  #blame({ code, frame, record }: HostFailure): void {
    if (code === "WEIR_JOURNAL_COMMIT_FAILED") return;
    if (frame !== undefined) this.#strikes.frame(frame);
    if (record !== undefined) this.#strikes.record(record);
  }

  async #comeBack(error: WeirError, failure: HostFailure): Promise<void> {
    const { policy, now, random, pause, beforeReopen, onLost } = this.#options;
    if (this.#recovered !== undefined && failure.record === undefined) {
      this.#recovered.reject(error);
      return;
    }
    const { signal } = this.#stopping;
    try {
      await this.#closed;
      if (signal.aborted) return;
      await beforeReopen();
      const pauseMs = restartPauseMs(policy, this.#failures, random());
      this.#nextAttemptMs = now() + pauseMs;
      await pause(pauseMs, signal);
    } catch (cause) {
      if (!signal.aborted) onLost(new WeirError("WEIR_HOST_FAILED", "It cannot be opened again.", { cause }));
      return;
    }
    if (!signal.aborted) this.#begin();
  }
}

function errorOf({ code, message }: HostFailure): WeirError {
  return new WeirError(isErrorCode(code) ? code : "WEIR_INTERNAL", message);
}
