/**
 * The parts of the state that `memory.ts` weighs, each filled through the actor that owns it: `fill` puts so many things into
 * it, `settle` takes a snapshot as the host would and lets the writes go, `check` fails unless all that was put in is there.
 */
import assert from "node:assert/strict";
import { metricDefinition, type MetricDefinition } from "../../protocol/metric-definition.ts";
import { TextColumn } from "../../protocol/text-column.ts";
import { ByteWriter } from "../../protocol/bytes.ts";
import { AcceptedRows } from "../../actors/accepted-rows.ts";
import { ChangeFeed } from "../../actors/change-feed.ts";
import { Deduplicator } from "../../actors/deduplicate.ts";
import type { StateReader } from "../../actors/effects.ts";
import { MetricActor } from "../../actors/metric.ts";
import { MetricPlan } from "../../actors/metric-plan.ts";
import { FINE_MS, paneKey } from "../../actors/pane.ts";
import { PartialPanes } from "../../actors/partial-panes.ts";
import { Sessions } from "../../actors/sessions.ts";
import { BASE_MS, columnsOf, event, rules, TENANT, type TestEvent } from "../../test/actors/event-fixture.ts";

export interface WeighedPart {
  fill(count: number): void;
  settle(): void;
  check(count: number): void;
}

const emptyStore: StateReader = { get: () => undefined, range: () => [] };
const CHUNK = 1_000;

const count: MetricDefinition = metricDefinition.parse({
  name: "weighed",
  aggregates: ["count"],
  dimensions: ["eventType", "country"],
  seriesMax: 1_000_000,
});
const numbers: MetricDefinition = metricDefinition.parse({
  name: "weighed",
  value: "properties.value",
  aggregates: ["count", "sum", "min", "max", "mean"],
  dimensions: ["eventType", "country"],
  seriesMax: 1_000_000,
});

/** `things` in chunks of events, each thing the next `each` events. */
function inChunks(things: number, make: (thing: number) => TestEvent, take: (events: TestEvent[]) => void): void {
  for (let from = 0; from < things; from += CHUNK) {
    take(Array.from({ length: Math.min(CHUNK, things - from) }, (_, at) => make(from + at)));
  }
}

/** UUID-shaped, all of them new text that nobody else holds. */
function uuid(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
}

function ids(): WeighedPart {
  const dedup = new Deduplicator(rules.dedupKey, rules.dedupHorizonMs);
  const oneRow = new Int32Array(1);
  const isKnown = (texts: TextColumn, row: number): boolean => {
    oneRow[0] = row;
    dedup.hash(texts, oneRow, 0, 1);
    return dedup.lookupHashed(0);
  };
  const column = (from: number, length: number): TextColumn => TextColumn.of(Array.from({ length }, (_, at) => uuid(from + at)));
  return {
    fill(things) {
      dedup.advance(BASE_MS);
      for (let from = 0; from < things; from += CHUNK) {
        const texts = column(from, Math.min(CHUNK, things - from));
        for (let row = 0; row < texts.starts.length; row++) {
          assert.equal(isKnown(texts, row), false);
          dedup.remember();
        }
      }
    },
    settle: () => dedup.snapshot("dedup", TENANT, []),
    check(things) {
      assert.equal(dedup.count, things);
      assert.ok(isKnown(column(things - 1, 1), 0));
    },
  };
}

/** Sessions of three events of two types, each with a user of its own, all still open. */
function sessions(eventsEach: number): WeighedPart {
  const all = new Sessions(TENANT, rules, emptyStore);
  return {
    fill(things) {
      for (let number = 0; number < things; number++) {
        for (let at = 0; at < eventsEach; at++) {
          const timeMs = BASE_MS + (number % 60_000) + at * 1_000;
          all.apply(uuid(number), timeMs, at % 2 === 0 ? "page_view" : "click", `user-${number}`);
        }
      }
    },
    settle: () => all.snapshot(new ChangeFeed("session-changes", 0), []),
    check(things) {
      assert.equal(all.residentCount, things);
      for (const number of [0, things - 1]) assert.equal(all.find(uuid(number))?.events, eventsEach);
    },
  };
}

function seriesEvent(series: number, timeMs: number): TestEvent {
  return event(timeMs, { eventType: `type-${series}`, country: "DE", value: series % 100 });
}

/** `panes` 10 s panes in each series. One thing: a series. */
function series(definition: MetricDefinition, panes: number): WeighedPart {
  const partials = new PartialPanes(TENANT, new MetricPlan(definition), rules.dedupKey);
  return {
    fill(things) {
      for (let pane = 0; pane < panes; pane++) {
        const timeMs = BASE_MS + pane * FINE_MS;
        inChunks(
          things,
          (number) => seriesEvent(number, timeMs),
          (events) => add(partials, events, paneKey(timeMs, FINE_MS)),
        );
      }
    },
    settle() {
      partials.collect(new ByteWriter());
      partials.snapshot([]);
    },
    check(things) {
      assert.deepEqual([partials.seriesCount, partials.paneCount], [things, things * panes]);
      partials.recollect();
      assert.equal(partials.collect(new ByteWriter()), things * panes);
    },
  };
}

function add(partials: PartialPanes, events: readonly TestEvent[], key: number): void {
  const columns = columnsOf(events);
  const rows = new AcceptedRows();
  for (let row = 0; row < columns.count; row++) rows.push(columns, row, key);
  partials.addAll(rows);
}

/** Stage 2: what the metric actor holds of the same, from one partition. */
function stage2(definition: MetricDefinition, panes: number): WeighedPart {
  const plan = new MetricPlan(definition);
  const actor = new MetricActor(TENANT, plan, rules.paneRetention);
  actor.advance(BASE_MS);
  return {
    fill(things) {
      for (let pane = 0; pane < panes; pane++) {
        const timeMs = BASE_MS + pane * FINE_MS;
        inChunks(
          things,
          (number) => seriesEvent(number, timeMs),
          (events) => {
            const partials = new PartialPanes(TENANT, plan, rules.dedupKey);
            add(partials, events, paneKey(timeMs, FINE_MS));
            const writer = new ByteWriter();
            const collected = partials.collect(writer);
            actor.receive(0, collected, writer.finish());
          },
        );
      }
    },
    settle: () => void actor.takeStale(Number.POSITIVE_INFINITY),
    check(things) {
      assert.deepEqual([actor.seriesCount, actor.paneCount], [things, things * panes]);
    },
  };
}

export const parts = {
  ids,
  sessionsOf1: () => sessions(1),
  sessionsOf3: () => sessions(3),
  seriesOf1Pane: () => series(count, 1),
  seriesOf6Panes: () => series(count, 6),
  numberSeriesOf1Pane: () => series(numbers, 1),
  numberSeriesOf6Panes: () => series(numbers, 6),
  stage2SeriesOf1Pane: () => stage2(count, 1),
  stage2SeriesOf6Panes: () => stage2(count, 6),
} as const satisfies Record<string, () => WeighedPart>;

export type PartName = keyof typeof parts;
