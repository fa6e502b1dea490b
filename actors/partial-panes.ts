/**
 * Stage 1 of a metric: one partition's share of every pane of one tenant's metric ("partials").
 * `add` puts an event into its pane; `age` merges panes upwards as the watermark passes; `collect` hands out what changed,
 * to REPLACE what stage 2 had from this partition; `snapshot` writes what changed to the partition's store.
 *
 * A partial stands for all panes inside its span: an hour partial replaces the partition's minutes of that hour.
 */
import type { ByteWriter } from "../protocol/bytes.ts";
import { ByteReader } from "../protocol/bytes.ts";
import type { FieldValue } from "../protocol/field-path.ts";
import { Interner, TEXTS } from "../protocol/interner.ts";
import { OTHER_SERIES, type DimensionValue } from "../protocol/metric-definition.ts";
import { HOUR_MS, MINUTE_MS, type PaneSizeMs } from "../protocol/windows.ts";
import type { AcceptedRows } from "./accepted-rows.ts";
import type { StateEntry, StateWrite } from "./effects.ts";
import { gather, type GatheredRows } from "./gathered-rows.ts";
import { dimensionValue, type MetricPlan, type PaneStates } from "./metric-plan.ts";
import { FINE_MS, floorTo, paneKey, paneSizeOf, paneStartOf, type PaneLadder } from "./pane.ts";

const PANES = "panes";

interface Pane {
  readonly key: number;
  readonly series: Series;
  states: PaneStates;
  /** In the list of what to hand to stage 2 / to write with the next snapshot. */
  collected: boolean;
  dirty: boolean;
  dropped: boolean;
}

interface Series {
  readonly dimensions: readonly DimensionValue[];
  /** The dimensions as JSON text: the series' name in stores and on the way to stage 2. */
  readonly id: string;
  readonly idBytes: Uint8Array;
  readonly panes: Map<number, Pane>;
  /** The pane that took the last event: most come pane by pane. */
  current: Pane | undefined;
}

/** By index of a gathered row; filled anew by each metric. */
const seriesOfRows: Series[] = [];

type SeriesNode = Map<DimensionValue, SeriesNode | Series>;

export class PartialPanes {
  readonly plan: MetricPlan;
  readonly #tenant: string;
  readonly #byDimension: SeriesNode = new Map();
  readonly #series = new Set<Series>();
  #single: Series | undefined;
  #other: Series | undefined;
  /** Which series have panes below a minute, by minute, and below an hour, by hour: what `age` has to look at. */
  readonly #fineSeries = new Map<number, Set<Series>>();
  readonly #minuteSeries = new Map<number, Set<Series>>();
  readonly #hourSeries = new Map<number, Set<Series>>();
  #uncollected: Pane[] = [];
  #dirty: Pane[] = [];
  #paneCount = 0;
  /** Events that went to the `__other__` series. */
  overflowedEvents = 0;
  /** Events of panes that went with age. Of a metric that counts all: accepted = acceptedBefore + agedEvents + those in panes. */
  agedEvents = 0;
  /** What the tenant's ledger had accepted when the metric came; null: a store from before this was kept. */
  acceptedBefore: number | null = 0;

  constructor(tenant: string, plan: MetricPlan) {
    this.#tenant = tenant;
    this.plan = plan;
  }

  get paneCount(): number {
    return this.#paneCount;
  }

  get seriesCount(): number {
    return this.#series.size;
  }

  /** About how much memory the panes take; O(panes). */
  sizeBytes(): number {
    let sum = 0;
    for (const series of this.#series) for (const pane of series.panes.values()) sum += 120 + this.plan.sizeBytes(pane.states);
    return sum;
  }

  /**
   * Adds every row that the metric's filter takes to the pane of its series. Series are found in the order of the rows, before
   * rows go pane by pane: which ones come before `seriesMax` must not depend on what else is in a turn, or a replay would differ.
   */
  addAll(accepted: AcceptedRows): void {
    const { order, starts } = accepted.byPane();
    const rows = gather(this.plan, accepted);
    if (this.plan.dimensionCount > 0) this.#findSeries(rows, accepted.count);
    for (let pane = 0; pane < accepted.paneKeys.length; pane++) {
      const key = accepted.paneKeys[pane] ?? 0;
      const from = starts[pane] ?? 0;
      const to = starts[pane + 1] ?? 0;
      if (this.plan.hasFilter) {
        const count = rows.pick(order, from, to);
        if (count > 0) this.#addToPane(key, rows, rows.picked, 0, count);
      } else this.#addToPane(key, rows, order, from, to);
    }
  }

  /** Adds the rows at `indexes[from]` to before `indexes[to]`, at least one, to the panes with a key. */
  #addToPane(key: number, { values }: GatheredRows, indexes: Int32Array, from: number, to: number): void {
    const { plan } = this;
    if (plan.dimensionCount === 0) {
      const pane = this.#currentPane(this.#single ?? this.#seriesOf([]), key);
      plan.addMany(pane.states, values, indexes, from, to);
      this.#touch(pane);
      return;
    }
    for (let at = from; at < to; at++) {
      const index = indexes[at] ?? 0;
      const pane = this.#currentPane(seriesOfRows[index] as Series, key);
      plan.add(pane.states, values[index]);
      if (!pane.collected || !pane.dirty) this.#touch(pane);
    }
  }

  #findSeries(rows: GatheredRows, count: number): void {
    for (let index = 0; index < count; index++) {
      if (rows.takes(index)) seriesOfRows[index] = this.#seriesAt(rows.dimensions, index);
    }
  }

  #currentPane(series: Series, key: number): Pane {
    const { current } = series;
    return current !== undefined && current.key === key ? current : (series.current = this.#paneAt(series, key));
  }

  /** Merges panes that the ladder has left behind into larger ones, and drops those past retention. */
  age(ladder: PaneLadder): void {
    this.#mergeUp(this.#fineSeries, MINUTE_MS, FINE_MS, ladder.fineFromMs);
    this.#mergeUp(this.#minuteSeries, HOUR_MS, MINUTE_MS, ladder.minuteFromMs);
    for (const [hour, allSeries] of this.#hourSeries) {
      if (hour + HOUR_MS > ladder.keepFromMs) continue;
      this.#hourSeries.delete(hour);
      const key = paneKey(hour, HOUR_MS);
      for (const series of allSeries) {
        const pane = series.panes.get(key);
        if (pane !== undefined) this.agedEvents += this.plan.eventsIn(pane.states);
        this.#drop(series, key);
      }
    }
  }

  /** Writes the partials that changed since the last call. Nothing is written, and 0 returned, when none did. */
  collect(writer: ByteWriter): number {
    const panes = this.#uncollected.filter((pane) => !pane.dropped);
    for (const pane of this.#uncollected) pane.collected = false;
    this.#uncollected = [];
    for (const pane of panes) writePartial(writer, this.plan, pane.series.idBytes, pane.key, pane.states);
    return panes.length;
  }

  /** Marks every partial as changed: stage 2 starts anew. */
  recollect(): void {
    for (const series of this.#series) {
      for (const pane of series.panes.values()) {
        if (pane.collected) continue;
        pane.collected = true;
        this.#uncollected.push(pane);
      }
    }
  }

  snapshot(writes: StateWrite[]): void {
    for (const pane of this.#dirty) {
      pane.dirty = false;
      const key = this.#storeKey(pane);
      writes.push({ table: PANES, key, value: pane.dropped ? undefined : this.plan.encode(pane.states) });
    }
    this.#dirty = [];
  }

  /** Removes the metric from the store. */
  erase(writes: StateWrite[]): void {
    for (const series of this.#series) {
      for (const pane of series.panes.values()) writes.push({ table: PANES, key: this.#storeKey(pane), value: undefined });
    }
    for (const pane of this.#dirty) if (pane.dropped) writes.push({ table: PANES, key: this.#storeKey(pane), value: undefined });
  }

  restore(entry: StateEntry): void {
    const dimensions = JSON.parse(String(entry.key[2])) as DimensionValue[];
    // Whatever the limit says: it was let in when it came.
    const series = this.#find(dimensions) ?? this.#enter(dimensions);
    const key = Number(entry.key[3]);
    const pane = this.#paneAt(series, key);
    pane.states = this.plan.read(new ByteReader(entry.value));
  }

  #storeKey(pane: Pane): (string | number)[] {
    return [this.#tenant, this.plan.definition.name, pane.series.id, pane.key];
  }

  #touch(pane: Pane): void {
    if (!pane.collected) {
      pane.collected = true;
      this.#uncollected.push(pane);
    }
    if (!pane.dirty) {
      pane.dirty = true;
      this.#dirty.push(pane);
    }
  }

  #paneAt(series: Series, key: number): Pane {
    const found = series.panes.get(key);
    if (found !== undefined) return found;
    const pane: Pane = { key, series, states: this.plan.emptyStates(), collected: false, dirty: false, dropped: false };
    series.panes.set(key, pane);
    this.#paneCount++;
    const startMs = paneStartOf(key);
    const sizeMs = paneSizeOf(key);
    if (sizeMs === FINE_MS) note(this.#fineSeries, floorTo(startMs, MINUTE_MS), series);
    else if (sizeMs === MINUTE_MS) note(this.#minuteSeries, floorTo(startMs, HOUR_MS), series);
    else note(this.#hourSeries, startMs, series);
    return pane;
  }

  #mergeUp(groups: Map<number, Set<Series>>, sizeMs: PaneSizeMs, partSizeMs: PaneSizeMs, fromMs: number): void {
    for (const [startMs, allSeries] of groups) {
      if (startMs >= fromMs) continue;
      groups.delete(startMs);
      for (const series of allSeries) {
        const whole = this.#paneAt(series, paneKey(startMs, sizeMs));
        for (let partMs = startMs; partMs < startMs + sizeMs; partMs += partSizeMs) {
          const part = series.panes.get(paneKey(partMs, partSizeMs));
          if (part === undefined) continue;
          this.plan.merge(whole.states, part.states);
          this.#drop(series, part.key);
        }
        this.#touch(whole);
      }
    }
  }

  #drop(series: Series, key: number): void {
    const pane = series.panes.get(key);
    if (pane === undefined) return;
    series.panes.delete(key);
    series.current = undefined;
    pane.dropped = true;
    this.#paneCount--;
    if (series.panes.size === 0) this.#forget(series);
    if (!pane.dirty) {
      pane.dirty = true;
      this.#dirty.push(pane);
    }
  }

  #seriesAt(dimensions: readonly (readonly FieldValue[])[], row: number): Series {
    // Level by level without a joined key: no text is made for a series that exists.
    let node: SeriesNode | Series | undefined = this.#byDimension;
    for (let at = 0; at < dimensions.length; at++) {
      node = (node as SeriesNode | undefined)?.get(dimensionValue(dimensions[at]?.[row]));
    }
    return (node as Series | undefined) ?? this.#seriesOf(valuesAt(dimensions, row));
  }

  /** Finds or makes the series; past a limit, the `__other__` one. */
  #seriesOf(dimensions: readonly DimensionValue[]): Series {
    const found = this.#find(dimensions);
    if (found !== undefined) return found;
    const full = this.#series.size >= this.plan.definition.seriesMax || isTooLong(dimensions);
    if (full && dimensions.some((value) => value !== OTHER_SERIES)) {
      this.overflowedEvents++;
      return (this.#other ??= this.#seriesOf(dimensions.map(() => OTHER_SERIES)));
    }
    return this.#enter(dimensions);
  }

  #enter(dimensions: readonly DimensionValue[]): Series {
    const series = this.#newSeries(dimensions);
    const last = dimensions.at(-1);
    if (last === undefined) return (this.#single = series);
    let node = this.#byDimension;
    for (const value of dimensions.slice(0, -1)) {
      let next = node.get(value) as SeriesNode | undefined;
      if (next === undefined) node.set(value, (next = new Map()));
      node = next;
    }
    node.set(last, series);
    return series;
  }

  #find(dimensions: readonly DimensionValue[]): Series | undefined {
    if (dimensions.length === 0) return this.#single;
    let node: SeriesNode | Series | undefined = this.#byDimension;
    for (const value of dimensions) node = (node as SeriesNode | undefined)?.get(value);
    return node as Series | undefined;
  }

  /** A series without panes must not count against the limit: after a restore it would not be there. */
  #forget(series: Series): void {
    this.#series.delete(series);
    if (this.#single === series) this.#single = undefined;
    if (this.#other === series) this.#other = undefined;
    let node: SeriesNode | undefined = this.#byDimension;
    const path: [SeriesNode, DimensionValue][] = [];
    for (const value of series.dimensions) {
      if (node === undefined) return;
      path.push([node, value]);
      node = node.get(value) as SeriesNode | undefined;
    }
    for (const [parent, value] of path.toReversed()) {
      const child = parent.get(value);
      if (child === series || (child instanceof Map && child.size === 0)) parent.delete(value);
    }
  }

  #newSeries(dimensions: readonly DimensionValue[]): Series {
    const id = JSON.stringify(dimensions);
    const series: Series = { dimensions, id, idBytes: encoder.encode(id), panes: new Map(), current: undefined };
    this.#series.add(series);
    return series;
  }
}

/** On its own: a function with a closure over its parameters costs memory at each call, also where it does not come to the closure. */
function valuesAt(dimensions: readonly (readonly FieldValue[])[], row: number): DimensionValue[] {
  return dimensions.map((column) => dimensionValue(column[row]));
}

/** The series is part of keys in stores, which have a limit of their own. */
const SERIES_ID_BYTES_MAX = 1_200;
const encoder = new TextEncoder();

function isTooLong(dimensions: readonly DimensionValue[]): boolean {
  return encoder.encode(JSON.stringify(dimensions)).length > SERIES_ID_BYTES_MAX;
}

function note(groups: Map<number, Set<Series>>, startMs: number, series: Series): void {
  const group = groups.get(startMs);
  if (group === undefined) groups.set(startMs, new Set([series]));
  else group.add(series);
}

/** One partial as it travels to stage 2: series, pane, states. */
function writePartial(writer: ByteWriter, plan: MetricPlan, seriesId: Uint8Array, key: number, states: PaneStates): void {
  writer.block(seriesId);
  writer.f64(key);
  plan.write(states, writer);
}

/** Series come with every change of one of their panes. Bounded; nothing but speed depends on it. */
const seriesIds = new Interner(4_096, TEXTS.utf8);

export interface Partial {
  /** The dimension values as JSON text. */
  readonly seriesId: string;
  readonly startMs: number;
  readonly sizeMs: PaneSizeMs;
  readonly states: PaneStates;
}

export function readPartial(reader: ByteReader, plan: MetricPlan): Partial {
  const seriesId = reader.internedText(seriesIds);
  const key = reader.f64();
  return { seriesId, startMs: paneStartOf(key), sizeMs: paneSizeOf(key), states: plan.read(reader) };
}
