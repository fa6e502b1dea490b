/**
 * How old each published frame was when each subscriber first saw a delta that includes it. Counts only rise, and one publisher's
 * frames are counted in their order, so a count says which frames it includes. (With several hosts a count may hold some events of
 * a later frame in place of some of this one; by number they are as many.)
 */
import type { SeenDelta } from "./fanout-client.ts";
import type { FanoutFigures, PublishedFrames } from "./fanout-driver.ts";

const STEP_MS = 0.1;
const AGE_MS_MAX = 60_000;

/** Ages in steps of 0.1 ms: millions of them in constant memory. */
class AgeCounts {
  readonly #counts = new Float64Array(AGE_MS_MAX / STEP_MS + 1);
  #total = 0;

  add(ageMs: number): void {
    const step = Math.min(Math.max(0, Math.round(ageMs / STEP_MS)), this.#counts.length - 1);
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
    this.#total++;
  }

  /** Nearest rank. */
  quantile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let step = 0; step < this.#counts.length; step++) {
      seen += this.#counts[step] ?? 0;
      if (seen >= rank) return step * STEP_MS;
    }
    return Number.NaN;
  }
}

type Ages = Pick<
  FanoutFigures,
  "fromCommitP50Ms" | "fromCommitP99Ms" | "fromPlannedP50Ms" | "fromPlannedP99Ms" | "fromPlannedMaxMs"
>;

/** `deltas` in the order of their `seq`. */
export function ages(deltas: readonly SeenDelta[], frames: PublishedFrames, subscribers: number): Ages {
  const fromCommit = new AgeCounts();
  const fromPlanned = new AgeCounts();
  for (let subscriber = 0; subscriber < subscribers; subscriber++) {
    let frame = 0;
    for (const { count, receivedMs } of deltas) {
      const atMs = receivedMs[subscriber] ?? Number.NaN;
      if (Number.isNaN(atMs)) continue;
      for (; frame < frames.counts.length && (frames.counts[frame] ?? 0) <= count; frame++) {
        fromCommit.add(atMs - (frames.ackedMs[frame] ?? 0));
        fromPlanned.add(atMs - (frames.plannedMs[frame] ?? 0));
      }
    }
  }
  return {
    fromCommitP50Ms: fromCommit.quantile(0.5),
    fromCommitP99Ms: fromCommit.quantile(0.99),
    fromPlannedP50Ms: fromPlanned.quantile(0.5),
    fromPlannedP99Ms: fromPlanned.quantile(0.99),
    fromPlannedMaxMs: fromPlanned.quantile(1),
  };
}
