/**
 * Merged panes of all series at one node of `metric-panes.ts`, kept for channels, which ask for the same minutes and hours again and
 * again. A pane is made anew when it is asked for after something below has changed. Nothing but speed depends on them.
 */
import type { StateColumn } from "./aggregates/state-column.ts";
import { PaneSlice } from "./pane-slice.ts";
import { NOWHERE, type PaneTable } from "./pane-table.ts";

/** Marks of a place, else it is as it should be: something below has changed; nothing is there. */
const CHANGED = 1;
const EMPTY = 2;

/** Says, by calling `visit`, of what the pane of a series is to be merged. */
export type Gather = (series: number, visit: (columns: readonly StateColumn[], place: number) => void) => void;

export class MergedPanes {
  readonly #table: PaneTable;
  readonly #slice: PaneSlice;

  constructor(table: PaneTable) {
    this.#table = table;
    this.#slice = new PaneSlice(0, table);
  }

  get columns(): readonly StateColumn[] {
    return this.#table.columns;
  }

  /** Adds to the pane of a series while all are made at once. */
  merge(series: number, columns: readonly StateColumn[], place: number): void {
    this.#mergeAt(this.#slice.placeOf(series), columns, place);
  }

  /** Something below has changed for the series. */
  changed(series: number): void {
    // First: it may give the table longer arrays.
    const place = this.#slice.placeOf(series);
    this.#table.marks[place] = CHANGED;
  }

  /** The place of a series' pane, made anew if it has to be; NOWHERE when nothing is there. */
  find(series: number, gather: Gather): number {
    const place = this.#slice.find(series);
    if (place === NOWHERE) return NOWHERE;
    if (this.#table.marks[place] === CHANGED) {
      for (const column of this.columns) column.clear(place);
      let mark = EMPTY;
      gather(series, (columns, from) => {
        mark = 0;
        this.#mergeAt(place, columns, from);
      });
      this.#table.marks[place] = mark;
    }
    return this.#table.marks[place] === EMPTY ? NOWHERE : place;
  }

  /** Series that may have a pane. */
  series(): number[] {
    return this.#slice.places().map((place) => this.#slice.seriesAt(place));
  }

  drop(): void {
    this.#slice.drop();
  }

  #mergeAt(place: number, columns: readonly StateColumn[], from: number): void {
    const into = this.columns;
    for (let at = 0; at < into.length; at++) into[at]?.merge(place, columns[at] as StateColumn, from);
  }
}
