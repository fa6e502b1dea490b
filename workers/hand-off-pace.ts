/**
 * When frames that have gathered leave for the hosts: at the next turn of the event loop when none left for a while or when
 * they make a turn worthwhile, else HAND_OFF_EVERY_MS after the last ones. Each hand-over wakes threads, makes a turn and a
 * commit of them, whose cost frames that leave together share; a sender on its own never waits. At 500 frames a second this
 * saves a seventh of an event's time (`npm run bench -- ingest`, open loop); at full load turns are large by themselves.
 * `hosts.ts` keeps one.
 */
import { limits } from "../protocol/limits.ts";
import type { HostEnvironment } from "./environment.ts";

export const HAND_OFF_EVERY_MS = 4;

export class HandOffPace {
  readonly #environment: Pick<HostEnvironment, "elapsed" | "soon" | "after">;
  readonly #handOver: () => void;
  #waiting = 0;
  #lastMs = -Infinity;
  #comesSoon = false;
  #comesLater = false;

  /** `handOver` sends what has gathered, and says so by `left`. */
  constructor(environment: Pick<HostEnvironment, "elapsed" | "soon" | "after">, handOver: () => void) {
    this.#environment = environment;
    this.#handOver = handOver;
  }

  /** One more frame has gathered. */
  gathered(): void {
    this.#waiting++;
    if (this.#comesSoon) return;
    const leftMs = this.#lastMs + HAND_OFF_EVERY_MS - this.#environment.elapsed();
    if (leftMs <= 0 || this.#waiting >= limits.turnFramesWorthwhile) {
      this.#comesSoon = true;
      this.#environment.soon(this.#handOver);
    } else if (!this.#comesLater) {
      this.#comesLater = true;
      this.#environment.after(leftMs, () => {
        this.#comesLater = false;
        if (this.#waiting > 0 && !this.#comesSoon) this.#handOver();
      });
    }
  }

  /** All that had gathered has left. */
  left(): void {
    this.#comesSoon = false;
    if (this.#waiting === 0) return;
    this.#waiting = 0;
    this.#lastMs = this.#environment.elapsed();
  }
}
