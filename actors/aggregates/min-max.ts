/**
 * The lowest and the highest finite number. -0 becomes 0: which of the two came first must not show.
 * An infinity stands for "no number yet" and is never the result.
 */
import type { Aggregate } from "./aggregate.ts";

export interface Extreme {
  value: number;
}

export const min: Aggregate<Extreme> = {
  name: "min",
  outputs: ["min"],
  bound: { kind: "exact" },
  empty: () => ({ value: Infinity }),
  add(state, value) {
    if (typeof value === "number" && value < state.value && value > -Infinity) state.value = value + 0;
  },
  merge(into, from) {
    if (from.value < into.value) into.value = from.value;
  },
  finish: (state) => [state.value === Infinity ? null : state.value],
  write: (state, writer) => writer.f64(state.value),
  read: (reader) => ({ value: reader.f64() }),
  sizeBytes: () => 48,
};

export const max: Aggregate<Extreme> = {
  name: "max",
  outputs: ["max"],
  bound: { kind: "exact" },
  empty: () => ({ value: -Infinity }),
  add(state, value) {
    if (typeof value === "number" && value > state.value && value < Infinity) state.value = value + 0;
  },
  merge(into, from) {
    if (from.value > into.value) into.value = from.value;
  },
  finish: (state) => [state.value === -Infinity ? null : state.value],
  write: (state, writer) => writer.f64(state.value),
  read: (reader) => ({ value: reader.f64() }),
  sizeBytes: () => 48,
};
