/**
 * Keeps a QuestDB running: starts it again, with a growing pause, when it ends or when it misses several health checks in
 * a row (a stuck worker pool stops `/ping`). Nothing is lost meanwhile: the warehouse writer waits and sends again.
 *
 *     starting --answers--> ready --ends, stuck, cannot start--> pending --answers--> ready      stop() -> stopped
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { QuestDbServer, ServerLog } from "./server.ts";

export type SupervisorState = "starting" | "ready" | "pending" | "stopped";

export interface SupervisorOptions {
  readonly server: QuestDbServer;
  readonly log: ServerLog;
  readonly pingEveryMs?: number;
  readonly pingTimeoutMs?: number;
  /** So many missed pings in a row, and it is ended and started again. */
  readonly missedPingsMax?: number;
  readonly pauseMsMin?: number;
  readonly pauseMsMax?: number;
}

export interface QuestDbSupervisor {
  readonly state: SupervisorState;
  /** How often it was started again. */
  readonly restarts: number;
  /** Why it is pending. */
  readonly lastError: unknown;
  /** Resolves when QuestDB answers for the first time; rejects when the first start fails. Either way it goes on. */
  readonly firstStart: Promise<void>;
  onState(handler: (state: SupervisorState) => void): void;
  stop(): Promise<void>;
}

export function supervise(options: SupervisorOptions): QuestDbSupervisor {
  return new Supervisor(options);
}

class Supervisor implements QuestDbSupervisor {
  readonly #options: SupervisorOptions;
  readonly #stop = new AbortController();
  readonly #handlers: ((state: SupervisorState) => void)[] = [];
  #loop = Promise.resolve();
  readonly firstStart: Promise<void>;
  #state: SupervisorState = "starting";
  #restarts = 0;
  #lastError: unknown;
  #ended = new AbortController();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    options.server.onExit((reason) => this.#ended.abort(new Error(reason)));
    this.firstStart = new Promise((resolve, reject) => {
      this.#loop = this.#run({ resolve, reject });
    });
    // Whoever does not wait for the first start must not be ended by its failure.
    this.firstStart.catch(() => undefined);
  }

  get state(): SupervisorState {
    return this.#state;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  onState(handler: (state: SupervisorState) => void): void {
    this.#handlers.push(handler);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(first: { resolve(): void; reject(reason: unknown): void }): Promise<void> {
    const { server, log, pauseMsMin = 250, pauseMsMax = 30_000 } = this.#options;
    const { signal } = this.#stop;
    let pauseMs = pauseMsMin;
    while (!signal.aborted) {
      this.#ended = new AbortController();
      try {
        await server.start(signal);
        this.#become("ready");
        first.resolve();
        pauseMs = pauseMsMin;
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#lastError = error;
        first.reject(error);
        log.warn({ err: error, pauseMs }, "questdb will be started again");
      }
      if (signal.aborted) break;
      this.#become("pending");
      await server.stop();
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, pauseMsMax);
      this.#restarts++;
    }
    await server.stop();
    first.reject(signal.reason);
    this.#become("stopped");
  }

  /** Returns when we are to stop; throws when the process ended or is stuck. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { server, pingEveryMs = 5_000, pingTimeoutMs = 5_000, missedPingsMax = 4 } = this.#options;
    const ended = this.#ended.signal;
    const either = AbortSignal.any([signal, ended]);
    let missed = 0;
    while (!either.aborted) {
      await sleep(pingEveryMs, undefined, { signal: either }).catch(() => undefined);
      if (either.aborted) break;
      missed = (await server.ping(pingTimeoutMs)) ? 0 : missed + 1;
      if (missed >= missedPingsMax) throw new Error(`no answer to ${missed} pings`);
    }
    if (!signal.aborted) throw ended.reason;
  }

  #become(state: SupervisorState): void {
    if (this.#state === state) return;
    this.#state = state;
    for (const handler of this.#handlers) handler(state);
  }
}
