/**
 * A channel: one window of one metric, kept up to date for its subscribers (promise 9). Its state is a set of rows, one a
 * series; `refresh` brings it up to the metric and says what changed. A subscriber that applies every delta in the order of
 * `seq` holds the same rows. A delta holds whole rows, never differences, so conflating several into one is harmless.
 */
import { limits } from "../protocol/limits.ts";
import { MINUTE_MS, windowSpan, windows, type TimeSpan, type WindowName } from "../protocol/windows.ts";
import type { MetricPlan } from "./metric-plan.ts";
import type { MetricPanes } from "./metric-panes.ts";
import type { MetricSeries } from "./metric-series.ts";

type Row = Readonly<Record<string, unknown>>;

export interface ChannelDelta {
  readonly seq: number;
  readonly window: TimeSpan;
  readonly cause: "live" | "late";
  readonly rows: readonly Row[];
}

/** What stage 2 has of the metric. */
export interface ChannelSource {
  readonly series: MetricSeries;
  readonly panes: MetricPanes;
}

export class Channel {
  readonly window: WindowName;
  readonly everyMs: number;
  subscribers = 0;
  seq: number;
  span: TimeSpan;
  refreshDueMs = 0;
  readonly #plan: MetricPlan;
  readonly #source: ChannelSource;
  /** By the number of the series, which is held as long as there is a row. */
  readonly #rows = new Map<number, { readonly row: Row; readonly text: string }>();
  readonly #touched = new Set<number>();
  #touchedLive = false;
  /** The latest delta frames, for subscribers that come back. */
  readonly #history: { seq: number; frame: Uint8Array }[] = [];

  /** `firstSeq` is past every seq that another channel at this address has had in this epoch: nobody may resume from those. */
  constructor(plan: MetricPlan, window: WindowName, everyMs: number, source: ChannelSource, nowMs: number, firstSeq: number) {
    this.#plan = plan;
    this.seq = firstSeq;
    this.window = window;
    this.everyMs = everyMs;
    this.span = windowSpan(window, nowMs);
    this.#source = source;
    for (let series = 0; series < source.series.end; series++) if (source.series.hasPanes(series)) this.#update(series);
  }

  /** It is closed. */
  letGo(): void {
    for (const series of this.#rows.keys()) this.#source.series.letGo(series);
    this.#rows.clear();
  }

  get rows(): Row[] {
    return [...this.#rows.values()].map(({ row }) => row);
  }

  /** A pane of the series changed. */
  touch(series: number, startMs: number, watermarkMs: number): void {
    this.#touched.add(series);
    if (startMs + MINUTE_MS > watermarkMs) this.#touchedLive = true;
  }

  /** Brings the rows up to `nowMs`; undefined when none changed. */
  refresh(nowMs: number): ChannelDelta | undefined {
    const span = windowSpan(this.window, nowMs);
    const moved = span.toMs > this.span.toMs;
    if (!moved && this.#touched.size === 0) return undefined;
    if (moved) this.span = span;
    const cause = moved || this.#touchedLive ? "live" : "late";
    // A series without a row has nothing in the window unless it was touched: only these two kinds can change.
    if (moved) {
      for (const series of this.#rows.keys()) this.#touched.add(series);
    }
    const changed: Row[] = [];
    for (const series of this.#touched) {
      const row = this.#update(series);
      if (row !== undefined) changed.push(row);
    }
    this.#touched.clear();
    this.#touchedLive = false;
    if (changed.length === 0 && !moved) return undefined;
    return { seq: ++this.seq, window: this.span, cause, rows: changed };
  }

  remember(seq: number, frame: Uint8Array): void {
    this.#history.push({ seq, frame });
    if (this.#history.length > limits.channelHistoryFrames) this.#history.shift();
  }

  /** The delta frames after `seq`, or undefined when they are no longer all there. */
  since(seq: number): Uint8Array[] | undefined {
    if (seq > this.seq) return undefined;
    if (seq === this.seq) return [];
    const oldest = this.#history[0];
    if (oldest === undefined || oldest.seq > seq + 1) return undefined;
    return this.#history.filter((entry) => entry.seq > seq).map(({ frame }) => frame);
  }

  /** Recomputes a series' row; returns it when it changed. */
  #update(series: number): Row | undefined {
    const plan = this.#plan;
    const { panes, series: numbers } = this.#source;
    const before = this.#rows.get(series);
    const states = panes.statesIn(series, this.span.fromMs, this.span.toMs);
    if (states === undefined) {
      if (before === undefined) return undefined;
      const removed = { ...plan.keyRow(numbers.dimensionsOf(series)), removed: true };
      this.#rows.delete(series);
      numbers.letGo(series);
      return removed;
    }
    const row = plan.row(numbers.dimensionsOf(series), states, windows[this.window].lengthMs);
    const text = JSON.stringify(row);
    if (before === undefined) numbers.hold(series);
    this.#rows.set(series, { row, text });
    return before?.text === text ? undefined : row;
  }
}
