/**
 * Stage 2: the metric actor. It merges the partitions' partials into series, answers live queries, keeps its channels up to
 * date, and says which pane rows have to be written. Partials replace, so receiving one twice is harmless; what it holds
 * depends only on the latest partial of each (series, pane, partition).
 */
import { ByteReader, type ByteWriter } from "../protocol/bytes.ts";
import type { DimensionValue } from "../protocol/metric-definition.ts";
import { Interner } from "../protocol/interner.ts";
import { FINE_MS, floorTo, PaneLadder, paneSizeOf, paneStartOf, type PaneRetention } from "./pane.ts";
import { HOUR_MS, MINUTE_MS, type CadenceMs, type PaneSizeMs, type TimeSpan, type WindowName } from "../protocol/windows.ts";
import type { StateColumn } from "./aggregates/state-column.ts";
import { Channel } from "./channel.ts";
import type { MetricPlan, PaneStates } from "./metric-plan.ts";
import { MetricPanes, type PaneNode } from "./metric-panes.ts";
import { MetricSeries, UNKNOWN } from "./metric-series.ts";

/** Estimated memory: of a partial beside its states, and of a series without its name. */
const PARTIAL_BYTES = 40;
const SERIES_BYTES = 180;
/** One partial of so many is weighed for what its states take; the mean of about the last so many that were counts. */
const WEIGH_EVERY = 64;
const WEIGHINGS = 64;

/** A pane whose stored row is out of date. */
export interface StaleRow {
  readonly series: number;
  /** Its id when the row was named: the number may be another's by now. */
  readonly seriesId: string;
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

/** Many metrics have the same series, and a host many metrics. Bounded; nothing but speed depends on it. */
const seriesIds = new Interner(4_096);

/** Names of series that others have driven out of this thread's cache. */
export function seriesIdsEvicted(): number {
  return seriesIds.evicted;
}

/** A series that the filters of a query do not take. */
const FILTERED_OUT = -1;

export class MetricActor {
  readonly tenant: string;
  readonly plan: MetricPlan;
  readonly channels = new Map<string, Channel>();
  readonly #series = new MetricSeries();
  readonly #panes: MetricPanes;
  readonly #ladder: PaneLadder;
  #watermarkMs = -Infinity;
  /** What the states of a partial take on average. */
  #stateBytes = Number.NaN;

  constructor(tenant: string, plan: MetricPlan, retention: PaneRetention) {
    this.tenant = tenant;
    this.plan = plan;
    this.#panes = new MetricPanes(plan, this.#series);
    this.#ladder = new PaneLadder(retention);
  }

  get seriesCount(): number {
    return this.#series.count;
  }

  /** Partials held, over all series. */
  get paneCount(): number {
    return this.#panes.count;
  }

  /** Estimated: the partials and the series. O(1). */
  get sizeBytes(): number {
    const partialBytes = PARTIAL_BYTES + (Number.isNaN(this.#stateBytes) ? 0 : this.#stateBytes);
    return this.paneCount * partialBytes + this.#series.count * SERIES_BYTES + this.#series.nameBytes;
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
    this.#panes.drop(this.#ladder.keepFromMs);
    return true;
  }

  /** Takes one partition's changed partials (`partials.ts`). */
  receive(partition: number, count: number, bytes: Uint8Array): void {
    const reader = new ByteReader(bytes);
    for (let left = count; left > 0;) {
      const key = reader.f64();
      const panes = reader.varint();
      left -= panes;
      this.#receiveSlice(partition, key, panes, reader);
    }
  }

  /** Takes about `rowsMax` panes whose rows are to be written, each once; what they hold, `writeRow` says when it is its turn. */
  takeStale(rowsMax: number): StaleRow[] {
    const rows: StaleRow[] = [];
    while (rows.length < rowsMax) {
      const stale = this.#panes.takeStale(rowsMax - rows.length);
      if (stale === undefined) break;
      const { startMs, sizeMs } = stale.node;
      for (const series of stale.series) rows.push({ series, seriesId: this.#series.idOf(series), startMs, sizeMs });
    }
    return rows;
  }

  /** Writes the states that the row has to tell now, as `MetricPlan.write` does; false when there is no such row any more. */
  writeRow({ series, seriesId, startMs, sizeMs }: StaleRow, writer: ByteWriter): boolean {
    // An hour that has aged is told by its hour row; some partitions no longer have its minutes.
    if (sizeMs === MINUTE_MS && startMs < this.#ladder.minuteFromMs) return false;
    return this.#series.idOf(series) === seriesId && this.#panes.writeAt(series, startMs, sizeMs, writer);
  }

  /** Merged states for each bucket of the span and each combination of the kept dimensions, in no order. */
  query(span: TimeSpan, bucketMs: number, keep: readonly number[], filters: readonly SeriesFilter[]): BucketRow[] {
    const groups = new SeriesGroups(this.#series, keep, filters);
    const columns = this.plan.newColumns();
    /** By place in the columns: of which bucket and group the states are. */
    const rows: { startMs: number; group: number }[] = [];
    let capacity = 0;
    const placesByStart = new Map<number, number[]>();
    const paneMaxMs = bucketMs >= HOUR_MS ? HOUR_MS : bucketMs >= MINUTE_MS ? MINUTE_MS : FINE_MS;
    this.#panes.visit(span.fromMs, span.toMs, paneMaxMs, (paneMs, series, from, fromPlace) => {
      const group = groups.of(series);
      if (group === FILTERED_OUT) return;
      const startMs = Number.isFinite(bucketMs) ? floorTo(paneMs, bucketMs) : span.fromMs;
      let places = placesByStart.get(startMs);
      if (places === undefined) placesByStart.set(startMs, (places = []));
      const place = (places[group] ??= rows.push({ startMs, group }) - 1);
      if (place >= capacity) {
        capacity = 2 * place + 1;
        for (const column of columns) column.grow(capacity);
      }
      for (let at = 0; at < columns.length; at++) columns[at]?.merge(place, from[at] as StateColumn, fromPlace);
    });
    return rows.map(({ startMs, group }, place) => {
      return { startMs, dimensions: groups.dimensions[group] ?? [], states: columns.map((column) => column.stateAt(place)) };
    });
  }

  /** The channel for a window and cadence; when it is new, it is made and begins at `firstSeq`. */
  channel(window: WindowName, everyMs: CadenceMs, nowMs: number, firstSeq: number): Channel {
    const key = `${window}/${everyMs}`;
    let channel = this.channels.get(key);
    if (channel === undefined) {
      channel = new Channel(this.plan, window, everyMs, { series: this.#series, panes: this.#panes }, nowMs, firstSeq);
      this.channels.set(key, channel);
    }
    return channel;
  }

  closeChannel(window: WindowName, everyMs: CadenceMs): void {
    const key = `${window}/${everyMs}`;
    this.channels.get(key)?.letGo();
    this.channels.delete(key);
    if (this.channels.size === 0) this.#panes.forgetMerged();
  }

  #receiveSlice(partition: number, key: number, panes: number, reader: ByteReader): void {
    const startMs = paneStartOf(key);
    const sizeMs = paneSizeOf(key);
    const isWanted = startMs + sizeMs > this.#ladder.keepFromMs;
    const node = isWanted ? this.#panes.begin(partition, key) : undefined;
    const row = node === undefined ? undefined : this.#rowNode(node);
    const isWatched = this.channels.size > 0;
    for (let left = panes; left > 0; left--) {
      const series = this.#readSeries(partition, reader);
      const isKnown = node !== undefined && row !== undefined && series !== UNKNOWN;
      const columns = isKnown ? this.#panes.columns : this.#panes.waste;
      const place = isKnown ? this.#panes.put(series) : 0;
      for (let at = 0; at < columns.length; at++) columns[at]?.read(place, reader);
      if (!isKnown) continue;
      if (left % WEIGH_EVERY === 1) this.#weigh(place);
      this.#panes.markStale(row, series);
      if (isWatched) for (const channel of this.channels.values()) channel.touch(series, startMs, this.#watermarkMs);
    }
  }

  #weigh(place: number): void {
    let bytes = 0;
    for (const column of this.#panes.columns) bytes += column.placeBytes + column.objectBytesAt(place);
    this.#stateBytes = Number.isNaN(this.#stateBytes) ? bytes : this.#stateBytes + (bytes - this.#stateBytes) / WEIGHINGS;
  }

  /** A number that its partition never explained to this actor: it is about to hand on all it has (`recollect`). */
  #readSeries(partition: number, reader: ByteReader): number {
    const head = reader.varint();
    const theirs = Math.floor(head / 2);
    if (head % 2 === 0) return this.#series.known(partition, theirs);
    return this.#series.introduce(partition, theirs, reader.internedText(seriesIds));
  }

  /** The node whose stored row tells what is in this one. */
  #rowNode(node: PaneNode): PaneNode {
    let row = node;
    const sizeMs = node.sizeMs < HOUR_MS && node.startMs >= this.#ladder.minuteFromMs ? MINUTE_MS : HOUR_MS;
    while (row.sizeMs < sizeMs && row.parent !== undefined) row = row.parent;
    return row;
  }

  /** Hours that have just aged get their hour row. */
  #ageRows(agedFromMs: number): void {
    for (const hour of this.#panes.hours) {
      if (hour.startMs >= agedFromMs && hour.startMs < this.#ladder.minuteFromMs) this.#panes.markAllStale(hour);
    }
  }
}

/** Which row of a query's answer each series goes to. */
class SeriesGroups {
  readonly #series: MetricSeries;
  readonly #keep: readonly number[];
  readonly #filters: readonly SeriesFilter[];
  readonly #ofSeries: number[] = [];
  readonly #byText = new Map<string, number>();
  readonly dimensions: DimensionValue[][] = [];

  constructor(series: MetricSeries, keep: readonly number[], filters: readonly SeriesFilter[]) {
    this.#series = series;
    this.#keep = keep;
    this.#filters = filters;
  }

  of(series: number): number {
    return (this.#ofSeries[series] ??= this.#find(this.#series.dimensionsOf(series)));
  }

  #find(all: readonly DimensionValue[]): number {
    if (!this.#filters.every((filter) => passes(filter, all))) return FILTERED_OUT;
    const dimensions = this.#keep.map((index) => all[index] ?? null);
    const text = JSON.stringify(dimensions);
    let group = this.#byText.get(text);
    if (group === undefined) this.#byText.set(text, (group = this.dimensions.push(dimensions) - 1));
    return group;
  }
}

function passes(filter: SeriesFilter, dimensions: readonly DimensionValue[]): boolean {
  return filter.values.includes(dimensions[filter.dimension] ?? null) !== filter.negate;
}
