/** A plan: binds to each frame anew, finishes rows under their names, and turns values into dimensions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { OTHER_SERIES } from "../../protocol/metric-definition.ts";
import { dimensionValue, MetricPlan, MetricPlans } from "../../actors/metric-plan.ts";
import { BASE_MS, columnsOf, countByCountry, event, onlyBuys } from "./event-fixture.ts";

test("a plan that was bound to one frame reads the next one", () => {
  const plan = new MetricPlan(onlyBuys);
  const first = plan.bind(columnsOf([event(BASE_MS, { eventType: "buy", value: 1 })]));
  const second = plan.bind(columnsOf([event(BASE_MS, { eventType: "view", value: 2 })]));
  assert.deepEqual([first.matches?.(0), first.value?.value(0)], [true, 1]);
  assert.deepEqual([second.matches?.(0), second.value?.value(0)], [false, 2]);
});

test("a definition has one plan, whoever asks", () => {
  const plans = new MetricPlans();
  assert.equal(plans.of(countByCountry), plans.of({ ...countByCountry }));
  assert.notEqual(plans.of(countByCountry), plans.of({ ...countByCountry, seriesMax: 1 }));
});

test("a row has every dimension and every output by its name", () => {
  const plan = new MetricPlan(countByCountry);
  const states = plan.emptyStates();
  plan.add(states, undefined);
  assert.deepEqual(plan.row(["DE"], states, 1_000), { country: "DE", count: 1 });
  assert.deepEqual(plan.keyRow([]), { country: null });
});

test("values of dimensions: text as it is, numbers and booleans as text, nothing as null, what is too long as __other__", () => {
  assert.deepEqual(["", "x", 1.5, true, null, undefined].map(dimensionValue), ["", "x", "1.5", "true", null, null]);
  assert.equal(dimensionValue("x".repeat(limits.dimensionValueBytesMax + 1)), OTHER_SERIES);
});
