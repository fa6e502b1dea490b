/**
 * Law: rows find the series of their dimensions' values, whatever rows came before and whichever series have gone meanwhile, also
 * by the numbers of their texts (`recent-series.ts`) or, of more than a few series, those of their values (`value-numbers.ts`),
 * which series that are gone must not answer to.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { metricDefinition, OTHER_SERIES } from "../../protocol/metric-definition.ts";
import { beginTextGeneration } from "../../protocol/text-numbers.ts";
import { AcceptedRows } from "../../actors/accepted-rows.ts";
import { gather } from "../../actors/gathered-rows.ts";
import { dimensionValue, MetricPlan } from "../../actors/metric-plan.ts";
import { SeriesTable } from "../../actors/series-table.ts";
import { BASE_MS, columnsOf, event, rules, type TestEvent } from "./event-fixture.ts";

const SERIES_MAX = 40;
const plans = [["country"], ["country", "eventType"], ["country", "eventType", { name: "again", field: "country" }]].map(
  (dimensions) => {
    return new MetricPlan(metricDefinition.parse({ name: "m", aggregates: ["count"], dimensions, seriesMax: SERIES_MAX }));
  },
);
const country = fc.oneof(
  { weight: 6, arbitrary: fc.nat(9).map((number) => `c${number}`) },
  { weight: 1, arbitrary: fc.constantFrom("", null, undefined, OTHER_SERIES, "\u00e9", "\ud83d\ude00", "\ud83d", "\ufffd") },
);
const anyEvent = fc
  .record({ country, eventType: fc.nat(5).map((number) => `t${number}`) })
  .map((rest): TestEvent => event(BASE_MS, rest));
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ frames: fc.array(fc.array(anyEvent, { minLength: 1, maxLength: 12 }), { maxLength: 4 }) }),
  },
  { weight: 3, arbitrary: fc.record({ release: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.constant("generation" as const) },
);

class Checked {
  readonly #plan: MetricPlan;
  readonly #table: SeriesTable;
  /** By series that has its one pane: its id. */
  readonly #ids = new Map<number, string>();
  #overflowed = 0;

  constructor(plan: MetricPlan, few: number) {
    this.#plan = plan;
    this.#table = new SeriesTable(SERIES_MAX, plan.dimensionCount, rules.dedupKey, few);
  }

  take(frames: readonly (readonly TestEvent[])[]): void {
    const accepted = new AcceptedRows();
    for (const events of frames) {
      const columns = columnsOf(events);
      events.forEach((_, row) => accepted.push(columns, row, 1));
    }
    const found = new Int32Array(accepted.count);
    this.#table.ofRows(gather(this.#plan, accepted), accepted.count, found);
    frames.flat().forEach((each, index) => this.#check(each, found[index] ?? 0));
    assert.equal(this.#table.overflowedEvents, this.#overflowed);
  }

  release(which: number): void {
    const series = [...this.#ids.keys()].at(which % Math.max(1, this.#ids.size));
    if (series === undefined) return;
    this.#table.removePane(series);
    this.#ids.delete(series);
  }

  #check({ country: value, eventType }: TestEvent, series: number): void {
    const dimensions = [dimensionValue(value), eventType, dimensionValue(value)].slice(0, this.#plan.dimensionCount);
    const id = JSON.stringify(dimensions);
    const alive = new Set(this.#ids.values());
    const fits = alive.has(id) || alive.size < SERIES_MAX;
    if (!fits) this.#overflowed++;
    assert.equal(this.#table.idOf(series), fits ? id : JSON.stringify(dimensions.map(() => OTHER_SERIES)));
    if (this.#ids.has(series)) return;
    this.#table.addPane(series);
    this.#ids.set(series, this.#table.idOf(series));
  }
}

test("rows find their series, after any that have gone", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.constantFrom(...plans),
      fc.constantFrom(0, 8, SERIES_MAX),
      (steps, plan, few) => {
        const checked = new Checked(plan, few);
        for (const each of steps) {
          if (each === "generation") beginTextGeneration();
          else if ("frames" in each) checked.take(each.frames);
          else checked.release(each.release);
        }
      },
    ),
    { numRuns: 200 },
  );
});
