/**
 * Partials of one metric on the way from a partition to stage 2: panes slice by slice, longer panes before the shorter ones.
 *
 *    slice      pane key f64 | how many of its panes follow, varint | panes
 *    pane       number * 2 + 1, varint | series as JSON text | states       the partition means this series by that number
 *               number * 2, varint | states                                 the series that it has last meant by it
 *
 * Each REPLACES what stage 2 had of this pane from this partition; and the panes of a slice all that it had of shorter panes
 * within: a partition merges those into longer ones all at once. `PartialPanes.collect` writes it and `MetricActor.receive` reads it.
 */
import type { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import type { PaneSizeMs } from "../protocol/windows.ts";
import type { MetricPlan, PaneStates } from "./metric-plan.ts";
import { paneSizeOf, paneStartOf } from "./pane.ts";

export function writeSeries(writer: ByteWriter, number: number, text: string | undefined): void {
  writer.varint(text === undefined ? number * 2 : number * 2 + 1);
  if (text !== undefined) writer.text(text);
}

export interface Partial {
  /** The dimension values as JSON text; "" when the partition never said whose the number is. */
  readonly seriesId: string;
  readonly startMs: number;
  readonly sizeMs: PaneSizeMs;
  readonly states: PaneStates;
}

/** The plain reader: what all bytes mean, with an object for each partial. `names`: what the partition's numbers mean so far. */
export function readPartials(reader: ByteReader, plan: MetricPlan, names: Map<number, string>): Partial[] {
  const partials: Partial[] = [];
  while (!reader.done) {
    const key = reader.f64();
    for (let left = reader.varint(); left > 0; left--) {
      const head = reader.varint();
      const number = Math.floor(head / 2);
      if (head % 2 === 1) names.set(number, reader.text());
      const states = plan.read(reader);
      partials.push({ seriesId: names.get(number) ?? "", startMs: paneStartOf(key), sizeMs: paneSizeOf(key), states });
    }
  }
  return partials;
}
