/**
 * Accepted rows on their way to the metrics: each with the pane that it belongs to, as of when it was accepted. They wait until
 * the end of a turn, so that each metric takes all of them in one go, with its few series and panes in the processor's cache;
 * row by row, every metric's panes push the others' out (half the time of an event: `npm run bench -- ingest`).
 *
 * Rows of one frame lie together, as a run. Metrics take the rows pane by pane, those of a pane in the order in which they came:
 * so each pane's state sees the same events in the same order as row by row. All of it is flat, and its memory is used again.
 */
import { assert } from "../protocol/assert.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import { CountingSort } from "./counting-sort.ts";

/** The rows of one frame: from index `from` on to where the next run begins. */
export interface AcceptedRun {
  readonly columns: EventColumns;
  readonly from: number;
}

const NO_KEY = -1;

export class AcceptedRows {
  readonly runs: AcceptedRun[] = [];
  count = 0;
  /** By index: the row within its frame's columns. */
  rows = new Int32Array(256);
  /** The keys of the panes, by their number here. */
  readonly paneKeys: number[] = [];
  /** By index: the number of the row's pane. */
  #panes = new Int32Array(256);
  readonly #paneOfKey = new Map<number, number>();
  #lastKey = NO_KEY;
  #lastPane = 0;
  #columns: EventColumns | undefined;
  readonly #sort = new CountingSort();
  #isSorted = false;

  push(columns: EventColumns, row: number, paneKey: number): void {
    if (columns !== this.#columns) {
      this.#columns = columns;
      this.runs.push({ columns, from: this.count });
    }
    if (this.count === this.rows.length) this.#grow();
    if (paneKey !== this.#lastKey) this.#lookUp(paneKey);
    this.rows[this.count] = row;
    this.#panes[this.count] = this.#lastPane;
    this.count++;
    this.#isSorted = false;
  }

  /** The index behind the last row of a run. */
  endOf(run: number): number {
    return this.runs[run + 1]?.from ?? this.count;
  }

  /** The columns that a row came with. */
  columnsAt(index: number): EventColumns {
    const { runs } = this;
    let low = 0;
    for (let high = runs.length; high - low > 1;) {
      const middle = (low + high) >>> 1;
      if ((runs[middle]?.from ?? 0) <= index) low = middle;
      else high = middle;
    }
    const run = runs[low];
    assert(run !== undefined && index < this.count, "a row has come");
    return run.columns;
  }

  /** Indexes of rows, those of pane `n` from `starts[n]` to before `starts[n + 1]`. Valid until the next push. */
  byPane(): { readonly order: Int32Array; readonly starts: Int32Array } {
    if (!this.#isSorted) this.#sort.sort(this.#panes, this.count, this.paneKeys.length);
    this.#isSorted = true;
    return this.#sort;
  }

  clear(): void {
    this.runs.length = 0;
    this.count = 0;
    this.paneKeys.length = 0;
    this.#paneOfKey.clear();
    this.#lastKey = NO_KEY;
    this.#columns = undefined;
  }

  #lookUp(paneKey: number): void {
    let pane = this.#paneOfKey.get(paneKey);
    if (pane === undefined) {
      pane = this.paneKeys.push(paneKey) - 1;
      this.#paneOfKey.set(paneKey, pane);
    }
    this.#lastKey = paneKey;
    this.#lastPane = pane;
  }

  #grow(): void {
    const { rows } = this;
    const panes = this.#panes;
    this.rows = new Int32Array(2 * rows.length);
    this.rows.set(rows);
    this.#panes = new Int32Array(2 * panes.length);
    this.#panes.set(panes);
  }
}
