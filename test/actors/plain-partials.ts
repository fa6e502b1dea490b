/** What the bytes of partials (`actors/partials.ts`) mean: a plain reader, with an object for each partial. */
import type { ByteReader } from "../../protocol/bytes.ts";
import type { PaneSizeMs } from "../../protocol/windows.ts";
import type { MetricPlan, PaneStates } from "../../actors/metric-plan.ts";
import { paneSizeOf, paneStartOf } from "../../actors/pane.ts";

export interface Partial {
  /** The dimension values as JSON text; "" when the partition never said whose the number is. */
  readonly seriesId: string;
  readonly startMs: number;
  readonly sizeMs: PaneSizeMs;
  readonly states: PaneStates;
}

/** `names`: what the partition's numbers mean so far. */
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
