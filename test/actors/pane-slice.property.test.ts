/**
 * Law: a slice finds the places of series as a Map would, whatever their numbers are: where they meet in one slot, where they lie
 * so close together that each is its own slot, and when that ends.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { metricDefinition } from "../../protocol/metric-definition.ts";
import { MetricPlan } from "../../actors/metric-plan.ts";
import { PaneSlice } from "../../actors/pane-slice.ts";
import { NOWHERE, PaneTable } from "../../actors/pane-table.ts";
import { SeriesTable } from "../../actors/series-table.ts";
import { rules } from "./event-fixture.ts";

const plan = new MetricPlan(metricDefinition.parse({ name: "m", aggregates: ["count"] }));

test("each series has a place of its own, in the order in which they came", () => {
  const few = { maxLength: 400, size: "max" } as const;
  const close = fc.array(fc.nat(200), few);
  const far = fc.array(fc.oneof(fc.nat(50), fc.nat(1_000_000)), few);
  fc.assert(
    fc.property(
      fc.oneof(
        close,
        far,
        fc.tuple(close, far).map((both) => both.flat()),
      ),
      (all) => {
        const slice = new PaneSlice(0, new PaneTable(plan, new SeriesTable(10, 0, rules.dedupKey)));
        const places = new Map<number, number>();
        for (const series of all) {
          if (!places.has(series)) places.set(series, places.size);
          assert.equal(slice.placeOf(series), places.get(series));
          assert.equal(slice.find(series + 1), places.get(series + 1) ?? NOWHERE);
        }
        const found = new Int32Array(all.length);
        const numbers = Int32Array.from(all);
        const indexes = Int32Array.from(all, (_, index) => all.length - 1 - index);
        slice.placesOf(numbers, indexes, 0, all.length, found);
        assert.deepEqual(
          [...found].toReversed(),
          all.map((series) => places.get(series)),
        );
        assert.equal(slice.count, places.size);
        for (const [series, place] of places) {
          assert.equal(slice.placeOf(series), place);
          assert.equal(slice.seriesAt(place), series);
        }
      },
    ),
  );
});
