/**
 * What every aggregate is. Merging is associative and commutative and `add` is merging a single value, so any order,
 * batching and partitioning of the same events gives the same bytes. (topK keeps that only up to its capacity;
 * past it, results stay within the stated bound.)
 * A new aggregate is one file here, one test, one line in `registry.ts`.
 */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { StateColumn } from "./state-column.ts";
import type { AggregateName } from "../../protocol/metric-definition.ts";

/** A finished value. null = nothing was there to sum up (the minimum of no numbers). */
export type AggregateValue = number | null | readonly TopKEntry[];
/** `count` is at most `error` too high. */
export interface TopKEntry {
  readonly key: string;
  readonly count: number;
  readonly error: number;
}

/** How far a finished value may be from the truth. */
export type ErrorBound =
  | { readonly kind: "exact" }
  /** |estimate - truth| <= value * |truth| */
  | { readonly kind: "relative"; readonly value: number }
  /** one standard error of the estimate, as a share of the truth */
  | { readonly kind: "standardError"; readonly value: number }
  /** too high by at most (events / value); exact up to `value` distinct keys */
  | { readonly kind: "capacity"; readonly value: number };

export interface Aggregate<State> {
  readonly name: AggregateName;
  /** Names of what `finish` gives, in its order: `["count"]`, `["p50", "p75", "p90", "p95", "p99"]`. */
  readonly outputs: readonly string[];
  readonly bound: ErrorBound;
  /** What it takes of a value: as a number, as the hash of its text, as it is, or nothing of it. */
  readonly reads: "nothing" | "number" | "hash" | "value";
  empty(): State;
  /**
   * Takes one event. `value` is undefined for an event without the value field. Numeric aggregates ignore what is not a
   * finite number; keyed ones (distinct, topK) take numbers and booleans as their text and ignore null and undefined.
   */
  add(state: State, value: string | number | boolean | null | undefined): void;
  /** The same for one that reads hashes: the two words of the hash of a value's text, two zeros for what is not counted. */
  addHash?(state: State, first: number, second: number): void;
  /** Adds `from` to `into`; `from` is unchanged and may not be kept by reference. */
  merge(into: State, from: State): void;
  /** The values for a window of `spanMs` milliseconds; one for each of `outputs`. */
  finish(state: State, spanMs: number): readonly AggregateValue[];
  /** Canonical: states of the same multiset of values write the same bytes, whatever their history. */
  write(state: State, writer: ByteWriter): void;
  read(reader: ByteReader): State;
  /** About how much memory the state takes. */
  sizeBytes(state: State): number;
  /**
   * For states of a few numbers: many of them in flat memory. Without it, there is an object for each. `shared`: the column of the
   * same panes for the aggregate that `shares` names, when a metric has both; that one adds, merges and clears what both need.
   */
  newColumn?(shared?: StateColumn): StateColumn;
  /** An aggregate whose state, or a part of it, is this one's too. */
  readonly shares?: AggregateName;
}
