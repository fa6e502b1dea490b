/**
 * Stage 1 of a metric: one partition's share of every pane of one tenant's metric ("partials").
 * `addAll` puts events into their panes; `age` merges panes upwards as the watermark passes; `collect` hands out what changed,
 * to REPLACE what stage 2 had from this partition; `snapshot` writes what changed to the partition's store.
 *
 * A partial stands for all panes inside its span: an hour partial replaces the partition's minutes of that hour.
 */
import { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import { HOUR_MS, MINUTE_MS, type PaneSizeMs } from "../protocol/windows.ts";
import type { AcceptedRows } from "./accepted-rows.ts";
import type { DedupKey } from "./deduplicate.ts";
import type { StateEntry, StateWrite } from "./effects.ts";
import { gather } from "./gathered-rows.ts";
import type { MetricPlan } from "./metric-plan.ts";
import { FINE_MS, floorTo, paneKey, paneSizeOf, paneStartOf, type PaneLadder } from "./pane.ts";
import type { EventCounts } from "./aggregates/count.ts";
import type { RowValues } from "./aggregates/state-column.ts";
import { PaneSlice } from "./pane-slice.ts";
import { PaneTable } from "./pane-table.ts";
import { writeSeries } from "./partials.ts";
import { SeriesTable } from "./series-table.ts";

const PANES = "panes";
/** Estimated memory of a slice, and of a pane's place in it. */
const SLICE_BYTES = 320;
const SLOT_BYTES = 8;

/** By index of a gathered row: its series; and the place of its pane. Filled anew by each metric. */
let seriesOfRows = new Int32Array(256);
let placesOfRows = new Int32Array(256);

/** Panes that went since the last snapshot: what the store has to forget. */
interface DroppedPanes {
  readonly key: number;
  readonly seriesIds: readonly string[];
}

export class PartialPanes {
  readonly plan: MetricPlan;
  readonly #tenant: string;
  readonly #series: SeriesTable;
  readonly #table: PaneTable;
  readonly #slices = new Map<number, PaneSlice>();
  /** The slices below a minute, by minute, below an hour, by hour, and of hours: what `age` has to look at. */
  readonly #fineSlices = new Map<number, PaneSlice[]>();
  readonly #minuteSlices = new Map<number, PaneSlice[]>();
  readonly #hourSlices = new Map<number, PaneSlice[]>();
  /** Those of which something is to be collected, to be stored; and some that have been dropped. */
  #uncollected: PaneSlice[] = [];
  #dirty: PaneSlice[] = [];
  #dropped: DroppedPanes[] = [];
  /** Events of panes that went with age. Of a metric that counts all: accepted = acceptedBefore + agedEvents + those in panes. */
  agedEvents = 0;
  /** What the tenant's ledger had accepted when the metric came; null: a store from before this was kept. */
  acceptedBefore: number | null = 0;

  /** `key`: what texts are hashed with in memory. */
  constructor(tenant: string, plan: MetricPlan, key: DedupKey) {
    this.#tenant = tenant;
    this.plan = plan;
    this.#series = new SeriesTable(plan.definition.seriesMax, plan.dimensionCount, key);
    this.#table = new PaneTable(plan, this.#series);
  }

  get paneCount(): number {
    return this.#table.count;
  }

  get seriesCount(): number {
    return this.#series.count;
  }

  /** See `counted-bytes.ts`; with the series. O(aggregates). */
  get countedBytes(): number {
    const slices = this.#slices.size * SLICE_BYTES + this.#table.count * SLOT_BYTES;
    return this.#table.countedBytes + this.#series.sizeBytes + slices;
  }

  /** Events that went to the `__other__` series. */
  get overflowedEvents(): number {
    return this.#series.overflowedEvents;
  }

  /**
   * Adds every row that the metric's filter takes to the pane of its series. Series are found in the order of the rows, before
   * rows go pane by pane: which ones come before `seriesMax` must not depend on what else is in a turn, or a replay would differ.
   */
  addAll(accepted: AcceptedRows): void {
    const { count } = accepted;
    if (seriesOfRows.length < count) {
      seriesOfRows = new Int32Array(2 * count);
      placesOfRows = new Int32Array(2 * count);
    }
    const { order, starts } = accepted.byPane();
    const rows = gather(this.plan, accepted);
    if (this.plan.dimensionCount > 0) this.#series.ofRows(rows, count, seriesOfRows);
    for (let pane = 0; pane < accepted.paneKeys.length; pane++) {
      const key = accepted.paneKeys[pane] ?? 0;
      const from = starts[pane] ?? 0;
      const to = starts[pane + 1] ?? 0;
      if (this.plan.hasFilter) {
        const picked = rows.pick(order, from, to);
        if (picked > 0) this.#addToSlice(this.#sliceAt(key), rows, rows.picked, 0, picked);
      } else this.#addToSlice(this.#sliceAt(key), rows, order, from, to);
    }
  }

  /** Adds the rows at `indexes[from]` to before `indexes[to]`, at least one. */
  #addToSlice(slice: PaneSlice, rows: RowValues, indexes: Int32Array, from: number, to: number): void {
    const places = placesOfRows;
    if (this.plan.dimensionCount === 0) places.fill(slice.placeOf(this.#series.of([])), from, to);
    else slice.placesOf(seriesOfRows, indexes, from, to, places);
    this.#list(slice);
    slice.add(places, rows, indexes, from, to);
  }

  /** Merges panes that the ladder has left behind into larger ones, and drops those past retention. */
  age(ladder: PaneLadder): void {
    this.#mergeUp(this.#fineSlices, MINUTE_MS, ladder.fineFromMs);
    this.#mergeUp(this.#minuteSlices, HOUR_MS, ladder.minuteFromMs);
    for (const [hour, slices] of this.#hourSlices) {
      if (hour + HOUR_MS > ladder.keepFromMs) continue;
      this.#hourSlices.delete(hour);
      for (const slice of slices) {
        this.agedEvents += this.#eventsIn(slice);
        this.#drop(slice);
      }
    }
  }

  /** Writes the partials that changed since the last call (`partials.ts`). Nothing is written, and 0 returned, when none did. */
  collect(writer: ByteWriter): number {
    let count = 0;
    const slices = this.#uncollected.filter(({ isDropped }) => !isDropped);
    // Longer panes first: stage 2 forgets the shorter ones within.
    for (const slice of slices.sort((a, b) => paneSizeOf(b.key) - paneSizeOf(a.key))) {
      const places = slice.takeUncollected();
      writer.f64(slice.key);
      writer.varint(places.length);
      for (const place of places) {
        const series = slice.seriesAt(place);
        writeSeries(writer, series, this.#series.takeNews(series));
        slice.write(place, writer);
      }
      count += places.length;
    }
    this.#uncollected = [];
    return count;
  }

  /** Marks every partial as changed, and no series as told: stage 2 starts anew. */
  recollect(): void {
    this.#series.forgetTold();
    for (const slice of this.#slices.values()) {
      if (!slice.isUncollected) this.#uncollected.push(slice);
      slice.markAllUncollected();
    }
  }

  snapshot(writes: StateWrite[]): void {
    this.#forgetDropped(writes);
    this.#dropped = [];
    const writer = new ByteWriter();
    for (const slice of this.#dirty) {
      if (slice.isDropped) continue;
      for (const place of slice.takeDirty()) {
        writer.clear();
        slice.write(place, writer);
        const key = this.#storeKey(this.#series.idOf(slice.seriesAt(place)), slice.key);
        writes.push({ table: PANES, key, value: writer.finish() });
      }
    }
    this.#dirty = [];
  }

  /** Removes the metric from the store. */
  erase(writes: StateWrite[]): void {
    this.#forgetDropped(writes);
    for (const slice of this.#slices.values()) {
      for (const id of this.#seriesIdsOf(slice))
        writes.push({ table: PANES, key: this.#storeKey(id, slice.key), value: undefined });
    }
  }

  restore(entry: StateEntry): void {
    const slice = this.#sliceAt(Number(entry.key[3]));
    const place = slice.placeOf(this.#series.restored(String(entry.key[2])));
    slice.read(place, new ByteReader(entry.value));
  }

  #forgetDropped(writes: StateWrite[]): void {
    for (const { key, seriesIds } of this.#dropped) {
      for (const id of seriesIds) writes.push({ table: PANES, key: this.#storeKey(id, key), value: undefined });
    }
  }

  #storeKey(seriesId: string, key: number): (string | number)[] {
    return [this.#tenant, this.plan.definition.name, seriesId, key];
  }

  #seriesIdsOf(slice: PaneSlice): string[] {
    return slice.places().map((place) => this.#series.idOf(slice.seriesAt(place)));
  }

  #sliceAt(key: number): PaneSlice {
    const found = this.#slices.get(key);
    if (found !== undefined) return found;
    const slice = new PaneSlice(key, this.#table);
    this.#slices.set(key, slice);
    const startMs = paneStartOf(key);
    const sizeMs = paneSizeOf(key);
    if (sizeMs === FINE_MS) note(this.#fineSlices, floorTo(startMs, MINUTE_MS), slice);
    else if (sizeMs === MINUTE_MS) note(this.#minuteSlices, floorTo(startMs, HOUR_MS), slice);
    else note(this.#hourSlices, startMs, slice);
    return slice;
  }

  /** Before panes of the slice are touched. */
  #list(slice: PaneSlice): void {
    if (!slice.isUncollected) this.#uncollected.push(slice);
    if (!slice.isDirty) this.#dirty.push(slice);
  }

  /** 0 without `count`. */
  #eventsIn(slice: PaneSlice): number {
    const counts = this.#table.columns[this.plan.countAt] as EventCounts | undefined;
    return counts === undefined ? 0 : slice.places().reduce((sum, place) => sum + counts.eventsAt(place), 0);
  }

  #mergeUp(groups: Map<number, PaneSlice[]>, sizeMs: PaneSizeMs, fromMs: number): void {
    for (const [startMs, parts] of groups) {
      if (startMs >= fromMs) continue;
      groups.delete(startMs);
      const whole = this.#sliceAt(paneKey(startMs, sizeMs));
      this.#list(whole);
      // In the order of time: past its capacity, what `topK` keeps depends on it.
      for (const part of parts.toSorted((a, b) => a.key - b.key)) {
        for (const place of part.places()) whole.merge(part, place);
        this.#drop(part);
      }
    }
  }

  #drop(slice: PaneSlice): void {
    this.#slices.delete(slice.key);
    this.#dropped.push({ key: slice.key, seriesIds: this.#seriesIdsOf(slice) });
    slice.drop();
  }
}

function note(groups: Map<number, PaneSlice[]>, startMs: number, slice: PaneSlice): void {
  const group = groups.get(startMs);
  if (group === undefined) groups.set(startMs, [slice]);
  else group.push(slice);
}
