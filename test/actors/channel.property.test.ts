/**
 * Promise 9: a subscriber that takes the snapshot and applies each delta in the order of `seq` holds exactly the rows that a
 * new subscriber would be given; also when it was away and resumes by `since`, whenever that is possible; and when it is not
 * possible, it is told so. Series come, change late, leave the window and are dropped on the way.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, windowSpan, type WindowName } from "../../protocol/windows.ts";
import type { Channel } from "../../actors/channel.ts";
import { ActorWorld } from "./actor-world.ts";
import { BASE_MS, event, rules, valueByTypeAndCountry } from "./event-fixture.ts";

type Row = Readonly<Record<string, unknown>>;
const METRIC = valueByTypeAndCountry.name;
const DIMENSIONS = ["eventType", "country"];

class Subscriber {
  readonly rows = new Map<string, Row>();
  seq: number;

  constructor(channel: Channel) {
    this.seq = channel.seq;
    for (const row of channel.rows) this.rows.set(keyOf(row), row);
  }

  apply(seq: number, rows: readonly Row[]): void {
    assert.equal(seq, this.seq + 1, "no gap");
    this.seq = seq;
    for (const row of rows) {
      if (row["removed"] === true) this.rows.delete(keyOf(row));
      else this.rows.set(keyOf(row), row);
    }
  }
}

function keyOf(row: Row): string {
  return JSON.stringify(DIMENSIONS.map((name) => row[name]));
}

function sorted(rows: Iterable<Row>): Row[] {
  return [...rows].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

const encode = (rows: readonly Row[]): Uint8Array => new TextEncoder().encode(JSON.stringify(rows));
const decode = (frame: Uint8Array): Row[] => JSON.parse(new TextDecoder().decode(frame)) as Row[];

interface Step {
  readonly kind: "event" | "late" | "refresh" | "tick" | "leave" | "back" | "far";
  readonly eventType: string;
  readonly country: string | null;
  readonly value: number;
  readonly ms: number;
}
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("event", "event", "late", "refresh", "refresh", "tick", "leave", "back", "far"),
  eventType: fc.constantFrom("a", "b"),
  country: fc.constantFrom("DE", null),
  value: fc.integer({ min: 1, max: 9 }),
  ms: fc.oneof(fc.integer({ min: 0, max: 30_000 }), fc.integer({ min: 0, max: 2 * HOUR_MS })),
});

test("snapshot plus deltas, with absences, equals the metric", () => {
  const windowName = fc.constantFrom<WindowName>("1m", "5m", "1h", "24h", "minute", "hour", "day");
  fc.assert(
    fc.property(windowName, fc.array(step, { maxLength: 50 }), fc.constantFrom(1, 3), (window, steps, partitionCount) => {
      const short = { ...rules, allowedLatenessMs: DAY_MS, paneRetention: { fineMs: HOUR_MS, minuteMs: DAY_MS, allMs: DAY_MS } };
      const world = new ActorWorld(partitionCount, [valueByTypeAndCountry], short);
      const actor = world.metrics.get(METRIC);
      assert.ok(actor !== undefined);
      let nowMs = BASE_MS;
      let id = 0;
      const publish = (timeMs: number, { eventType, country, value }: Step): void => {
        world.publish([event(timeMs, { eventId: `e${id++}`, sessionId: `s${id % 5}`, eventType, country, value })]);
        world.collect();
      };
      publish(nowMs, { kind: "event", eventType: "a", country: "DE", value: 1, ms: 0 });
      const channel = actor.channel(window, 100, nowMs, 0);
      let subscriber = new Subscriber(channel);
      let away = false;

      for (const each of steps) {
        if (each.kind === "far") nowMs += 5 * DAY_MS;
        if (each.kind === "event" || each.kind === "far") {
          nowMs += each.ms;
          publish(nowMs, each);
        } else if (each.kind === "late") publish(nowMs - each.ms, each);
        else if (each.kind === "tick") nowMs += each.ms;
        else if (each.kind === "leave") away = true;
        else if (each.kind === "back" && away) {
          away = false;
          const missed = channel.since(subscriber.seq);
          if (missed === undefined) subscriber = new Subscriber(channel);
          else for (const frame of missed) subscriber.apply(subscriber.seq + 1, decode(frame));
          assert.equal(subscriber.seq, channel.seq);
        } else {
          const delta = channel.refresh(nowMs);
          if (delta === undefined) continue;
          assert.deepEqual(delta.window, windowSpan(window, nowMs));
          channel.remember(delta.seq, encode(delta.rows));
          if (!away) subscriber.apply(delta.seq, decode(encode(delta.rows)));
        }
      }
      const last = channel.refresh(nowMs);
      if (last !== undefined) channel.remember(last.seq, encode(last.rows));
      const missed = channel.since(subscriber.seq);
      assert.ok(missed !== undefined);
      for (const frame of missed) subscriber.apply(subscriber.seq + 1, decode(frame));
      const fresh = actor.channel(window, 250, nowMs, 0);
      const expected = sorted(decode(encode(fresh.rows)));
      assert.deepEqual(sorted(subscriber.rows.values()), expected);
      assert.deepEqual(sorted(decode(encode(channel.rows))), expected);
    }),
    { numRuns: 400 },
  );
});

function started(): { world: ActorWorld; channel: Channel } {
  const world = new ActorWorld(1, [valueByTypeAndCountry]);
  const actor = world.metrics.get(METRIC);
  assert.ok(actor !== undefined);
  world.publish([event(BASE_MS, { eventType: "a", country: "DE", value: 1 })]);
  world.collect();
  return { world, channel: actor.channel("5m", 100, BASE_MS, 0) };
}

test("a change of old panes only has the cause `late`, one of running panes `live`; nothing changed, nothing said", () => {
  const { world, channel } = started();
  assert.equal(channel.refresh(BASE_MS), undefined);
  world.publish([event(BASE_MS - 4 * MINUTE_MS, { eventId: "l", eventType: "a", country: "DE", value: 2 })]);
  world.collect();
  assert.equal(channel.refresh(BASE_MS)?.cause, "late");
  world.publish([event(BASE_MS + 1, { eventId: "m", eventType: "a", country: "DE", value: 2 })]);
  world.collect();
  const delta = channel.refresh(BASE_MS);
  assert.equal(delta?.cause, "live");
  assert.equal(delta?.rows[0]?.["count"], 3);
  world.publish([event(BASE_MS - HOUR_MS, { eventId: "n", eventType: "a", country: "DE", value: 2 })]);
  world.collect();
  assert.equal(channel.refresh(BASE_MS), undefined, "a change outside the window is none");
});

test("a row that leaves the window is removed, with the span that says so", () => {
  const { channel } = started();
  const nowMs = BASE_MS + 5 * MINUTE_MS;
  const delta = channel.refresh(nowMs);
  assert.deepEqual(delta, {
    seq: 1,
    window: windowSpan("5m", nowMs),
    cause: "live",
    rows: [{ eventType: "a", country: "DE", removed: true }],
  });
  assert.deepEqual(channel.rows, []);
});

test("resuming goes back as far as the history, and never to a seq from elsewhere", () => {
  const { channel } = started();
  const count = limits.channelHistoryFrames + 10;
  for (let seq = 1; seq <= count; seq++) {
    const delta = channel.refresh(BASE_MS + seq * 10_000);
    assert.equal(delta?.seq, seq);
    channel.remember(seq, Uint8Array.of(seq % 256));
  }
  assert.deepEqual(channel.since(count), []);
  assert.equal(channel.since(count - limits.channelHistoryFrames)?.length, limits.channelHistoryFrames);
  assert.equal(channel.since(count - limits.channelHistoryFrames - 1), undefined);
  assert.equal(channel.since(count + 1), undefined);
});
