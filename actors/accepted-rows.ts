/**
 * Accepted rows on their way to the metrics: each with the pane that it belongs to, as of when it was accepted. They wait until
 * the end of a turn, so that each metric takes all of them in one go, with its few series and panes in the processor's cache;
 * row by row, every metric's panes push the others' out (half the time of an event: `npm run bench -- ingest`).
 */
import type { EventColumns } from "../protocol/event-columns.ts";

export class AcceptedRows {
  readonly columns: EventColumns[] = [];
  readonly rows: number[] = [];
  readonly paneKeys: number[] = [];

  get count(): number {
    return this.rows.length;
  }

  push(columns: EventColumns, row: number, paneKey: number): void {
    this.columns.push(columns);
    this.rows.push(row);
    this.paneKeys.push(paneKey);
  }

  clear(): void {
    this.columns.length = 0;
    this.rows.length = 0;
    this.paneKeys.length = 0;
  }
}
