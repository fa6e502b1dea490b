/**
 * Law: flat panes (`partial-panes.ts`, `pane-slice.ts`, `series-table.ts`) are those of a plain model, one state object for each
 * (pane, series) in a Map, event by event: after any turns, ageing, snapshots and restores, what is handed to stage 2, what the
 * store holds, the panes and the series are the same, byte for byte.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { metricDefinition, OTHER_SERIES, type DimensionValue } from "../../protocol/metric-definition.ts";
import { HOUR_MS, MINUTE_MS, type PaneSizeMs } from "../../protocol/windows.ts";
import { AcceptedRows } from "../../actors/accepted-rows.ts";
import type { StateWrite } from "../../actors/effects.ts";
import { dimensionValue, MetricPlan, type PaneStates } from "../../actors/metric-plan.ts";
import { floorTo, paneKey, PaneLadder, paneSizeOf, paneStartOf } from "../../actors/pane.ts";
import { PartialPanes } from "../../actors/partial-panes.ts";
import { readPartials } from "./plain-partials.ts";
import { BASE_MS, columnsOf, event, rules, TENANT, type TestEvent } from "./event-fixture.ts";

const definitions = [
  { aggregates: ["count"], dimensions: ["country"], seriesMax: 6 },
  { aggregates: ["count", "sum", "min", "max", "mean", "rate"], value: "properties.value", dimensions: ["country", "userId"] },
  { aggregates: ["count", "quantiles", "mean"], value: "properties.value", dimensions: [] },
  { aggregates: ["distinct", "topK"], value: "userId", dimensions: ["country"], seriesMax: 30 },
  {
    aggregates: ["count", "sum"],
    value: "properties.value",
    dimensions: ["country"],
    seriesMax: 4,
    filter: { all: [{ field: "userId", op: "ne", value: "u0" }] },
  },
].map((rest) => metricDefinition.parse({ name: "m", ...rest }));

type Bytes = Record<string, string>;

/** The plain version. */
class Model {
  readonly #plan: MetricPlan;
  /** By pane key and series id. */
  readonly panes = new Map<string, { readonly key: number; readonly id: string; states: PaneStates }>();
  changed = new Set<string>();
  overflowed = 0;
  aged = 0;

  constructor(plan: MetricPlan) {
    this.#plan = plan;
  }

  get series(): Set<string> {
    return new Set([...this.panes.values()].map(({ id }) => id));
  }

  add(events: readonly TestEvent[], keys: readonly number[]): void {
    const bound = this.#plan.bind(columnsOf(events));
    keys.forEach((key, row) => {
      if (bound.matches?.(row) === false) return;
      const dimensions = bound.dimensions.map((column) => dimensionValue(column.value(row)));
      const { states } = this.#at(key, this.#idOf(dimensions));
      this.#plan.add(states, bound.value?.value(row));
    });
  }

  age(ladder: PaneLadder): void {
    this.#mergeUp(10_000, MINUTE_MS, ladder.fineFromMs);
    this.#mergeUp(MINUTE_MS, HOUR_MS, ladder.minuteFromMs);
    for (const [name, { key, states }] of this.panes) {
      if (paneSizeOf(key) !== HOUR_MS || paneStartOf(key) + HOUR_MS > ladder.keepFromMs) continue;
      this.aged += this.#plan.eventsIn(states);
      this.#drop(name);
    }
  }

  bytes(names: Iterable<string> = this.panes.keys()): Bytes {
    return Object.fromEntries(
      [...names].map((name) => [name, hex(this.#plan.encode(this.panes.get(name)?.states ?? this.#plan.emptyStates()))]),
    );
  }

  #idOf(dimensions: readonly DimensionValue[]): string {
    const { series } = this;
    const id = JSON.stringify(dimensions);
    if (series.has(id) || series.size < this.#plan.definition.seriesMax) return id;
    this.overflowed++;
    return JSON.stringify(dimensions.map(() => OTHER_SERIES));
  }

  #at(key: number, id: string): { states: PaneStates } {
    const name = `${key} ${id}`;
    let pane = this.panes.get(name);
    if (pane === undefined) this.panes.set(name, (pane = { key, id, states: this.#plan.emptyStates() }));
    this.changed.add(name);
    return pane;
  }

  #mergeUp(partMs: PaneSizeMs, wholeMs: PaneSizeMs, fromMs: number): void {
    const parts = [...this.panes].filter(([, { key }]) => {
      return paneSizeOf(key) === partMs && floorTo(paneStartOf(key), wholeMs) < fromMs;
    });
    for (const [name, { key, id, states }] of parts.toSorted(([, a], [, b]) => a.key - b.key)) {
      this.#plan.merge(this.#at(paneKey(floorTo(paneStartOf(key), wholeMs), wholeMs), id).states, states);
      this.#drop(name);
    }
  }

  #drop(name: string): void {
    this.panes.delete(name);
    this.changed.delete(name);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

class Pair {
  readonly #plan: MetricPlan;
  readonly #ladder = new PaneLadder(rules.paneRetention);
  readonly #model: Model;
  #panes: PartialPanes;
  readonly #store = new Map<string, { readonly key: StateWrite["key"]; readonly value: Uint8Array }>();
  /** What stage 2 was told of the numbers of series. */
  #names = new Map<number, string>();
  #watermarkMs = -Infinity;

  constructor(plan: MetricPlan) {
    this.#plan = plan;
    this.#model = new Model(plan);
    this.#panes = new PartialPanes(TENANT, plan, rules.dedupKey);
  }

  turn(events: readonly TestEvent[]): void {
    const columns = columnsOf(events);
    const accepted = new AcceptedRows();
    const keys = events.map(({ timeMs }, row) => {
      this.#watermarkMs = Math.max(this.#watermarkMs, timeMs);
      this.#ladder.advance(this.#watermarkMs);
      const key = this.#ladder.keyAt(timeMs);
      accepted.push(columns, row, key);
      return key;
    });
    this.#panes.addAll(accepted);
    this.#model.add(events, keys);
    this.#panes.age(this.#ladder);
    this.#model.age(this.#ladder);
  }

  collect(): void {
    const writer = new ByteWriter();
    const count = this.#panes.collect(writer);
    const reader = new ByteReader(writer.finish());
    const partials = readPartials(reader, this.#plan, this.#names).map(({ seriesId, startMs, sizeMs, states }) => {
      return [`${paneKey(startMs, sizeMs)} ${seriesId}`, hex(this.#plan.encode(states))] as const;
    });
    assert.equal(partials.length, count);
    assert.equal(new Set(partials.map(([name]) => name)).size, count, "each once");
    assert.deepEqual(Object.fromEntries(partials), this.#model.bytes(this.#model.changed));
    this.#model.changed.clear();
  }

  snapshot(): void {
    const writes: StateWrite[] = [];
    this.#panes.snapshot(writes);
    for (const { key, value } of writes) {
      const name = `${key[3]} ${key[2]}`;
      if (value === undefined) this.#store.delete(name);
      else this.#store.set(name, { key, value });
    }
    const stored = [...this.#store].map(([name, { value }]) => [name, hex(value)] as const);
    assert.deepEqual(Object.fromEntries(stored), this.#model.bytes());
  }

  restart(): void {
    this.snapshot();
    const { overflowedEvents, agedEvents } = this.#panes;
    this.#panes = new PartialPanes(TENANT, this.#plan, rules.dedupKey);
    this.#panes.agedEvents = agedEvents;
    this.#model.overflowed -= overflowedEvents;
    for (const { key, value } of this.#store.values()) this.#panes.restore({ key, value });
    this.recollect();
  }

  recollect(): void {
    this.#names = new Map();
    this.#panes.recollect();
    this.#model.changed = new Set(this.#model.panes.keys());
  }

  check(): void {
    assert.equal(this.#panes.paneCount, this.#model.panes.size);
    assert.equal(this.#panes.seriesCount, this.#model.series.size);
    assert.equal(this.#panes.overflowedEvents, this.#model.overflowed);
    assert.equal(this.#panes.agedEvents, this.#model.aged);
  }

  erase(): void {
    const writes: StateWrite[] = [];
    this.#panes.erase(writes);
    assert.ok(writes.every(({ value }) => value === undefined));
    for (const { key } of writes) this.#store.delete(`${key[3]} ${key[2]}`);
    assert.equal(this.#store.size, 0);
  }
}

const anyEvent = fc
  .record({
    // Minutes to weeks behind what came before: all sizes of panes, in any order.
    back: fc.oneof(fc.nat(12), fc.nat(400), fc.nat(40 * 24 * 60)),
    country: fc.nat(40).map((number) => `c${number}`),
    user: fc.nat(2),
    value: fc.oneof(fc.integer({ min: -5, max: 5 }), fc.double({ noNaN: true }), fc.constant(undefined)),
  })
  .map(({ back, country, user, value }) => ({ back, rest: { country, userId: `u${user}`, value } }));

const step = fc.oneof(
  { weight: 5, arbitrary: fc.array(anyEvent, { minLength: 1, maxLength: 60 }) },
  { weight: 3, arbitrary: fc.constantFrom("collect" as const, "snapshot" as const) },
  { weight: 1, arbitrary: fc.constantFrom("restart" as const, "recollect" as const) },
);
/** How far the clock goes on with each turn, in minutes. */
const anyPace = fc.constantFrom(0, 1, 45, 20 * 60, 9 * 24 * 60);

for (const definition of definitions) {
  const { aggregates, dimensions } = definition;
  test(`${aggregates.join(", ")} by ${dimensions.length} dimensions, at most ${definition.seriesMax}: as the plain model`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), anyPace, (steps, pace) => {
        const pair = new Pair(new MetricPlan(definition));
        let nowMs = BASE_MS;
        for (const each of steps) {
          if (typeof each === "string") pair[each]();
          else {
            nowMs += pace * MINUTE_MS;
            pair.turn(each.map(({ back, rest }) => event(nowMs - back * 6_000, rest)));
          }
          pair.check();
        }
        pair.collect();
        pair.snapshot();
        pair.erase();
      }),
      { numRuns: 150 },
    );
  });
}
