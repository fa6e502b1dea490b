/**
 * When a host hands changed partials to the metrics (stage 2). Everything that shows numbers waits for that, but only subscribers
 * feel it: a query asks for what has changed first, and rows are written twice a second. So partials go often while somebody
 * subscribes to any channel, and seldom while nobody does: one for many changes of a pane instead of many
 * (`npm run bench -- fanout` has the latency, `npm run bench -- ingest` the cost).
 *
 * With very many changed panes, handing them on must not take the time from events: it gets about a tenth of a host's time,
 * unless that would make it a second late.
 */
const UNHEARD_FACTOR = 5;
const REST_FACTOR = 9;
const REST_MS_MAX = 1_000;

export class PartialPace {
  /** Somebody subscribes to a channel, of whatever host. */
  isHeard = false;
  readonly #everyMs: number;
  #startedMs = -Infinity;
  #restUntilMs = -Infinity;

  /** `everyMs`: of the timer that asks; the pace while somebody listens. */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Whether it is time; times are milliseconds since some start. */
  isDue(nowMs: number): boolean {
    if (nowMs < this.#restUntilMs) return false;
    // Timers are late or early by a little: half a period of tolerance.
    return this.isHeard || nowMs - this.#startedMs >= (UNHEARD_FACTOR - 0.5) * this.#everyMs;
  }

  /** It began then, and took so long. */
  took(startedMs: number, busyMs: number): void {
    this.#startedMs = startedMs;
    this.#restUntilMs = startedMs + Math.min(busyMs * REST_FACTOR, REST_MS_MAX);
  }
}
