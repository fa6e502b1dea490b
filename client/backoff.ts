/**
 * How long to wait before trying again: exponential with full jitter (AWS Architecture Blog, "Exponential Backoff
 * And Jitter"), bounded in the single delay and in the whole time without success.
 */
export interface RetryOptions {
  /** The first delay is between half of this and this. */
  readonly delayMsMin?: number;
  readonly delayMsMax?: number;
  /** After so long without success the client gives up, and what waits is rejected. */
  readonly giveUpAfterMs?: number;
}

export class Backoff {
  readonly #delayMsMin: number;
  readonly #delayMsMax: number;
  readonly #giveUpAfterMs: number;
  #attempts = 0;
  #failingSinceMs: number | undefined;

  constructor(options: RetryOptions = {}) {
    this.#delayMsMin = options.delayMsMin ?? 100;
    this.#delayMsMax = options.delayMsMax ?? 10_000;
    this.#giveUpAfterMs = options.giveUpAfterMs ?? 10 * 60_000;
  }

  /** The delay before the next attempt, or undefined when it is time to give up. `random` is in [0, 1). */
  next(nowMs: number, random: number): number | undefined {
    this.#failingSinceMs ??= nowMs;
    if (nowMs - this.#failingSinceMs >= this.#giveUpAfterMs) return undefined;
    const ceiling = Math.min(this.#delayMsMax, this.#delayMsMin * 2 ** Math.min(this.#attempts, 30));
    this.#attempts++;
    return ceiling / 2 + (ceiling / 2) * random;
  }

  succeeded(): void {
    this.#attempts = 0;
    this.#failingSinceMs = undefined;
  }
}
