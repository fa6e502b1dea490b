/**
 * Stage 2: the metric actor. It merges the partitions' partials into series, answers live queries, keeps its channels up to
 * date, and says which pane rows have to be written. Partials replace, so receiving one twice is harmless; what it holds
 * depends only on the latest partial of each (series, pane, partition).
 */
import { ByteReader } from "../protocol/bytes.ts";
import type { DimensionValue } from "../protocol/metric-definition.ts";
import { FINE_MS, floorTo, PaneLadder, type PaneRetention } from "./pane.ts";
import { HOUR_MS, MINUTE_MS, type CadenceMs, type PaneSizeMs, type TimeSpan, type WindowName } from "../protocol/windows.ts";
import { Channel } from "./channel.ts";
import type { MetricPlan, PaneStates } from "./metric-plan.ts";
import { MetricSeries } from "./metric-series.ts";
import { readPartial } from "./partial-panes.ts";

/** Estimated memory: of a partial's place in the tree, with the values merged from it, and of a series without its name. */
const PARTIAL_BYTES = 280;
const SERIES_BYTES = 2_000;
/** One partial of so many is weighed for what its states take; the mean of about the last so many that were counts. */
const WEIGH_EVERY = 64;
const WEIGHINGS = 64;

/** A pane whose stored row is out of date. */
export interface StaleRow {
  readonly series: MetricSeries;
  readonly startMs: number;
  readonly sizeMs: PaneSizeMs;
}

export interface SeriesFilter {
  readonly dimension: number;
  readonly negate: boolean;
  readonly values: readonly DimensionValue[];
}

export interface BucketRow {
  readonly startMs: number;
  readonly dimensions: readonly DimensionValue[];
  readonly states: PaneStates;
}

export class MetricActor {
  readonly tenant: string;
  readonly plan: MetricPlan;
  readonly channels = new Map<string, Channel>();
  readonly #series = new Map<string, MetricSeries>();
  readonly #ladder: PaneLadder;
  readonly #stale = new Set<MetricSeries>();
  #watermarkMs = -Infinity;
  /** Partials held, over all series. */
  #paneCount = 0;
  /** What the states of a partial take on average; and the names of the series. */
  #stateBytes = Number.NaN;
  #nameBytes = 0;

  constructor(tenant: string, plan: MetricPlan, retention: PaneRetention) {
    this.tenant = tenant;
    this.plan = plan;
    this.#ladder = new PaneLadder(retention);
  }

  get seriesCount(): number {
    return this.#series.size;
  }

  /** Estimated: the partials and the series. O(1). */
  get sizeBytes(): number {
    const partialBytes = PARTIAL_BYTES + (this.#paneCount === 0 ? 0 : 2 * this.#stateBytes);
    return this.#paneCount * partialBytes + this.#series.size * SERIES_BYTES + 2 * this.#nameBytes;
  }

  get keepFromMs(): number {
    return this.#ladder.keepFromMs;
  }

  /** Moves the tenant's highest watermark; returns true when panes were dropped. */
  advance(watermarkMs: number): boolean {
    if (watermarkMs <= this.#watermarkMs) return false;
    this.#watermarkMs = watermarkMs;
    const { minuteFromMs, keepFromMs } = this.#ladder;
    if (!this.#ladder.advance(watermarkMs)) return false;
    if (this.#ladder.minuteFromMs > minuteFromMs) this.#ageRows(minuteFromMs);
    if (this.#ladder.keepFromMs <= keepFromMs) return false;
    for (const [id, series] of this.#series) {
      this.#paneCount -= series.drop(this.#ladder.keepFromMs);
      if (!series.isEmpty) continue;
      this.#series.delete(id);
      this.#nameBytes -= id.length;
    }
    return true;
  }

  /** Takes one partition's changed partials. */
  receive(partition: number, count: number, bytes: Uint8Array): void {
    const reader = new ByteReader(bytes);
    for (let left = count; left > 0; left--) {
      const { seriesId, startMs, sizeMs, states } = readPartial(reader, this.plan);
      if (startMs + sizeMs <= this.#ladder.keepFromMs) continue;
      if (left % WEIGH_EVERY === 1) this.#weigh(states);
      const series = this.#seriesOf(seriesId);
      this.#paneCount += series.put(partition, startMs, sizeMs, states);
      this.#markStale(series, startMs, sizeMs);
      for (const channel of this.channels.values()) channel.touch(series, startMs, this.#watermarkMs);
    }
  }

  /** Takes about `rowsMax` panes whose rows are to be written, each once; what they hold, `statesOf` says when it is its turn. */
  takeStale(rowsMax: number): StaleRow[] {
    const rows: StaleRow[] = [];
    for (const series of this.#stale) {
      for (const startMs of series.staleMinutes) rows.push({ series, startMs, sizeMs: MINUTE_MS });
      for (const startMs of series.staleHours) rows.push({ series, startMs, sizeMs: HOUR_MS });
      series.staleMinutes.clear();
      series.staleHours.clear();
      this.#stale.delete(series);
      if (rows.length >= rowsMax) break;
    }
    return rows;
  }

  /** What the row has to say now; undefined when there is none any more. Not to be changed by the caller. */
  statesOf({ series, startMs, sizeMs }: StaleRow): PaneStates | undefined {
    // An hour that has aged is told by its hour row; some partitions no longer have its minutes.
    if (sizeMs === MINUTE_MS && startMs < this.#ladder.minuteFromMs) return undefined;
    return series.at(this.plan, startMs, sizeMs);
  }

  /** Merged states for each bucket of the span and each combination of the kept dimensions, in no order. */
  query(span: TimeSpan, bucketMs: number, keep: readonly number[], filters: readonly SeriesFilter[]): BucketRow[] {
    const buckets = new Map<string, BucketRow>();
    const paneMaxMs = bucketMs >= HOUR_MS ? HOUR_MS : bucketMs >= MINUTE_MS ? MINUTE_MS : FINE_MS;
    for (const series of this.#series.values()) {
      if (!filters.every((filter) => passes(filter, series.dimensions))) continue;
      const dimensions = keep.map((index) => series.dimensions[index] ?? null);
      const group = JSON.stringify(dimensions);
      series.visit(this.plan, span.fromMs, span.toMs, paneMaxMs, (paneMs, states) => {
        const startMs = Number.isFinite(bucketMs) ? floorTo(paneMs, bucketMs) : span.fromMs;
        const key = `${startMs}${group}`;
        let bucket = buckets.get(key);
        if (bucket === undefined) buckets.set(key, (bucket = { startMs, dimensions, states: this.plan.emptyStates() }));
        this.plan.merge(bucket.states, states);
      });
    }
    return [...buckets.values()];
  }

  /** The channel for a window and cadence; when it is new, it is made and begins at `firstSeq`. */
  channel(window: WindowName, everyMs: CadenceMs, nowMs: number, firstSeq: number): Channel {
    const key = `${window}/${everyMs}`;
    let channel = this.channels.get(key);
    if (channel === undefined) {
      channel = new Channel(this.plan, window, everyMs, this.#series.values(), nowMs, firstSeq);
      this.channels.set(key, channel);
    }
    return channel;
  }

  closeChannel(window: WindowName, everyMs: CadenceMs): void {
    this.channels.delete(`${window}/${everyMs}`);
  }

  get paneCount(): number {
    return this.#paneCount;
  }

  #seriesOf(id: string): MetricSeries {
    let series = this.#series.get(id);
    if (series === undefined) {
      series = new MetricSeries(JSON.parse(id) as DimensionValue[]);
      this.#series.set(id, series);
      this.#nameBytes += id.length;
    }
    return series;
  }

  #weigh(states: PaneStates): void {
    const bytes = this.plan.sizeBytes(states);
    this.#stateBytes = Number.isNaN(this.#stateBytes) ? bytes : this.#stateBytes + (bytes - this.#stateBytes) / WEIGHINGS;
  }

  #markStale(series: MetricSeries, startMs: number, sizeMs: PaneSizeMs): void {
    if (sizeMs < HOUR_MS && startMs >= this.#ladder.minuteFromMs) series.staleMinutes.add(floorTo(startMs, MINUTE_MS));
    else series.staleHours.add(floorTo(startMs, HOUR_MS));
    this.#stale.add(series);
  }

  /** Hours that have just aged get their hour row. */
  #ageRows(agedFromMs: number): void {
    for (const series of this.#series.values()) {
      for (const hourMs of series.hours) {
        if (hourMs < agedFromMs || hourMs >= this.#ladder.minuteFromMs) continue;
        series.staleHours.add(hourMs);
        this.#stale.add(series);
      }
    }
  }
}

function passes(filter: SeriesFilter, dimensions: readonly DimensionValue[]): boolean {
  return filter.values.includes(dimensions[filter.dimension] ?? null) !== filter.negate;
}
