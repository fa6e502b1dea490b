/**
 * Which pane an event belongs to: fine for the last hour, minutes for the last day, hours for the rest of the lateness horizon.
 *
 *      keepFrom            minuteFrom              fineFrom          watermark
 *  ------|------ 1 h panes -----|------ 1 min panes -----|--- 10 s panes ---|
 *
 * The ladder is a function of the watermark alone, floored to its minute. So after any order of the same events, once
 * `PartialPanes.age` has run, every event lies in a pane of the same size.
 */
import { HOUR_MS, MINUTE_MS, PANE_SIZES_MS, type PaneSizeMs } from "../protocol/windows.ts";

/** How long panes of each size are kept behind the watermark; whole minutes, each at least as long as the one before. */
export interface PaneRetention {
  readonly fineMs: number;
  readonly minuteMs: number;
  /** All panes; at least the allowed lateness, so that a late event always finds its pane. */
  readonly allMs: number;
}

export const [FINE_MS] = PANE_SIZES_MS;
/** A power of two that has room for every size. */
const KEYS_PER_SLICE = 4;

export class PaneLadder {
  #retention: PaneRetention;
  #minute = -Infinity;
  #lastTimeMs = Number.NaN;
  #lastKey = 0;
  /** Events from here on go to 10 s panes. */
  fineFromMs = -Infinity;
  /** Events from here on, before `fineFromMs`, go to 1 min panes; older ones to 1 h panes. */
  minuteFromMs = -Infinity;
  /** Panes that end here or earlier are dropped. */
  keepFromMs = -Infinity;

  constructor(retention: PaneRetention) {
    this.#retention = retention;
  }

  changeRetention(retention: PaneRetention, watermarkMs: number): void {
    this.#retention = retention;
    this.#minute = -Infinity;
    this.advance(watermarkMs);
  }

  /** Moves the steps with the watermark; true when they moved. */
  advance(watermarkMs: number): boolean {
    const minute = floorTo(watermarkMs, MINUTE_MS);
    if (minute <= this.#minute) return false;
    this.#minute = minute;
    this.#lastTimeMs = Number.NaN;
    this.fineFromMs = minute - this.#retention.fineMs;
    this.minuteFromMs = floorTo(minute - this.#retention.minuteMs, HOUR_MS);
    this.keepFromMs = floorTo(minute - this.#retention.allMs, HOUR_MS);
    return true;
  }

  /** The key of the pane that an event belongs to. All metrics ask for the same event in turn: the last answer is kept. */
  keyAt(eventTimeMs: number): number {
    if (eventTimeMs === this.#lastTimeMs) return this.#lastKey;
    const sizeMs = this.sizeAt(eventTimeMs);
    this.#lastTimeMs = eventTimeMs;
    return (this.#lastKey = paneKey(floorTo(eventTimeMs, sizeMs), sizeMs));
  }

  sizeAt(eventTimeMs: number): PaneSizeMs {
    if (eventTimeMs >= this.fineFromMs) return FINE_MS;
    return eventTimeMs >= this.minuteFromMs ? MINUTE_MS : HOUR_MS;
  }
}

export function floorTo(timeMs: number, sizeMs: number): number {
  return Math.floor(timeMs / sizeMs) * sizeMs;
}

/**
 * One number for a pane's start and size. Counted in slices of 10 s, so that it is a small integer in V8 (below 2^30 until 2055):
 * a Map finds such a key several times faster than a large one, and this is looked up for every event and metric.
 */
export function paneKey(startMs: number, sizeMs: PaneSizeMs): number {
  return (startMs / FINE_MS) * KEYS_PER_SLICE + PANE_SIZES_MS.indexOf(sizeMs);
}

export function paneStartOf(key: number): number {
  return Math.floor(key / KEYS_PER_SLICE) * FINE_MS;
}

export function paneSizeOf(key: number): PaneSizeMs {
  return PANE_SIZES_MS[(key % KEYS_PER_SLICE) as 0 | 1 | 2];
}
