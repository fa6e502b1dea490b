/**
 * The rows of one channel as snapshots and deltas make them: a pure state machine, so that its law can be tested over any
 * interleaving: after every frame the rows equal the channel at (epoch, seq), or the answer is "gap" and nothing changed.
 * `subscriber.ts` feeds it.
 */
import type { ChannelRow, DeltaFrame, SnapshotFrame } from "../protocol/frames.ts";

/** What one frame changed. */
export interface RowChange {
  readonly changed: ReadonlyMap<string, ChannelRow>;
  readonly removed: ReadonlyMap<string, ChannelRow>;
}

export type Step =
  | { readonly kind: "changed"; readonly change: RowChange }
  | { readonly kind: "stale" }
  | { readonly kind: "gap" };

/** Names that are outputs of aggregates; every other entry of a row is a dimension. */
const outputNames = new Set(
  ["count", "rate", "sum", "min", "max", "mean", "distinct", "p50", "p75", "p90", "p95", "p99", "topK"].concat("removed"),
);

/** Rows with the same dimensions have the same key; a metric without dimensions has one row with the key `[]`. */
export function rowKey(row: ChannelRow): string {
  const dimensions = Object.entries(row).filter(([name]) => !outputNames.has(name));
  return JSON.stringify(dimensions.toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

export class ChannelState {
  #rows = new Map<string, ChannelRow>();
  #epoch: string | undefined;
  #seq = 0;
  #window: { from: number; to: number } | undefined;

  get rows(): ReadonlyMap<string, ChannelRow> {
    return this.#rows;
  }

  /** Epoch milliseconds; undefined before the first snapshot. */
  get window(): { readonly from: number; readonly to: number } | undefined {
    return this.#window;
  }

  get position(): { epoch: string; seq: number } | undefined {
    return this.#epoch === undefined ? undefined : { epoch: this.#epoch, seq: this.#seq };
  }

  /** A snapshot replaces everything, unless the state is already past it. */
  snapshot(frame: SnapshotFrame): Step {
    if (frame.epoch === this.#epoch && frame.seq < this.#seq) return { kind: "stale" };
    const before = this.#rows;
    this.#rows = new Map(frame.values.map((row) => [rowKey(row), row]));
    this.#epoch = frame.epoch;
    this.#seq = frame.seq;
    this.#window = frame.window;
    const removed = new Map([...before].filter(([key]) => !this.#rows.has(key)));
    return { kind: "changed", change: { changed: this.#rows, removed } };
  }

  delta(frame: DeltaFrame): Step {
    if (frame.epoch !== this.#epoch) return { kind: "gap" };
    if (frame.seq <= this.#seq) return { kind: "stale" };
    if (frame.seq !== this.#seq + 1) return { kind: "gap" };
    const changed = new Map<string, ChannelRow>();
    const removed = new Map<string, ChannelRow>();
    for (const row of frame.values) {
      const key = rowKey(row);
      if (row["removed"] === true) {
        this.#rows.delete(key);
        removed.set(key, row);
      } else {
        this.#rows.set(key, row);
        changed.set(key, row);
      }
    }
    this.#seq = frame.seq;
    this.#window = frame.window;
    return { kind: "changed", change: { changed, removed } };
  }
}
