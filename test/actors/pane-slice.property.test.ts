/** Law: a slice finds the places of series as a Map would, whatever their numbers are, also where they meet in one slot. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { metricDefinition } from "../../protocol/metric-definition.ts";
import { MetricPlan } from "../../actors/metric-plan.ts";
import { PaneSlice } from "../../actors/pane-slice.ts";
import { PaneTable } from "../../actors/pane-table.ts";
import { SeriesTable } from "../../actors/series-table.ts";
import { rules } from "./event-fixture.ts";

const plan = new MetricPlan(metricDefinition.parse({ name: "m", aggregates: ["count"] }));

test("each series has a place of its own, in the order in which they came", () => {
  const anySeries = fc.oneof(fc.nat(50), fc.nat(1_000_000));
  fc.assert(
    fc.property(fc.array(anySeries, { maxLength: 400, size: "max" }), (all) => {
      const slice = new PaneSlice(0, new PaneTable(plan, new SeriesTable(10, 0, rules.dedupKey)));
      const places = new Map<number, number>();
      for (const series of all) {
        if (!places.has(series)) places.set(series, places.size);
        assert.equal(slice.placeOf(series), places.get(series));
      }
      assert.equal(slice.count, places.size);
      for (const [series, place] of places) {
        assert.equal(slice.placeOf(series), place);
        assert.equal(slice.seriesAt(place), series);
      }
    }),
  );
});
