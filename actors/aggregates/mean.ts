/**
 * The exact sum of all finite numbers, rounded once, divided by how many there were: within 1.5 units in the last place of
 * the true mean, and the same in any order. null when there were none; finite even where the sum is too large for a double.
 */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { Aggregate } from "./aggregate.ts";
import { ExactSum } from "./exact-sum.ts";
import { ExactSums } from "./exact-sums.ts";
import { grown, NO_NUMBERS, type RowValues, type StateColumn } from "./state-column.ts";

export interface Mean {
  readonly sum: ExactSum;
  numbers: number;
}

export const mean: Aggregate<Mean> = {
  name: "mean",
  outputs: ["mean"],
  bound: { kind: "exact" },
  reads: "number",
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
  shares: "sum",
  newColumn: (shared) => new Means(shared as ExactSums | undefined),
};

/** The sums are those of `sum`, where a metric has both: exact sums are most of what a mean costs and takes. */
class Means implements StateColumn {
  readonly #sums: ExactSums;
  readonly #isShared: boolean;
  #numbers = NO_NUMBERS;

  constructor(shared: ExactSums | undefined) {
    this.#sums = shared ?? new ExactSums();
    this.#isShared = shared !== undefined;
  }

  grow(capacity: number): void {
    if (!this.#isShared) this.#sums.grow(capacity);
    this.#numbers = grown(this.#numbers, capacity, 0);
  }

  addRows(places: Int32Array, { numbers }: RowValues, indexes: Int32Array, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const value = numbers[indexes[at] ?? 0] ?? 0;
      if (!Number.isFinite(value)) continue;
      const place = places[at] ?? 0;
      if (!this.#isShared) this.#sums.add(place, value);
      this.#numbers[place] = (this.#numbers[place] ?? 0) + 1;
    }
  }

  merge(place: number, from: Means, fromPlace: number): void {
    if (!this.#isShared) this.#sums.merge(place, from.#sums, fromPlace);
    this.#numbers[place] = (this.#numbers[place] ?? 0) + (from.#numbers[fromPlace] ?? 0);
  }

  write(place: number, writer: ByteWriter): void {
    writer.varint(this.#numbers[place] ?? 0);
    this.#sums.write(place, writer);
  }

  read(place: number, reader: ByteReader): void {
    this.#numbers[place] = reader.varint();
    this.#sums.read(place, reader);
  }

  clear(place: number): void {
    this.#numbers[place] = 0;
    if (!this.#isShared) this.#sums.clear(place);
  }

  get placeBytes(): number {
    return 8 + (this.#isShared ? 0 : this.#sums.placeBytes);
  }

  objectBytesAt(place: number): number {
    return this.#isShared ? 0 : this.#sums.objectBytesAt(place);
  }

  stateAt(place: number): Mean {
    return { sum: this.#sums.stateAt(place), numbers: this.#numbers[place] ?? 0 };
  }
}
