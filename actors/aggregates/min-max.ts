/**
 * The lowest and the highest finite number. -0 becomes 0: which of the two came first must not show.
 * An infinity stands for "no number yet" and is never the result.
 */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { Aggregate } from "./aggregate.ts";
import { grown, NO_NUMBERS, type RowValues, type StateColumn } from "./state-column.ts";

export interface Extreme {
  value: number;
}

export const min: Aggregate<Extreme> = {
  name: "min",
  outputs: ["min"],
  bound: { kind: "exact" },
  reads: "number",
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
  newColumn: () => new Extremes(1),
};

export const max: Aggregate<Extreme> = {
  name: "max",
  outputs: ["max"],
  bound: { kind: "exact" },
  reads: "number",
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
  newColumn: () => new Extremes(-1),
};

/** Lowest numbers; with sign -1, highest ones, kept with the other sign. */
class Extremes implements StateColumn {
  readonly #sign: 1 | -1;
  #lowest = NO_NUMBERS;

  constructor(sign: 1 | -1) {
    this.#sign = sign;
  }

  grow(capacity: number): void {
    this.#lowest = grown(this.#lowest, capacity, Infinity);
  }

  addRows(places: Int32Array, { numbers }: RowValues, indexes: Int32Array, from: number, to: number): void {
    const lowest = this.#lowest;
    const sign = this.#sign;
    for (let at = from; at < to; at++) {
      // What is no number is NaN here, which is below nothing.
      const signed = (numbers[indexes[at] ?? 0] ?? 0) * sign;
      const place = places[at] ?? 0;
      if (signed < (lowest[place] ?? 0) && signed > -Infinity) lowest[place] = signed;
    }
  }

  merge(place: number, from: Extremes, fromPlace: number): void {
    const other = from.#lowest[fromPlace] ?? 0;
    if (other < (this.#lowest[place] ?? 0)) this.#lowest[place] = other;
  }

  write(place: number, writer: ByteWriter): void {
    writer.f64(this.#valueAt(place));
  }

  read(place: number, reader: ByteReader): void {
    this.#lowest[place] = reader.f64() * this.#sign;
  }

  clear(place: number): void {
    this.#lowest[place] = Infinity;
  }

  get placeBytes(): number {
    return 8;
  }

  objectBytesAt(): number {
    return 0;
  }

  stateAt(place: number): Extreme {
    return { value: this.#valueAt(place) };
  }

  /** Adding 0 makes -0 a plain 0. */
  #valueAt(place: number): number {
    return (this.#lowest[place] ?? 0) * this.#sign + 0;
  }
}
