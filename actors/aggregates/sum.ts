/**
 * The sum of all finite numbers: exact, then rounded once to the nearest double. 0 when there were none.
 * A sum too large for a double is null: an infinity can't be sent or stored, and the largest double would be a wrong number.
 * Its state stays exact, so later values may bring it back into range.
 */
import type { Aggregate } from "./aggregate.ts";
import { ExactSum } from "./exact-sum.ts";
import { ExactSums } from "./exact-sums.ts";

export const sum: Aggregate<ExactSum> = {
  name: "sum",
  outputs: ["sum"],
  bound: { kind: "exact" },
  reads: "number",
  empty: () => new ExactSum(),
  add(state, value) {
    if (typeof value === "number") state.add(value);
  },
  merge: (into, from) => into.merge(from),
  finish(state) {
    const total = state.rounded();
    return [Number.isFinite(total) ? total : null];
  },
  write: (state, writer) => state.write(writer),
  read: (reader) => ExactSum.read(reader),
  sizeBytes: (state) => state.sizeBytes(),
  newColumn: () => new ExactSums(),
};
