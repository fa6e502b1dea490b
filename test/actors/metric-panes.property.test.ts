/**
 * Law: the flat panes of stage 2 (`metric-panes.ts`, `metric-series.ts`, `merged-panes.ts`) are those of a tree of objects for each
 * series (`plain-metric-panes.ts`): whatever partitions hand on, in whatever order and how often, however it ages and goes, and
 * whichever values were kept merged before, each question has the same answer, byte for byte.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { metricDefinition } from "../../protocol/metric-definition.ts";
import { HOUR_MS, MINUTE_MS, type PaneSizeMs, type TimeSpan } from "../../protocol/windows.ts";
import { MetricPanes } from "../../actors/metric-panes.ts";
import { MetricPlan, type PaneStates } from "../../actors/metric-plan.ts";
import { MetricSeries, UNKNOWN } from "../../actors/metric-series.ts";
import { FINE_MS, floorTo, paneKey } from "../../actors/pane.ts";
import { BASE_MS } from "./event-fixture.ts";
import { PlainSeries } from "./plain-metric-panes.ts";

const plan = new MetricPlan(
  metricDefinition.parse({
    name: "m",
    value: "properties.value",
    aggregates: ["count", "sum", "mean", "min", "max", "quantiles", "distinct"],
    dimensions: ["country"],
  }),
);
const PARTITIONS = 3;
const SERIES = 12;
/** Half an hour before a whole hour. */
const FROM_MS = BASE_MS - (BASE_MS % HOUR_MS) + HOUR_MS / 2;

type Found = Record<string, string>;

class Pair {
  readonly #series = new MetricSeries();
  readonly #flat = new MetricPanes(plan, this.#series);
  readonly #plain = new Map<string, PlainSeries>();
  /** Of each partition, its numbers of series. */
  readonly #numbers = Array.from({ length: PARTITIONS }, () => new Map<string, number>());
  #plainCount = 0;

  handOn(partition: number, startMs: number, sizeMs: PaneSizeMs, ids: readonly string[], values: readonly number[]): void {
    // What a partition merges into a longer pane is all that it has within.
    const within = [...this.#plain].filter(([, series]) => series.hasBelow(partition, startMs, sizeMs)).map(([id]) => id);
    this.#flat.begin(partition, paneKey(startMs, sizeMs));
    for (const id of new Set([...ids, ...within])) {
      const states = plan.emptyStates();
      for (const value of values) plan.add(states, value);
      const number = this.#numberOf(partition, id);
      const place = this.#flat.put(number);
      const reader = new ByteReader(plan.encode(states));
      for (const column of this.#flat.columns) column.read(place, reader);
      let plain = this.#plain.get(id);
      if (plain === undefined) this.#plain.set(id, (plain = new PlainSeries()));
      this.#plainCount += plain.put(partition, startMs, sizeMs, states);
    }
  }

  drop(keepFromMs: number): void {
    this.#flat.drop(keepFromMs);
    for (const series of this.#plain.values()) this.#plainCount -= series.drop(keepFromMs);
  }

  /** The partition forgets its numbers and gives out others. */
  restart(partition: number): void {
    this.#numbers[partition]?.clear();
  }

  forgetMerged(): void {
    this.#flat.forgetMerged();
  }

  ask(span: TimeSpan, sizeMaxMs: number): void {
    assert.equal(this.#flat.count, this.#plainCount);
    assert.equal(this.#series.count, [...this.#plain.values()].filter((series) => this.#plainPanes(series).length > 0).length);
    assert.deepEqual(this.#query(span, sizeMaxMs), this.#plainQuery(span, sizeMaxMs));
  }

  /** What a channel asks for: the span as one; and what rows are made of. */
  askOfEach(span: TimeSpan): void {
    for (const [id, plain] of this.#plain) {
      const number = this.#find(id);
      const states = number === UNKNOWN ? undefined : this.#flat.statesIn(number, span.fromMs, span.toMs);
      const expected = plan.emptyStates();
      let panes = 0;
      plain.visit(span, HOUR_MS, plan, (_startMs, pane) => {
        panes++;
        plan.merge(expected, pane);
      });
      assert.equal(hexOf(states), panes === 0 ? undefined : hexOf(expected));
      for (const sizeMs of [MINUTE_MS, HOUR_MS] as const) {
        const startMs = floorTo(span.fromMs, sizeMs);
        const row = new ByteWriter();
        const isThere = number !== UNKNOWN && this.#flat.writeAt(number, startMs, sizeMs, row);
        const expectedRow = hexOf(plain.at(plan, startMs, sizeMs));
        assert.equal(isThere ? Buffer.from(row.finish()).toString("hex") : undefined, expectedRow);
      }
    }
  }

  #numberOf(partition: number, id: string): number {
    const numbers = this.#numbers[partition] ?? new Map<string, number>();
    const known = numbers.get(id);
    if (known !== undefined) return this.#series.known(partition, known);
    numbers.set(id, numbers.size);
    return this.#series.introduce(partition, numbers.size - 1, id);
  }

  #find(id: string): number {
    for (let number = 0; number < this.#series.end; number++) if (this.#series.idOf(number) === id) return number;
    return UNKNOWN;
  }

  #query(span: TimeSpan, sizeMaxMs: number): Found {
    const found = new Map<string, PaneStates>();
    this.#flat.visit(span.fromMs, span.toMs, sizeMaxMs, (startMs, series, columns, place) => {
      mergeAt(
        found,
        `${startMs} ${this.#series.idOf(series)}`,
        columns.map((column) => column.stateAt(place)),
      );
    });
    return hexes(found);
  }

  #plainQuery(span: TimeSpan, sizeMaxMs: number): Found {
    const found = new Map<string, PaneStates>();
    for (const [id, series] of this.#plain)
      series.visit(span, sizeMaxMs, plan, (startMs, states) => mergeAt(found, `${startMs} ${id}`, states));
    return hexes(found);
  }

  #plainPanes(series: PlainSeries): unknown[] {
    const panes: unknown[] = [];
    series.visit({ fromMs: 0, toMs: 1e14 }, FINE_MS, plan, (startMs) => panes.push(startMs));
    return panes;
  }
}

function mergeAt(found: Map<string, PaneStates>, name: string, states: PaneStates): void {
  const into = found.get(name) ?? plan.emptyStates();
  found.set(name, into);
  plan.merge(into, states);
}

function hexOf(states: PaneStates | undefined): string | undefined {
  return states === undefined ? undefined : Buffer.from(plan.encode(states)).toString("hex");
}

function hexes(found: Map<string, PaneStates>): Found {
  return Object.fromEntries([...found].map(([name, states]) => [name, hexOf(states) ?? ""]));
}

/** 10 s steps within two hours and a half, mostly close together. */
const anyStart = fc.oneof(fc.nat(20), fc.nat(900)).map((steps) => FROM_MS + steps * FINE_MS);
const anySize = fc.constantFrom<PaneSizeMs>(FINE_MS, FINE_MS, FINE_MS, MINUTE_MS, HOUR_MS);
const anySpan = fc
  .tuple(anyStart, fc.oneof(fc.nat(12), fc.nat(700)))
  .map(([fromMs, steps]) => ({ fromMs, toMs: fromMs + (steps + 1) * FINE_MS }));
const anyIds = fc
  .uniqueArray(fc.nat(SERIES - 1), { minLength: 1, maxLength: SERIES })
  .map((numbers) => numbers.map((number) => JSON.stringify([`c${number}`])));
const anyValues = fc.array(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.double({ noNaN: true })), { minLength: 1, maxLength: 3 });
const anyPartition = fc.nat(PARTITIONS - 1);

const step: fc.Arbitrary<(pair: Pair) => void> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc
      .tuple(anyPartition, anyStart, anySize, anyIds, anyValues)
      .map(([partition, timeMs, sizeMs, ids, values]) => (pair: Pair) => {
        pair.handOn(partition, floorTo(timeMs, sizeMs), sizeMs, ids, values);
      }),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(anySpan, fc.constantFrom(FINE_MS, MINUTE_MS, HOUR_MS)).map(
      ([span, sizeMs]) =>
        (pair: Pair) =>
          pair.ask(span, sizeMs),
    ),
  },
  { weight: 4, arbitrary: anySpan.map((span) => (pair: Pair) => pair.askOfEach(span)) },
  { weight: 1, arbitrary: anyStart.map((timeMs) => (pair: Pair) => pair.drop(floorTo(timeMs, HOUR_MS))) },
  { weight: 1, arbitrary: anyPartition.map((partition) => (pair: Pair) => pair.restart(partition)) },
  { weight: 1, arbitrary: fc.constant((pair: Pair) => pair.forgetMerged()) },
);

test("flat panes of stage 2 are those of a tree of objects", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const pair = new Pair();
      for (const each of steps) each(pair);
      const all = { fromMs: FROM_MS - HOUR_MS, toMs: FROM_MS + 4 * HOUR_MS };
      pair.ask(all, FINE_MS);
      pair.askOfEach(all);
    }),
    { numRuns: 400 },
  );
});
