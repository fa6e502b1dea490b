/**
 * Promise 7, over both stages: the same events in any order inside the lateness horizon, in any batches, over any number of
 * partitions, handed on at any times and any number of times, give the same panes to the byte, and these equal a recount that
 * goes over the events once. Panes age from 10 s to minutes to hours on the way: the events span an hour, days and weeks.
 *
 * The ledger's law: received = accepted + duplicate + late + invalid after any input.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MetricDefinition } from "../../protocol/metric-definition.ts";
import { DUPLICATE, verdictOf } from "../../protocol/verdicts.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { PaneLadder } from "../../actors/pane.ts";
import { ActorWorld, recount } from "./actor-world.ts";
import {
  BASE_MS,
  countByCountry,
  distinctUsers,
  event,
  onlyBuys,
  rules,
  TENANT,
  valueByTypeAndCountry,
  type TestEvent,
} from "./event-fixture.ts";

const definitions: readonly MetricDefinition[] = [countByCountry, valueByTypeAndCountry, distinctUsers, onlyBuys];
const LATE = verdictOf("WEIR_EVENT_LATE");

const timeMs = fc
  .oneof(
    fc.integer({ min: 0, max: 2 * MINUTE_MS }),
    fc.integer({ min: 0, max: 2 * HOUR_MS }),
    fc.integer({ min: 0, max: 2 * DAY_MS }),
    fc.integer({ min: 0, max: 14 * DAY_MS }),
    // The exact edges of panes and of the ladder.
    fc.constantFrom(0, 10_000, MINUTE_MS, HOUR_MS, HOUR_MS - 1, DAY_MS, DAY_MS + HOUR_MS, DAY_MS + HOUR_MS - 1),
  )
  .map((ago) => BASE_MS + 1_234 - ago);

const anyEvent: fc.Arbitrary<TestEvent> = fc.record({
  eventId: fc.uuid(),
  sessionId: fc.integer({ min: 0, max: 20 }).map((number) => `s${number}`),
  userId: fc.constantFrom("u1", "u2", "u3", undefined),
  eventType: fc.constantFrom("click", "buy", "view"),
  timeMs,
  country: fc.constantFrom("DE", "FR", "", null, undefined, "null", "Ä"),
  value: fc.oneof(
    fc.integer({ min: -5, max: 1_000 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constant(undefined),
  ),
});
const distinctEvents = fc.uniqueArray(anyEvent, { selector: ({ eventId }) => eventId, minLength: 1, maxLength: 60 });

/** How often to hand on after each frame, and how long the frames are. */
const pace = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 }),
  collects: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
});

function play(
  world: ActorWorld,
  events: readonly TestEvent[],
  { sizes, collects }: { sizes: number[]; collects: number[] },
): void {
  for (let at = 0, turn = 0; at < events.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    for (const verdict of world.publish(events.slice(at, at + size))) assert.equal(verdict, 0);
    at += size;
    const times = collects[turn % collects.length] ?? 0;
    if (times > 0) world.collect(times);
  }
  world.collect();
}

function assertEqualsRecount(world: ActorWorld, events: readonly TestEvent[]): void {
  const ladder = new PaneLadder(rules.paneRetention);
  ladder.advance(Math.max(...events.map((each) => each.timeMs)));
  const until = { toMs: 1e14 };
  for (const definition of definitions) {
    const check = (bucketMs: number, fromMs: number): void => {
      const span = { fromMs, ...until };
      const { name } = definition;
      assert.deepEqual(
        world.buckets(name, bucketMs, span),
        recount(definition, events, bucketMs, span),
        `${name} by ${bucketMs}`,
      );
    };
    check(10_000, ladder.fineFromMs);
    check(MINUTE_MS, ladder.minuteFromMs);
    check(HOUR_MS, 0);
    check(Infinity, 0);
  }
}

for (const partitionCount of [1, 4, 16]) {
  test(`any order and batching over ${partitionCount} partitions gives the recount's panes`, () => {
    const input = distinctEvents.chain((all) => fc.tuple(fc.shuffledSubarray(all, { minLength: all.length }), pace));
    fc.assert(
      fc.property(input, ([events, atPace]) => {
        const world = new ActorWorld(partitionCount, definitions);
        play(world, events, atPace);
        assertEqualsRecount(world, events);
        world.restartStage2();
        assertEqualsRecount(world, events);
      }),
      { numRuns: 150 },
    );
  });
}

test("the sizes of a partition's panes follow from the set of events alone", () => {
  const sizes = (world: ActorWorld): number[] =>
    world.partitions.map((partition) => partition.tenants.get(TENANT)?.metrics.get("by_country")?.paneCount ?? 0);
  const input = distinctEvents.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }), pace),
  );
  fc.assert(
    fc.property(input, ([events, shuffled, atPace]) => {
      const [one, two] = [new ActorWorld(4, definitions), new ActorWorld(4, definitions)];
      play(one, events, { sizes: [1], collects: [0] });
      play(two, shuffled, atPace);
      assert.deepEqual(sizes(one), sizes(two));
    }),
  );
});

test("the ledger balances after any input, and every event has one verdict", () => {
  const bad = anyEvent.map((each) => ({ ...each, verdict: verdictOf("WEIR_EVENT_FIELD_TYPE") }));
  const few = fc.constantFrom("a", "b", "c", "d");
  const repeated = fc.record({ each: anyEvent, eventId: few }).map(({ each, eventId }) => ({ ...each, eventId, sessionId: "s" }));
  const input = fc.array(fc.array(fc.oneof(anyEvent, bad, repeated), { maxLength: 8 }), { maxLength: 12 });
  fc.assert(
    fc.property(input, (frames) => {
      const world = new ActorWorld(4, definitions, { ...rules, allowedLatenessMs: DAY_MS });
      const seen = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
      for (const frame of frames) {
        for (const verdict of world.publish(frame)) {
          seen[verdict === 0 ? "accepted" : verdict === DUPLICATE ? "duplicate" : verdict === LATE ? "late" : "invalid"]++;
        }
      }
      const sum = { received: 0, accepted: 0, duplicate: 0, late: 0, invalid: 0 };
      for (const partition of world.partitions) {
        const ledger = partition.tenants.get(TENANT)?.ledger;
        for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += ledger?.[key] ?? 0;
      }
      assert.deepEqual(sum, { received: frames.flat().length, ...seen });
      assert.equal(sum.received, sum.accepted + sum.duplicate + sum.late + sum.invalid);
      const letters = world.partitions
        .flatMap((partition) => partition.snapshot())
        .filter(({ table }) => table === "dead-letters");
      assert.equal(letters.length, sum.late + sum.invalid, "nothing is dropped silently");
    }),
  );
});

test("an event counts once, whatever its copies say; a resent one that has become late is a duplicate, not a dead letter", () => {
  const world = new ActorWorld(1, [countByCountry], { ...rules, allowedLatenessMs: DAY_MS });
  const first = event(BASE_MS, { eventId: "a" });
  assert.deepEqual(world.publish([first, { ...first, timeMs: BASE_MS + 5, country: "DE" }]), [0, DUPLICATE]);
  assert.deepEqual(world.publish([event(BASE_MS + 3 * DAY_MS), first]), [0, DUPLICATE]);
  assert.deepEqual(world.publish([event(BASE_MS + DAY_MS, { eventId: "b" })]), [LATE]);
});

test("an event exactly at the horizon is taken; a late one was not counted and may come again", () => {
  const world = new ActorWorld(1, [countByCountry], { ...rules, allowedLatenessMs: DAY_MS });
  world.publish([event(BASE_MS + DAY_MS)]);
  const tooLate = event(BASE_MS - 1, { eventId: "late" });
  assert.deepEqual(world.publish([event(BASE_MS), tooLate]), [0, LATE]);
  assert.deepEqual(world.publish([tooLate]), [LATE], "not a duplicate of one that never counted");
  assert.deepEqual(world.publish([{ ...tooLate, timeMs: BASE_MS }]), [0], "a replay with a time inside the horizon counts");
});
