/** Every aggregate by its name: one line each. Metric plans look them up here. */
import type { AggregateName } from "../../protocol/metric-definition.ts";
import type { Aggregate } from "./aggregate.ts";
import { count } from "./count.ts";
import { distinct } from "./distinct.ts";
import { mean } from "./mean.ts";
import { max, min } from "./min-max.ts";
import { quantiles } from "./quantiles.ts";
import { rate } from "./rate.ts";
import { sum } from "./sum.ts";
import { topK } from "./top-k.ts";

export const aggregates = {
  count,
  rate,
  sum,
  min,
  max,
  mean,
  distinct,
  quantiles,
  topK,
} as const satisfies Readonly<Record<AggregateName, Aggregate<unknown>>>;

/** The names of all values that these aggregates give, in their order. */
export function outputsOf(names: readonly AggregateName[]): readonly string[] {
  return names.flatMap((name) => aggregates[name].outputs);
}
