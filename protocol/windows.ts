/**
 * Panes and windows: which slices of time exist. A pane is a tumbling slice of 10 s, 1 min or 1 h; a window is a
 * range of panes. All are aligned to the epoch, in UTC.
 */
import { WeirError } from "./error-codes.ts";

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** Pane sizes from fine to coarse; each divides the next. */
export const PANE_SIZES_MS = [10 * SECOND_MS, MINUTE_MS, HOUR_MS] as const;
export type PaneSizeMs = (typeof PANE_SIZES_MS)[number];

/** `stepMs`: how a rolling window moves, or the length of a tumbling one. */
export interface WindowDefinition {
  readonly name: WindowName;
  readonly kind: "rolling" | "tumbling";
  readonly lengthMs: number;
  readonly stepMs: number;
}

export const windows = {
  "1m": { name: "1m", kind: "rolling", lengthMs: MINUTE_MS, stepMs: 10 * SECOND_MS },
  "5m": { name: "5m", kind: "rolling", lengthMs: 5 * MINUTE_MS, stepMs: 10 * SECOND_MS },
  "1h": { name: "1h", kind: "rolling", lengthMs: HOUR_MS, stepMs: 10 * SECOND_MS },
  "24h": { name: "24h", kind: "rolling", lengthMs: DAY_MS, stepMs: MINUTE_MS },
  minute: { name: "minute", kind: "tumbling", lengthMs: MINUTE_MS, stepMs: MINUTE_MS },
  hour: { name: "hour", kind: "tumbling", lengthMs: HOUR_MS, stepMs: HOUR_MS },
  day: { name: "day", kind: "tumbling", lengthMs: DAY_MS, stepMs: DAY_MS },
} as const satisfies Record<string, { name: string; kind: string; lengthMs: number; stepMs: number }>;

export type WindowName = keyof typeof windows;
export const DEFAULT_WINDOW: WindowName = "5m";

export function isWindowName(text: string): text is WindowName {
  return Object.hasOwn(windows, text);
}

export interface TimeSpan {
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
}

/** The span of a window at a moment: the running step is part of it. */
export function windowSpan(name: WindowName, nowMs: number): TimeSpan {
  const window = windows[name];
  const toMs = (Math.floor(nowMs / window.stepMs) + 1) * window.stepMs;
  return { fromMs: toMs - window.lengthMs, toMs };
}

/** How often a subscriber may ask to be told, in ms. */
export const cadencesMs = [100, 250, 1_000, 5_000, 10_000] as const;
export type CadenceMs = (typeof cadencesMs)[number];

/** The slowest cadence that is not slower than asked for; the fastest when asked for less than that. */
export function cadenceFor(everyMs: number | undefined): CadenceMs {
  let chosen: CadenceMs = cadencesMs[0];
  for (const cadence of cadencesMs) if (everyMs !== undefined && cadence <= everyMs) chosen = cadence;
  return chosen;
}

/** `metric` or `metric@window` as a subscriber writes it. Whether the metric exists is another question. */
export function parseChannel(channel: string): { metric: string; window: WindowName } {
  const [metric, window = DEFAULT_WINDOW, ...rest] = channel.split("@");
  if (metric === undefined || metric === "" || rest.length > 0 || !isWindowName(window)) {
    throw new WeirError("WEIR_CHANNEL_INVALID", undefined, { path: "channel" });
  }
  return { metric, window };
}
