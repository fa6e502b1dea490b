/** The exact aggregates of one series in one bucket of a recount. */
import type { AggregateName } from "../../protocol/metric-definition.ts";
import { limits } from "../../protocol/limits.ts";
import { cutText } from "./rows.ts";
import type { OutputValue } from "./rows.ts";

const TOP_K_ENTRIES = 20;

const QUANTILES = { p50: 50, p75: 75, p90: 90, p95: 95, p99: 99 } as const;

export interface NumberTotals {
  readonly numbers: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

export class RecountState {
  #events = 0;
  #numbers = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  readonly #countByKey = new Map<string, number>();
  readonly #countByNumber = new Map<number, number>();

  addEvents(events: number): void {
    this.#events += events;
  }

  addTotals({ numbers, sum, min, max }: NumberTotals): void {
    this.#numbers += numbers;
    this.#sum += sum;
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
  }

  /** `text` as JSON writes the value. */
  addValue(text: string, isNumber: boolean, events: number): void {
    this.#countByKey.set(text, (this.#countByKey.get(text) ?? 0) + events);
    if (!isNumber) return;
    const value = Number(text);
    this.#countByNumber.set(value, (this.#countByNumber.get(value) ?? 0) + events);
  }

  finish(aggregates: readonly AggregateName[], spanMs: number): Record<string, OutputValue> {
    return Object.assign({}, ...aggregates.map((name) => this.#outputs(name, spanMs)));
  }

  #outputs(name: AggregateName, spanMs: number): Record<string, OutputValue> {
    switch (name) {
      case "count":
        return { count: this.#events };
      case "rate":
        return { rate: (this.#events * 1_000) / spanMs };
      case "sum":
        return { sum: Number.isFinite(this.#sum) ? this.#sum : null };
      case "min":
        return { min: this.#numbers === 0 ? null : this.#min + 0 };
      case "max":
        return { max: this.#numbers === 0 ? null : this.#max + 0 };
      case "mean":
        return { mean: this.#numbers === 0 ? null : this.#sum / this.#numbers };
      case "distinct":
        return { distinct: this.#countByKey.size };
      case "quantiles":
        return this.#quantiles();
      case "topK":
        return { topK: this.#topK() };
    }
  }

  /** Nearest rank: the smallest value whose cumulative share reaches the quantile. */
  #quantiles(): Record<string, OutputValue> {
    const ascending = [...this.#countByNumber].sort(([a], [b]) => a - b);
    const total = ascending.reduce((sum, [, count]) => sum + count, 0);
    const valueAt = (percent: number): number | null => {
      const rank = Math.max(1, Math.ceil((percent * total) / 100));
      let seen = 0;
      for (const [value, count] of ascending) {
        seen += count;
        if (seen >= rank) return value;
      }
      return null;
    };
    return Object.fromEntries(Object.entries(QUANTILES).map(([name, percent]) => [name, valueAt(percent)]));
  }

  /** As live values have it: the 20 most frequent, keys cut at 256 bytes. */
  #topK(): { key: string; count: number; error: number }[] {
    const countByKey = new Map<string, number>();
    for (const [text, count] of this.#countByKey) {
      const key = cutText(text, limits.dimensionValueBytesMax);
      countByKey.set(key, (countByKey.get(key) ?? 0) + count);
    }
    return [...countByKey]
      .sort(([keyA, countA], [keyB, countB]) => countB - countA || (keyA < keyB ? -1 : 1))
      .slice(0, TOP_K_ENTRIES)
      .map(([key, count]) => ({ key, count, error: 0 }));
  }
}
