/**
 * A channel: one window of one metric, kept up to date for its subscribers (promise 9). Its state is a set of rows, one a
 * series; `refresh` brings it up to the metric and says what changed. A subscriber that applies every delta in the order of
 * `seq` holds the same rows. A delta holds whole rows, never differences, so conflating several into one is harmless.
 */
import { limits } from "../protocol/limits.ts";
import { HOUR_MS, MINUTE_MS, windowSpan, windows, type TimeSpan, type WindowName } from "../protocol/windows.ts";
import type { MetricPlan } from "./metric-plan.ts";
import type { MetricSeries } from "./metric-series.ts";

type Row = Readonly<Record<string, unknown>>;

export interface ChannelDelta {
  readonly seq: number;
  readonly window: TimeSpan;
  readonly cause: "live" | "late";
  readonly rows: readonly Row[];
}

export class Channel {
  readonly window: WindowName;
  readonly everyMs: number;
  subscribers = 0;
  seq: number;
  span: TimeSpan;
  refreshDueMs = 0;
  readonly #plan: MetricPlan;
  /** By the series' id: a series that was dropped may come back as another object. */
  readonly #rows = new Map<string, { series: MetricSeries; row: Row; text: string }>();
  readonly #touched = new Map<string, MetricSeries>();
  #touchedLive = false;
  /** The latest delta frames, for subscribers that come back. */
  readonly #history: { seq: number; frame: Uint8Array }[] = [];

  /** `firstSeq` is past every seq that another channel at this address has had in this epoch: nobody may resume from those. */
  constructor(
    plan: MetricPlan,
    window: WindowName,
    everyMs: number,
    series: Iterable<MetricSeries>,
    nowMs: number,
    firstSeq: number,
  ) {
    this.#plan = plan;
    this.seq = firstSeq;
    this.window = window;
    this.everyMs = everyMs;
    this.span = windowSpan(window, nowMs);
    for (const each of series) this.#update(each);
  }

  get rows(): Row[] {
    return [...this.#rows.values()].map(({ row }) => row);
  }

  /** A pane of the series changed. */
  touch(series: MetricSeries, startMs: number, watermarkMs: number): void {
    this.#touched.set(series.id, series);
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
      for (const [id, { series }] of this.#rows) if (!this.#touched.has(id)) this.#touched.set(id, series);
    }
    const changed: Row[] = [];
    for (const series of this.#touched.values()) {
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
  #update(series: MetricSeries): Row | undefined {
    const plan = this.#plan;
    const before = this.#rows.get(series.id);
    const states = plan.emptyStates();
    let panes = 0;
    series.visit(plan, this.span.fromMs, this.span.toMs, HOUR_MS, (_startMs, pane) => {
      panes++;
      plan.merge(states, pane);
    });
    if (panes === 0) {
      this.#rows.delete(series.id);
      return before === undefined ? undefined : { ...plan.keyRow(series.dimensions), removed: true };
    }
    const row = plan.row(series.dimensions, states, windows[this.window].lengthMs);
    const text = JSON.stringify(row);
    this.#rows.set(series.id, { series, row, text });
    return before?.text === text ? undefined : row;
  }
}
