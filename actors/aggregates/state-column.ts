/**
 * The states of one aggregate for many panes, by place. An aggregate whose state is a few numbers has a column of its own, in
 * typed arrays (8 bytes a pane for a count; `npm run bench -- memory` weighs whole panes); others get `StateObjects`. Either
 * equals states of `Aggregate` at each place, byte for byte (`test/actors/aggregates/state-column.property.test.ts`).
 */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { FieldValue } from "../../protocol/field-path.ts";
import type { Aggregate } from "./aggregate.ts";

/** What a metric's aggregates read of rows, by index; only that what some aggregate of it reads is there. */
export interface RowValues {
  /** NaN where the value is no number. */
  readonly numbers: Float64Array;
  /** The two words of `nonZeroHash64` of the value's text, in turn; two zeros where nothing is to be counted. */
  readonly hashes: Uint32Array;
  readonly values: readonly FieldValue[];
}

export interface StateColumn {
  /** Makes room for the places before `capacity`; they are empty states until something is added. */
  grow(capacity: number): void;
  /** Adds row `indexes[at]` at `places[at]`, for `at` from `from` to before `to`, in that order. */
  addRows(places: Int32Array, rows: RowValues, indexes: Int32Array, from: number, to: number): void;
  /** Adds a state of another column of this aggregate. */
  merge(place: number, from: StateColumn, fromPlace: number): void;
  /** The same bytes as of the aggregate's state. */
  write(place: number, writer: ByteWriter): void;
  /** Replaces the state. */
  read(place: number, reader: ByteReader): void;
  /** Makes it the empty state: the place may become another pane's. */
  clear(place: number): void;
  /** Bytes of arrays that every place takes. */
  readonly placeBytes: number;
  /** About how many bytes of objects the state takes beside that. */
  objectBytesAt(place: number): number;
  /** The aggregate's state; not to be changed, and good until the place changes. */
  stateAt(place: number): unknown;
}

/** Adds rows as `addRows` does, to states. */
export type AddToStates = (
  states: unknown[],
  places: Int32Array,
  rows: RowValues,
  indexes: Int32Array,
  from: number,
  to: number,
) => void;

/** A state for each pane, made when it is first needed. */
export class StateObjects implements StateColumn {
  readonly #aggregate: Aggregate<unknown>;
  readonly #add: AddToStates;
  readonly #states: unknown[] = [];

  constructor(aggregate: Aggregate<unknown>, add: AddToStates) {
    this.#aggregate = aggregate;
    this.#add = add;
  }

  grow(capacity: number): void {
    while (this.#states.length < capacity) this.#states.push(undefined);
  }

  addRows(places: Int32Array, rows: RowValues, indexes: Int32Array, from: number, to: number): void {
    this.#add(this.#states, places, rows, indexes, from, to);
  }

  merge(place: number, from: StateColumn, fromPlace: number): void {
    const state = (from as StateObjects).#states[fromPlace];
    if (state !== undefined) this.#aggregate.merge((this.#states[place] ??= this.#aggregate.empty()), state);
  }

  write(place: number, writer: ByteWriter): void {
    this.#aggregate.write(this.#states[place] ?? this.#aggregate.empty(), writer);
  }

  read(place: number, reader: ByteReader): void {
    this.#states[place] = this.#aggregate.read(reader);
  }

  clear(place: number): void {
    this.#states[place] = undefined;
  }

  get placeBytes(): number {
    return 8;
  }

  objectBytesAt(place: number): number {
    const state = this.#states[place];
    return state === undefined ? 0 : this.#aggregate.sizeBytes(state);
  }

  stateAt(place: number): unknown {
    return this.#states[place] ?? this.#aggregate.empty();
  }
}

/** The states of another column, which has nothing of its own: `rate` beside `count`. */
export class SharedStates implements StateColumn {
  readonly #of: StateColumn;

  constructor(of: StateColumn) {
    this.#of = of;
  }

  grow(): void {}

  addRows(): void {}

  merge(): void {}

  write(place: number, writer: ByteWriter): void {
    this.#of.write(place, writer);
  }

  /** The state is there twice, and the same. */
  read(place: number, reader: ByteReader): void {
    this.#of.read(place, reader);
  }

  clear(): void {}

  get placeBytes(): number {
    return 0;
  }

  objectBytesAt(): number {
    return 0;
  }

  stateAt(place: number): unknown {
    return this.#of.stateAt(place);
  }
}

/** How a row is added, by what the aggregate reads of it. */
const additions: Readonly<Record<Aggregate<unknown>["reads"], string>> = {
  nothing: "aggregate.add(state)",
  number: "aggregate.add(state, numbers[index])",
  hash: "aggregate.addHash(state, hashes[2 * index], hashes[2 * index + 1])",
  value: "aggregate.add(state, values[index])",
};

/**
 * The loop of `addRows` for one aggregate, as code of its own: in a shared one, one call site would see all kinds of aggregates
 * and V8 could inline none.
 */
export function compiledAdd(aggregate: Aggregate<unknown>): AddToStates {
  // oxlint-disable-next-line typescript/no-implied-eval -- a constant text
  const make = new Function(
    "aggregate",
    `return (states, places, { numbers, hashes, values }, indexes, from, to) => {
      for (let at = from; at < to; at++) {
        const place = places[at];
        let state = states[place];
        if (state === undefined) state = states[place] = aggregate.empty();
        const index = indexes[at];
        ${additions[aggregate.reads]};
      }
    };`,
  );
  return make(aggregate) as AddToStates;
}

/** The array, or a longer copy of it with `rest` in the new places. */
export function grown(array: Float64Array, capacity: number, rest: number): Float64Array<ArrayBuffer> {
  const longer = new Float64Array(capacity);
  if (rest !== 0) longer.fill(rest, array.length);
  longer.set(array);
  return longer;
}

export const NO_NUMBERS = new Float64Array(0);
