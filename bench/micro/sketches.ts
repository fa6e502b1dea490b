/** Aggregates: adding a value, and merging two states of a thousand values. Results are held to the bound that each one states. */
import type { AggregateName } from "../../protocol/metric-definition.ts";
import type { Aggregate } from "../../actors/aggregates/aggregate.ts";
import { aggregates } from "../../actors/aggregates/registry.ts";
import { randomFrom, zipf } from "../workload.ts";
import { check, timed, type MicroInput, type MicroWork } from "./part.ts";

const VALUES_PER_STATE = 1_000;
/** Standard errors of an estimate: so far off is one in ten thousand. */
const ERRORS_MAX = 4;

export function sketchWorks({ frames, workload }: MicroInput): readonly MicroWork[] {
  const states = Math.max(2, Math.floor((frames * workload.batch) / VALUES_PER_STATE));
  const random = randomFrom(workload.seed);
  const nextUser = zipf(workload.users, random);
  const numbers = Array.from({ length: states * VALUES_PER_STATE }, () => Math.floor(random() * 10_000) / 100);
  const users = numbers.map(() => `user-${nextUser()}`);
  const names: readonly AggregateName[] = ["count", "sum", "quantiles", "distinct", "topK"];
  return names.map((name) => {
    const values = name === "distinct" || name === "topK" ? users : numbers;
    return sketching(name, aggregates[name] as Aggregate<unknown>, values, states);
  });
}

function sketching(
  name: AggregateName,
  aggregate: Aggregate<unknown>,
  values: readonly (string | number)[],
  states: number,
): MicroWork {
  return {
    name: `aggregate: ${name}`,
    round() {
      const made: unknown[] = [];
      const nsPerEvent = timed(values.length, () => {
        for (let state = 0; state < states; state++) {
          const each = aggregate.empty();
          const end = (state + 1) * VALUES_PER_STATE;
          for (let at = state * VALUES_PER_STATE; at < end; at++) aggregate.add(each, values[at]);
          made.push(each);
        }
      });
      const whole = aggregate.empty();
      const nsPerMerge = timed(states, () => {
        for (const state of made) aggregate.merge(whole, state);
      });
      checkResult(name, aggregate.finish(whole, 60_000), values);
      return { nsPerEvent, nsPerMerge };
    },
  };
}

function checkResult(name: AggregateName, finished: ReturnType<Aggregate<unknown>["finish"]>, values: readonly unknown[]): void {
  const [first] = finished;
  const said = JSON.stringify(first);
  const total = values.length;
  const isNear = (value: unknown, truth: number, share: number): boolean =>
    typeof value === "number" && Math.abs(value - truth) <= share * Math.abs(truth);
  const { bound } = aggregates[name];
  switch (name) {
    case "count":
      return check(first === total, `count ${said} of ${total}`);
    case "sum": {
      const cents = values.reduce<number>((sum, value) => sum + Math.round(Number(value) * 100), 0);
      return check(isNear(first, cents / 100, 1e-12), `sum ${said} of ${cents / 100}`);
    }
    case "quantiles": {
      const sorted = Float64Array.from(values.map(Number)).sort();
      const median = sorted[Math.ceil(total / 2) - 1] ?? Number.NaN;
      return check(bound.kind === "relative" && isNear(first, median, bound.value * 1.001), `median ${said} of ${median}`);
    }
    case "distinct": {
      const truth = new Set(values).size;
      const share = bound.kind === "standardError" ? bound.value * ERRORS_MAX : 0;
      return check(isNear(first, truth, share), `${said} of ${truth} distinct`);
    }
    case "topK": {
      const mostFrequent = "user-0";
      const truth = values.filter((value) => value === mostFrequent).length;
      const [top] = Array.isArray(first) ? first : [];
      const isRight = top?.key === mostFrequent && top.count >= truth && top.count - top.error <= truth;
      return check(isRight, `top ${JSON.stringify(top)}, ${mostFrequent} came ${truth} times`);
    }
    default:
      return check(false, `nothing says what ${name} is`);
  }
}
