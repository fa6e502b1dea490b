/**
 * When frames that have gathered leave for the hosts. Each hand-over wakes threads, makes a turn and a commit of them, whose cost
 * frames that leave together share: at 150,000 events/s a fifth of an event's CPU time (`npm run bench -- ingest`, open loop;
 * `docs/decisions/0016-hand-overs-are-paced.md`). So they leave
 *
 *   at once, in the next turn of the event loop, when so many have gathered that they make a turn worthwhile (`turn-size.ts`);
 *   at once too when the hosts have answered all that left before, as for a sender that waits for each answer,
 *   unless the last ones that left were several frames: then others are likely to come, and they wait for those,
 *   HAND_OFF_EVERY_MS after the last ones left, at the latest.
 *
 * `hosts.ts` keeps one for all hosts, so that the shares of a frame leave together.
 */
import type { HostEnvironment } from "./environment.ts";
import { isWorthwhileTurn } from "./turn-size.ts";

export const HAND_OFF_EVERY_MS = 4;

export interface HandOffPaceOptions {
  readonly environment: Pick<HostEnvironment, "elapsed" | "soon" | "after">;
  /** A frame may have a share for each. */
  readonly hosts: number;
  /** Whether the hosts have answered all shares that left. */
  readonly isIdle: () => boolean;
  /** Sends what has gathered, and says so by `left`. */
  readonly handOver: () => void;
}

export class HandOffPace {
  readonly #options: HandOffPaceOptions;
  #gathered = 0;
  #bytes = 0;
  #lastMs = -Infinity;
  /** Those that left last were several frames. */
  #wereSeveral = false;
  #leaveSoon = false;
  #leaveLater = false;

  constructor(options: HandOffPaceOptions) {
    this.#options = options;
  }

  /** One more share of a frame has gathered, of so many bytes. */
  gathered(bytes: number): void {
    this.#gathered++;
    this.#bytes += bytes;
    if (this.#leaveSoon) return;
    const waitMs = this.#lastMs + HAND_OFF_EVERY_MS - this.#options.environment.elapsed();
    if (waitMs <= 0 || isWorthwhileTurn(this.#gathered, this.#bytes) || this.#needNotWait()) this.#soon();
    else if (!this.#leaveLater) this.#later(waitMs);
  }

  /** The hosts have answered shares that left, or never will. */
  answered(): void {
    if (this.#gathered > 0 && !this.#leaveSoon && this.#needNotWait()) this.#soon();
  }

  /** All that had gathered has left. */
  left(): void {
    this.#leaveSoon = false;
    if (this.#gathered === 0) return;
    this.#wereSeveral = this.#gathered > this.#options.hosts;
    this.#gathered = 0;
    this.#bytes = 0;
    this.#lastMs = this.#options.environment.elapsed();
  }

  #needNotWait(): boolean {
    return !this.#wereSeveral && this.#options.isIdle();
  }

  #soon(): void {
    this.#leaveSoon = true;
    this.#options.environment.soon(this.#options.handOver);
  }

  #later(ms: number): void {
    this.#leaveLater = true;
    this.#options.environment.after(ms, () => {
      this.#leaveLater = false;
      if (this.#gathered > 0 && !this.#leaveSoon) this.#options.handOver();
    });
  }
}
