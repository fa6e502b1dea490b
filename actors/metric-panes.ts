/**
 * Stage 2, the panes of all series of one metric: what each partition last handed on, in flat memory, as a tree of hours, minutes
 * and 10 s slices that all series share.
 *
 *   hour ──┬── minute ──┬── 10 s        each node: partition -> a slice of its panes of exactly this size (`pane-slice.ts`)
 *          └── minute   └── 10 s        value of a series at a node = its own panes + those of the nodes below, merged
 *
 * A partition's pane REPLACES what it had there, and a slice of longer panes all its shorter ones within, so what arrives twice
 * changes nothing. Merged values are made when somebody asks; those of minutes and hours that channels ask for again and again are
 * kept in panes of their own (`merged-panes.ts`).
 *
 * A pane of a count takes 30 bytes so, against 515 in a tree of objects for each series (`npm run bench -- memory`), and replacing
 * it less than a tenth of the time (`npm run bench -- scale --micro`). The plain version is that tree
 * (`test/actors/plain-metric-panes.ts`, `test/actors/metric-panes.property.test.ts`).
 */
import type { ByteWriter } from "../protocol/bytes.ts";
import { HOUR_MS, MINUTE_MS, type PaneSizeMs } from "../protocol/windows.ts";
import type { StateColumn } from "./aggregates/state-column.ts";
import { MergedPanes } from "./merged-panes.ts";
import type { MetricPlan, PaneStates } from "./metric-plan.ts";
import type { MetricSeries } from "./metric-series.ts";
import { NumberSet } from "./number-set.ts";
import { FINE_MS, floorTo, paneSizeOf, paneStartOf } from "./pane.ts";
import { PaneSlice } from "./pane-slice.ts";
import { NOWHERE, PaneTable, type PaneCounter } from "./pane-table.ts";

type Columns = readonly StateColumn[];
export type VisitPane = (startMs: number, series: number, columns: Columns, place: number) => void;

interface VisitedSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly sizeMaxMs: number;
  readonly visit: VisitPane;
}

const NO_NODES: ReadonlyMap<number, PaneNode> = new Map();
const NO_WHOLES: ReadonlyMap<number, number> = new Map();
/** Merged panes count for nobody. */
const NO_COUNTER: PaneCounter = { addPane: () => undefined, removePane: () => undefined };

export class PaneNode {
  readonly startMs: number;
  readonly sizeMs: PaneSizeMs;
  readonly parent: PaneNode | undefined;
  /** Partitions that have panes of this size, and for each its slice. */
  readonly partitions: number[] = [];
  readonly slices: PaneSlice[] = [];
  #below: Map<number, PaneNode> | undefined = undefined;
  merged: MergedPanes | undefined = undefined;
  /** Series whose stored row of this pane is out of date. */
  stale: NumberSet | undefined = undefined;

  constructor(startMs: number, sizeMs: PaneSizeMs, parent: PaneNode | undefined) {
    this.startMs = startMs;
    this.sizeMs = sizeMs;
    this.parent = parent;
  }

  get below(): ReadonlyMap<number, PaneNode> {
    return this.#below ?? NO_NODES;
  }

  get isEmpty(): boolean {
    return this.slices.length === 0 && this.below.size === 0;
  }

  child(startMs: number, sizeMs: PaneSizeMs): PaneNode {
    this.#below ??= new Map();
    let child = this.#below.get(startMs);
    if (child === undefined) this.#below.set(startMs, (child = new PaneNode(startMs, sizeMs, this)));
    return child;
  }

  /** Lets go of the node below. */
  remove(child: PaneNode): void {
    this.#below?.delete(child.startMs);
  }

  /** All slices here and below. */
  *allSlices(): Generator<PaneSlice, void> {
    yield* this.slices;
    for (const child of this.below.values()) yield* child.allSlices();
  }

  overlaps(fromMs: number, toMs: number): boolean {
    return this.startMs < toMs && this.startMs + this.sizeMs > fromMs;
  }

  /** It need not be split. */
  isWithin(fromMs: number, toMs: number, sizeMaxMs: number): boolean {
    return this.sizeMs <= sizeMaxMs && this.startMs >= fromMs && this.startMs + this.sizeMs <= toMs;
  }
}

export class MetricPanes {
  readonly #plan: MetricPlan;
  readonly #table: PaneTable;
  readonly #hours = new Map<number, PaneNode>();
  /** Nodes with stale rows, in the order in which they got the first. */
  readonly #stale = new Set<PaneNode>();
  /** One pane to merge in; and one to read into what nobody wants. */
  readonly #scratch: Columns;
  #mergedTable: PaneTable | undefined = undefined;
  /** How many panes were found to be merged, and where the first is; with more, `#scratch` has all of them. */
  #found = 0;
  #foundColumns: Columns = [];
  #foundPlace = NOWHERE;
  /** The node and slice of what is being received. */
  #node: PaneNode | undefined = undefined;
  #slice: PaneSlice | undefined = undefined;

  constructor(plan: MetricPlan, series: MetricSeries) {
    this.#plan = plan;
    this.#table = new PaneTable(plan, series);
    this.#scratch = plan.newColumns();
    for (const column of this.#scratch) column.grow(1);
  }

  /** Panes held, over all partitions. */
  get count(): number {
    return this.#table.count;
  }

  get hours(): Iterable<PaneNode> {
    return this.#hours.values();
  }

  get columns(): Columns {
    return this.#table.columns;
  }

  /** A slice of a partition begins to arrive: it forgets what the partition had within. `put` comes next. */
  begin(partition: number, key: number): PaneNode {
    const node = this.#nodeAt(paneStartOf(key), paneSizeOf(key));
    this.#forgetBelow(node, partition);
    const at = node.partitions.indexOf(partition);
    this.#node = node;
    this.#slice = at < 0 ? this.#newSlice(node, partition, key) : node.slices[at];
    return node;
  }

  /** The place of the next pane of the slice: its states are to be read into `columns` there. */
  put(series: number): number {
    if (this.#node !== undefined) changedFrom(this.#node, series);
    return this.#slice?.placeOf(series) ?? NOWHERE;
  }

  /** Columns and place of states that nobody wants. */
  get waste(): Columns {
    return this.#scratch;
  }

  markStale(node: PaneNode, series: number): void {
    if (node.stale === undefined) {
      node.stale = new NumberSet();
      this.#stale.add(node);
    }
    node.stale.add(series);
  }

  /** All series of an hour. */
  markAllStale(hour: PaneNode): void {
    for (const slice of hour.allSlices()) for (const place of slice.places()) this.markStale(hour, slice.seriesAt(place));
  }

  /** Takes out up to `max` stale rows of one node; undefined when there are none. */
  takeStale(max: number): { readonly node: PaneNode; readonly series: readonly number[] } | undefined {
    const [node] = this.#stale;
    if (node?.stale === undefined) return undefined;
    const series = node.stale.take(max);
    if (node.stale.count === 0) {
      node.stale = undefined;
      this.#stale.delete(node);
    }
    return { node, series };
  }

  /** Writes the merged states of a series for one minute or hour; false when nothing is there. */
  writeAt(series: number, startMs: number, sizeMs: PaneSizeMs, writer: ByteWriter): boolean {
    const hour = this.#hours.get(floorTo(startMs, HOUR_MS));
    const node = sizeMs === HOUR_MS ? hour : hour?.below.get(startMs);
    if (node === undefined) return false;
    this.#found = 0;
    this.#gather(node, series, this.#mergeFound);
    if (this.#found === 1) for (const column of this.#foundColumns) column.write(this.#foundPlace, writer);
    else if (this.#found > 1) for (const column of this.#scratch) column.write(0, writer);
    return this.#found > 0;
  }

  /**
   * Merged states of a series over a span; undefined when nothing is there. Not to be changed by the caller. Panes that reach over
   * an end of the span are taken whole: the span is widened to them. Minutes and hours are kept merged: it is for those who ask
   * again and again.
   */
  statesIn(series: number, fromMs: number, toMs: number): PaneStates | undefined {
    this.#found = 0;
    for (const hour of this.#hoursIn(fromMs, toMs)) this.#visitSeries(hour, series, fromMs, toMs);
    return this.#foundStates();
  }

  /**
   * Visits panes of all series that together are the span, each under the start of a pane that is at most `sizeMaxMs` long where
   * panes are still that small. Panes that reach over an end of the span are visited whole.
   */
  visit(fromMs: number, toMs: number, sizeMaxMs: number, visit: VisitPane): void {
    for (const hour of this.#hoursIn(fromMs, toMs)) this.#visitAll(hour, { fromMs, toMs, sizeMaxMs, visit }, NO_WHOLES);
  }

  /** Forgets hours that end at `keepFromMs` or before. */
  drop(keepFromMs: number): void {
    for (const hour of this.#hours.values()) {
      if (hour.startMs + HOUR_MS > keepFromMs) continue;
      for (const slice of hour.allSlices()) slice.drop();
      forgetMerged(hour);
      this.#forgetStale(hour);
      this.#hours.delete(hour.startMs);
    }
  }

  /** Nobody asks again and again any more. */
  forgetMerged(): void {
    for (const hour of this.#hours.values()) forgetMerged(hour);
    this.#mergedTable = undefined;
  }

  #nodeAt(startMs: number, sizeMs: PaneSizeMs): PaneNode {
    const hourMs = floorTo(startMs, HOUR_MS);
    let node = this.#hours.get(hourMs);
    if (node === undefined) this.#hours.set(hourMs, (node = new PaneNode(hourMs, HOUR_MS, undefined)));
    if (sizeMs < HOUR_MS) node = node.child(floorTo(startMs, MINUTE_MS), MINUTE_MS);
    return sizeMs < MINUTE_MS ? node.child(startMs, FINE_MS) : node;
  }

  #newSlice(node: PaneNode, partition: number, key: number): PaneSlice {
    const slice = new PaneSlice(key, this.#table);
    node.partitions.push(partition);
    node.slices.push(slice);
    return slice;
  }

  #forgetBelow(node: PaneNode, partition: number): void {
    for (const child of node.below.values()) {
      this.#forgetBelow(child, partition);
      const at = child.partitions.indexOf(partition);
      const [slice] = at < 0 ? [] : child.slices.splice(at, 1);
      if (slice !== undefined) {
        child.partitions.splice(at, 1);
        for (const place of slice.places()) changedFrom(child, slice.seriesAt(place));
        slice.drop();
      }
      if (!child.isEmpty) continue;
      forgetMerged(child);
      this.#forgetStale(child);
      node.remove(child);
    }
  }

  #forgetStale(node: PaneNode): void {
    this.#stale.delete(node);
    for (const child of node.below.values()) this.#forgetStale(child);
  }

  /** Whichever is shorter to go through: the hours of the span, or all the hours there are. */
  *#hoursIn(fromMs: number, toMs: number): Generator<PaneNode, void> {
    const firstHour = floorTo(fromMs, HOUR_MS);
    if ((toMs - firstHour) / HOUR_MS < this.#hours.size) {
      for (let hourMs = firstHour; hourMs < toMs; hourMs += HOUR_MS) {
        const hour = this.#hours.get(hourMs);
        if (hour !== undefined) yield hour;
      }
    } else {
      for (const hour of this.#hours.values()) if (hour.overlaps(fromMs, toMs)) yield hour;
    }
  }

  /** Visits all that a series has at the node and below. */
  #gather(node: PaneNode, series: number, visit: (columns: Columns, place: number) => void): void {
    const { slices } = node;
    for (let at = 0; at < slices.length; at++) {
      const place = slices[at]?.find(series) ?? NOWHERE;
      if (place !== NOWHERE) visit(this.columns, place);
    }
    for (const child of node.below.values()) this.#gather(child, series, visit);
  }

  /** Finds what a series has in the span. A node with panes of its own size cannot be split. */
  #visitSeries(node: PaneNode, series: number, fromMs: number, toMs: number): void {
    if (!node.overlaps(fromMs, toMs)) return;
    if (node.sizeMs === FINE_MS) return this.#gather(node, series, this.#mergeFound);
    if (node.isWithin(fromMs, toMs, HOUR_MS) || node.slices.some((slice) => slice.find(series) !== NOWHERE)) {
      const merged = this.#mergedOf(node);
      const place = merged.find(series, (number, visit) => this.#gather(node, number, visit));
      if (place !== NOWHERE) this.#mergeFound(merged.columns, place);
      return;
    }
    for (const child of node.below.values()) this.#visitSeries(child, series, fromMs, toMs);
  }

  /** `wholes`: series that have panes of a longer node around this one, and its start: all theirs is visited under that. */
  #visitAll(node: PaneNode, span: VisitedSpan, wholes: ReadonlyMap<number, number>): void {
    const { fromMs, toMs, sizeMaxMs, visit } = span;
    const isInSpan = node.overlaps(fromMs, toMs);
    if (!isInSpan && wholes.size === 0) return;
    if (!isInSpan || node.sizeMs === FINE_MS || node.isWithin(fromMs, toMs, sizeMaxMs)) {
      for (const slice of node.allSlices()) {
        for (const place of slice.places()) {
          const series = slice.seriesAt(place);
          const startMs = wholes.get(series) ?? (isInSpan ? node.startMs : undefined);
          if (startMs !== undefined) visit(startMs, series, this.columns, place);
        }
      }
      return;
    }
    const inner = node.slices.length === 0 ? wholes : new Map(wholes);
    for (const slice of node.slices) {
      for (const place of slice.places()) {
        const series = slice.seriesAt(place);
        const startMs = wholes.get(series) ?? node.startMs;
        (inner as Map<number, number>).set(series, startMs);
        visit(startMs, series, this.columns, place);
      }
    }
    for (const child of node.below.values()) this.#visitAll(child, span, inner);
  }

  /** Merged panes of a node for all series; those of nodes below are not needed then. */
  #mergedOf(node: PaneNode): MergedPanes {
    if (node.merged !== undefined) return node.merged;
    const merged = new MergedPanes((this.#mergedTable ??= new PaneTable(this.#plan, NO_COUNTER)));
    for (const slice of node.allSlices()) {
      for (const place of slice.places()) merged.merge(slice.seriesAt(place), this.columns, place);
    }
    for (const child of node.below.values()) forgetMerged(child);
    return (node.merged = merged);
  }

  /** The first is left where it is: often it is the only one. */
  readonly #mergeFound = (columns: Columns, place: number): void => {
    if (this.#found === 0) {
      this.#foundColumns = columns;
      this.#foundPlace = place;
    } else {
      const scratch = this.#scratch;
      for (let at = 0; at < scratch.length; at++) {
        if (this.#found === 1) {
          scratch[at]?.clear(0);
          scratch[at]?.merge(0, this.#foundColumns[at] as StateColumn, this.#foundPlace);
        }
        scratch[at]?.merge(0, columns[at] as StateColumn, place);
      }
    }
    this.#found++;
  };

  #foundStates(): PaneStates | undefined {
    if (this.#found === 0) return undefined;
    if (this.#found === 1) return this.#foundColumns.map((column) => column.stateAt(this.#foundPlace));
    return this.#scratch.map((column) => column.stateAt(0));
  }
}

/** Something at the node has changed for the series. */
function changedFrom(node: PaneNode, series: number): void {
  for (let at: PaneNode | undefined = node; at !== undefined; at = at.parent) at.merged?.changed(series);
}

function forgetMerged(node: PaneNode): void {
  node.merged?.drop();
  node.merged = undefined;
  for (const child of node.below.values()) forgetMerged(child);
}
