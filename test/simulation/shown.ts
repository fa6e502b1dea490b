/**
 * What dashboards are shown, held against what is on disk and against each other (promises 8 and 9): no count is higher than
 * that of the accepted events on disk; a channel's seq rises within an epoch; whoever is at the same (epoch, seq) of a channel
 * has the same rows and window.
 */
import type { DeltaFrame, SnapshotFrame } from "../../protocol/frames.ts";
import type { Model } from "./model.ts";
import type { SimSubscriber } from "./subscriber.ts";

export class Shown {
  readonly #model: Model;
  readonly #wrong: (what: string) => void;
  readonly #lastSeq = new Map<string, number>();
  readonly #rowsAt = new Map<string, string>();

  constructor(model: Model, wrong: (what: string) => void) {
    this.#model = model;
    this.#wrong = wrong;
  }

  /** A delta goes to all who listen. */
  published(delta: DeltaFrame): void {
    const course = `${delta.channel}/${delta.every} of ${delta.epoch}`;
    const last = this.#lastSeq.get(course);
    if (last !== undefined && delta.seq <= last) this.#wrong(`delta ${delta.seq} of ${course} came after ${last}`);
    this.#lastSeq.set(course, delta.seq);
  }

  /** A frame leaves the server. */
  left(frame: SnapshotFrame | DeltaFrame): void {
    for (const row of frame.values) {
      const count = Number(row["count"] ?? 0);
      const bySeries = "country" in row;
      if (!bySeries && "eventType" in row) continue;
      const durable = this.#model.durableBySeries.get(bySeries ? JSON.stringify([row["eventType"], row["country"]]) : "") ?? 0;
      if (count > durable) {
        this.#wrong(`${frame.channel} showed ${count} for ${JSON.stringify(row)}, ${durable} accepted events are on disk`);
      }
    }
  }

  /** A subscriber has applied a frame. */
  held({ name, channel, everyMs, state }: SimSubscriber): void {
    const { position, window } = state;
    if (position === undefined) return;
    const place = `${channel}/${everyMs} ${position.epoch}/${position.seq}`;
    const rows = [...state.rows].map(([key, row]) => `${key} ${JSON.stringify(row)}`).sort();
    const text = JSON.stringify([window, rows]);
    const before = this.#rowsAt.get(place);
    if (before === undefined) this.#rowsAt.set(place, text);
    else if (before !== text) this.#wrong(`${name} at ${place} has ${text}, another one had ${before}`);
  }
}
