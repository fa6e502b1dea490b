/**
 * The exact sum of all finite numbers, rounded once, divided by how many there were: within 1.5 units in the last place of
 * the true mean, and the same in any order. null when there were none; finite even where the sum is too large for a double.
 */
import type { Aggregate } from "./aggregate.ts";
import { ExactSum } from "./exact-sum.ts";

export interface Mean {
  readonly sum: ExactSum;
  numbers: number;
}

export const mean: Aggregate<Mean> = {
  name: "mean",
  outputs: ["mean"],
  bound: { kind: "exact" },
  empty: () => ({ sum: new ExactSum(), numbers: 0 }),
  add(state, value) {
    if (typeof value !== "number" || !Number.isFinite(value)) return;
    state.sum.add(value);
    state.numbers++;
  },
  merge(into, from) {
    into.sum.merge(from.sum);
    into.numbers += from.numbers;
  },
  finish: (state) => [state.numbers === 0 ? null : state.sum.dividedBy(state.numbers)],
  write(state, writer) {
    writer.varint(state.numbers);
    state.sum.write(writer);
  },
  read(reader) {
    const numbers = reader.varint();
    return { sum: ExactSum.read(reader), numbers };
  },
  sizeBytes: (state) => 40 + state.sum.sizeBytes(),
};
