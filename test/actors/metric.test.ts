/**
 * Stage 2: partials replace, so twice is once and order between panes does not matter; rows to be written are minutes first and
 * the hour once the hour has aged; what is past retention goes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import type { MetricActor } from "../../actors/metric.ts";
import { ALL_TIME, ActorWorld, recount } from "./actor-world.ts";
import { BASE_MS, countByCountry, event, rules, type TestEvent } from "./event-fixture.ts";

const NAME = countByCountry.name;

function actorOf(world: ActorWorld): MetricActor {
  const actor = world.metrics.get(NAME);
  assert.ok(actor !== undefined);
  return actor;
}

function rowsOf(actor: MetricActor): [startMs: number, sizeMs: number, count: unknown][] {
  return actor.takeStale(1_000).flatMap((row): [number, number, unknown][] => {
    const writer = new ByteWriter();
    if (!actor.writeRow(row, writer)) return [];
    const states = actor.plan.read(new ByteReader(writer.finish()));
    return [[row.startMs, row.sizeMs, actor.plan.finish(states, row.sizeMs)[0]?.[0]]];
  });
}

test("a partial that arrives again changes nothing; a newer one replaces the older", () => {
  const world = new ActorWorld(1, [countByCountry]);
  world.publish([event(BASE_MS)]);
  world.collect(3);
  const events = [event(BASE_MS), event(BASE_MS + 1)];
  world.publish(events.slice(1));
  world.collect(2);
  assert.deepEqual(world.buckets(NAME, 10_000), recount(countByCountry, events, 10_000));
});

test("rows: a minute while its hour is young, the hour once it has aged, then the hour alone when it is corrected", () => {
  const world = new ActorWorld(1, [countByCountry]);
  const actor = actorOf(world);
  world.publish([event(BASE_MS), event(BASE_MS + 70_000)]);
  world.collect();
  assert.deepEqual(rowsOf(actor), [
    [BASE_MS, MINUTE_MS, 1],
    [BASE_MS + MINUTE_MS, MINUTE_MS, 1],
  ]);
  assert.deepEqual(rowsOf(actor), [], "each once");
  world.publish([event(BASE_MS + 1, { eventId: "again" })]);
  world.collect();
  assert.deepEqual(rowsOf(actor), [[BASE_MS, MINUTE_MS, 2]]);
  const later = BASE_MS + 26 * HOUR_MS;
  world.publish([event(later)]);
  world.collect();
  assert.deepEqual(
    rowsOf(actor).toSorted(([a], [b]) => a - b),
    [
      [BASE_MS, HOUR_MS, 3],
      [later, MINUTE_MS, 1],
    ],
  );
  world.publish([event(BASE_MS + 2, { eventId: "late" })]);
  world.collect();
  assert.deepEqual(rowsOf(actor), [[BASE_MS, HOUR_MS, 4]]);
});

test("the number of panes held follows what replaces, ages and goes", () => {
  const short = { ...rules, paneRetention: { fineMs: HOUR_MS, minuteMs: DAY_MS, allMs: 2 * DAY_MS } };
  const world = new ActorWorld(4, [countByCountry], short);
  const step = 17 * MINUTE_MS;
  for (let index = 0; index < 240; index++) {
    world.publish([event(BASE_MS + index * step, { country: `C${index % 3}`, sessionId: `s${index % 7}` })]);
    if (index % 5 === 0) world.collect(1 + (index % 2));
  }
  world.collect();
  const held = actorOf(world).paneCount;
  world.restartStage2(short);
  assert.equal(held, actorOf(world).paneCount, "as many as one that begins anew holds");
  assert.ok(held > 0);
});

test("takeStale hands out everything in portions", () => {
  const world = new ActorWorld(1, [countByCountry]);
  world.publish(["DE", "FR", "IT"].map((country, index) => event(BASE_MS + index, { country })));
  world.collect();
  const portions = [1, 1, 1, 1].map((max) => actorOf(world).takeStale(max).length);
  assert.deepEqual(portions, [1, 1, 1, 0]);
});

test("panes past retention are dropped with their series, and late partials of them are not taken back", () => {
  const short = { ...rules, paneRetention: { fineMs: HOUR_MS, minuteMs: DAY_MS, allMs: 2 * DAY_MS } };
  const world = new ActorWorld(1, [countByCountry], short);
  const actor = actorOf(world);
  world.publish([event(BASE_MS, { country: "DE" })]);
  world.collect();
  world.publish([event(BASE_MS + 3 * DAY_MS, { country: "FR" })]);
  world.collect();
  assert.equal(actor.seriesCount, 1);
  assert.equal(actor.paneCount, 1);
  world.restartStage2(short);
  assert.equal(actorOf(world).seriesCount, 1);
});

test("a query keeps, sums up and filters dimensions", () => {
  const world = new ActorWorld(4, [countByCountry]);
  const events: TestEvent[] = ["DE", "DE", "FR", null].map((country, index) =>
    event(BASE_MS + index, { country, sessionId: `s${index}` }),
  );
  world.publish(events);
  world.collect();
  const actor = actorOf(world);
  const counts = (keep: number[], filters: Parameters<MetricActor["query"]>[3]): unknown[] =>
    actor
      .query(ALL_TIME, Infinity, keep, filters)
      .map(({ dimensions, states }) => [...dimensions, actor.plan.finish(states, 1)[0]?.[0]])
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  assert.deepEqual(counts([], []), [[4]]);
  assert.deepEqual(counts([0], []), [
    ["DE", 2],
    ["FR", 1],
    [null, 1],
  ]);
  assert.deepEqual(counts([], [{ dimension: 0, negate: false, values: ["DE"] }]), [[2]]);
  assert.deepEqual(counts([], [{ dimension: 0, negate: true, values: ["DE"] }]), [[2]]);
});
