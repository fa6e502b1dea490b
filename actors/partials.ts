/**
 * Partials of one metric on the way from a partition to stage 2: panes slice by slice, longer panes before the shorter ones.
 *
 *    slice      pane key f64 | how many of its panes follow, varint | panes
 *    pane       number * 2 + 1, varint | series as JSON text | states       the partition means this series by that number
 *               number * 2, varint | states                                 the series that it has last meant by it
 *
 * Each REPLACES what stage 2 had of this pane from this partition; and the panes of a slice all that it had of shorter panes
 * within: a partition merges those into longer ones all at once. `PartialPanes.collect` writes it and `MetricActor.receive` reads it;
 * the plain reader, with an object for each partial, is `test/actors/plain-partials.ts`.
 */
import type { ByteWriter } from "../protocol/bytes.ts";

export function writeSeries(writer: ByteWriter, number: number, text: string | undefined): void {
  writer.varint(text === undefined ? number * 2 : number * 2 + 1);
  if (text !== undefined) writer.text(text);
}
