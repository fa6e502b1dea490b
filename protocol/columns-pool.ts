/**
 * Columns of frames that nobody reads any more, to be filled again: a frame's columns are about twenty objects and one piece of memory
 * outside of V8's heap, which for a frame of one event is most of what it costs, and for which V8 collects the whole heap
 * (`npm run bench -- ingest-batches`; docs/decisions/0024-texts-have-numbers.md). What was made for the metrics of one frame serves
 * the next one too. The plain version is new columns for each frame.
 *
 * Bounded by the number of rows; when it is full all are let go.
 */
import type { PlainColumns } from "./plain-columns.ts";

const ROWS_MAX = 65_536;

export class ColumnsPool {
  /** By what the columns are of, and by their number of rows. */
  readonly #spare = new Map<object, Map<number, PlainColumns[]>>();
  #rows = 0;

  take(kind: object, count: number): PlainColumns | undefined {
    const taken = this.#spare.get(kind)?.get(count)?.pop();
    if (taken !== undefined) this.#rows -= count;
    return taken;
  }

  give(kind: object, columns: PlainColumns): void {
    const { count } = columns;
    if (this.#rows + count > ROWS_MAX) {
      this.#spare.clear();
      this.#rows = 0;
    }
    if (count > ROWS_MAX) return;
    let byCount = this.#spare.get(kind);
    if (byCount === undefined) this.#spare.set(kind, (byCount = new Map<number, PlainColumns[]>()));
    const spare = byCount.get(count);
    if (spare === undefined) byCount.set(count, [columns]);
    else spare.push(columns);
    this.#rows += count;
  }
}
