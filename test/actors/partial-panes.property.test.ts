/**
 * Stage 1 of a metric. Below `seriesMax` no order of arrival uses `__other__`; above it, further combinations go there and are
 * counted, and no event is lost: the sums over all series stay those of a recount. Series whose panes have all been dropped
 * no longer count against the limit.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { limits } from "../../protocol/limits.ts";
import { metricDefinition, OTHER_SERIES } from "../../protocol/metric-definition.ts";
import { DAY_MS, HOUR_MS } from "../../protocol/windows.ts";
import { MetricPlan } from "../../actors/metric-plan.ts";
import { PaneLadder } from "../../actors/pane.ts";
import { AcceptedRows } from "../../actors/accepted-rows.ts";
import { PartialPanes } from "../../actors/partial-panes.ts";
import { readPartials, type Partial } from "./plain-partials.ts";
import { BASE_MS, columnsOf, event, rules, TENANT, type TestEvent } from "./event-fixture.ts";

const SERIES_MAX = 4;
const limited = metricDefinition.parse({
  name: "m",
  aggregates: ["count"],
  dimensions: ["eventType", "country"],
  seriesMax: SERIES_MAX,
});

class Fixture {
  readonly plan: MetricPlan;
  readonly panes: PartialPanes;
  readonly ladder = new PaneLadder(rules.paneRetention);
  readonly #names = new Map<number, string>();
  #watermarkMs = -Infinity;

  constructor(definition = limited) {
    this.plan = new MetricPlan(definition);
    this.panes = new PartialPanes(TENANT, this.plan, rules.dedupKey);
  }

  add(events: readonly TestEvent[]): void {
    const columns = columnsOf(events);
    const accepted = new AcceptedRows();
    events.forEach(({ timeMs }, row) => {
      this.#watermarkMs = Math.max(this.#watermarkMs, timeMs);
      this.ladder.advance(this.#watermarkMs);
      accepted.push(columns, row, this.ladder.keyAt(timeMs));
    });
    this.panes.addAll(accepted);
    this.panes.age(this.ladder);
  }

  collect(): Partial[] {
    const writer = new ByteWriter();
    const count = this.panes.collect(writer);
    const reader = new ByteReader(writer.finish());
    const partials = readPartials(reader, this.plan, this.#names);
    assert.equal(partials.length, count);
    return partials;
  }
}

function countOf(plan: MetricPlan, partials: readonly Partial[]): number {
  const sum = plan.emptyStates();
  for (const { states } of partials) plan.merge(sum, states);
  return Number(plan.finish(sum, 1)[0]?.[0]);
}

function dimensionsOf({ seriesId }: Partial): unknown[] {
  return JSON.parse(seriesId) as unknown[];
}

const dimensions = fc.record({
  eventType: fc.constantFrom("a", "b", "c"),
  country: fc.constantFrom("DE", "FR", null, undefined),
});

test("past the limit combinations go to __other__, counted, and the total stays", () => {
  fc.assert(
    fc.property(fc.array(dimensions, { minLength: 1, maxLength: 40 }), (all) => {
      const fixture = new Fixture();
      fixture.add(all.map((each, index) => event(BASE_MS + index, each)));
      const known = new Set<string>();
      let overflowed = 0;
      for (const { eventType, country } of all) {
        const id = JSON.stringify([eventType, country ?? null]);
        if (known.has(id) || known.size < SERIES_MAX) known.add(id);
        else overflowed++;
      }
      const partials = fixture.collect();
      const other = partials.filter((each) => dimensionsOf(each).every((value) => value === OTHER_SERIES));
      assert.equal(fixture.panes.overflowedEvents, overflowed);
      assert.equal(countOf(fixture.plan, other), overflowed);
      assert.equal(countOf(fixture.plan, partials), all.length);
      assert.equal(fixture.panes.seriesCount, known.size + (overflowed > 0 ? 1 : 0));
    }),
  );
});

test("a series whose panes are all past retention makes room for another", () => {
  const fixture = new Fixture();
  for (let index = 0; index < SERIES_MAX; index++) fixture.add([event(BASE_MS, { eventType: `old${index}` })]);
  fixture.add([event(BASE_MS + 41 * DAY_MS, { eventType: "new1" })]);
  assert.equal(fixture.panes.overflowedEvents, 1, "the old ones are there until the frame is settled");
  fixture.add([event(BASE_MS + 41 * DAY_MS + 1, { eventType: "new2" })]);
  assert.equal(fixture.panes.overflowedEvents, 1);
  assert.equal(fixture.panes.seriesCount, 2);
  assert.equal(fixture.panes.paneCount, 2);
  fixture.add([event(BASE_MS + 41 * DAY_MS + 2, { eventType: "old0" })]);
  assert.equal(
    countOf(
      fixture.plan,
      fixture.collect().filter((each) => dimensionsOf(each)[0] === "old0"),
    ),
    1,
  );
});

test("a text that is too long for a dimension goes to __other__ and is counted under it", () => {
  const fixture = new Fixture();
  fixture.add([event(BASE_MS, { eventType: "x".repeat(limits.dimensionValueBytesMax + 1), country: "DE" })]);
  const [partial] = fixture.collect();
  assert.deepEqual(partial && dimensionsOf(partial), [OTHER_SERIES, "DE"]);
});

test("collect hands out each changed pane once, whole, and nothing when nothing changed", () => {
  const fixture = new Fixture();
  fixture.add([event(BASE_MS, { eventType: "a" }), event(BASE_MS + 1, { eventType: "a" })]);
  assert.equal(countOf(fixture.plan, fixture.collect()), 2);
  assert.deepEqual(fixture.collect(), []);
  fixture.add([event(BASE_MS + 2, { eventType: "a" }), event(BASE_MS + 2, { eventType: "b" })]);
  const again = fixture.collect();
  assert.equal(again.length, 2);
  assert.equal(countOf(fixture.plan, again), 4, "a partial replaces: it holds all that its pane ever counted");
  fixture.panes.recollect();
  fixture.panes.recollect();
  assert.equal(countOf(fixture.plan, fixture.collect()), 4);
});

test("an aged pane is handed out under its new size and stands for its parts", () => {
  const fixture = new Fixture();
  fixture.add([event(BASE_MS), event(BASE_MS + 30_000)]);
  assert.deepEqual(
    fixture.collect().map(({ sizeMs }) => sizeMs),
    [10_000, 10_000],
  );
  fixture.add([event(BASE_MS + 2 * HOUR_MS)]);
  const aged = fixture.collect().filter(({ startMs }) => startMs === BASE_MS);
  assert.deepEqual(
    aged.map(({ sizeMs }) => sizeMs),
    [60_000],
  );
  assert.equal(countOf(fixture.plan, aged), 2);
});
