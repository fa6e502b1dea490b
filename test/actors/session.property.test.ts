/**
 * Laws of a session:
 * - any order of the same events gives the same segments, counts, user and bytes;
 * - segments are what sorting the events and splitting where the gap is more than 30 minutes gives;
 * - every start that was stored and is no segment's any more is superseded, and nothing else;
 * - decode(encode(x)) = x.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Session, type SessionSegment } from "../../actors/session.ts";
import { limits } from "../../protocol/limits.ts";
import { MINUTE_MS } from "../../protocol/windows.ts";
import { BASE_MS } from "./event-fixture.ts";

const GAP_MS = 30 * MINUTE_MS;

interface Visit {
  readonly timeMs: number;
  readonly type: string;
  readonly userId: string | undefined;
}

const visit: fc.Arbitrary<Visit> = fc.record({
  // Whole and half gaps make many exact hits of the boundary; the rest is anywhere.
  timeMs: fc.oneof(
    fc.integer({ min: 0, max: 24 }).map((halves) => BASE_MS + (halves * GAP_MS) / 2),
    fc.integer({ min: 0, max: 24 }).map((gaps) => BASE_MS + gaps * (GAP_MS + 1)),
    fc.integer({ min: 0, max: 12 * GAP_MS }).map((ms) => BASE_MS + ms),
  ),
  type: fc.constantFrom("a", "b", "c"),
  userId: fc.constantFrom(undefined, "u1", "u2", "u3"),
});
const visits = fc.array(visit, { minLength: 1, maxLength: 30 });
const shuffled = visits.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));

function sessionOf(all: readonly Visit[]): Session {
  const session = new Session("s");
  for (const { timeMs, type, userId } of all) session.apply(timeMs, type, userId, GAP_MS);
  return session;
}

function naiveSegments(all: readonly Visit[]): SessionSegment[] {
  const segments: SessionSegment[] = [];
  for (const { timeMs } of all.toSorted((a, b) => a.timeMs - b.timeMs)) {
    const last = segments.at(-1);
    if (last === undefined || timeMs - last.endMs > GAP_MS) segments.push({ startMs: timeMs, endMs: timeMs, events: 1 });
    else Object.assign(last, { endMs: timeMs, events: last.events + 1 });
  }
  return segments;
}

test("any order of the same events gives the same session", () => {
  fc.assert(
    fc.property(shuffled, ([all, other]) => {
      const [one, two] = [sessionOf(all), sessionOf(other)];
      assert.deepEqual(one.segments, two.segments);
      assert.equal(one.userId, two.userId);
      assert.deepEqual(one.encode(), two.encode());
    }),
    { numRuns: 500 },
  );
});

test("segments are the events sorted and split where more than the gap lies between", () => {
  fc.assert(
    fc.property(visits, (all) => {
      const session = sessionOf(all);
      assert.deepEqual(session.segments, naiveSegments(all));
      assert.equal(session.events, all.length);
      assert.equal(session.startMs, Math.min(...all.map(({ timeMs }) => timeMs)));
      assert.equal(session.endMs, Math.max(...all.map(({ timeMs }) => timeMs)));
      const named = all.filter(({ userId }) => userId !== undefined);
      const latestMs = Math.max(...named.map(({ timeMs }) => timeMs));
      const users = named.filter(({ timeMs }) => timeMs === latestMs).map(({ userId }) => userId ?? "");
      assert.equal(session.userId, users.toSorted().at(-1));
      const types = new Map<string, number>();
      for (const { type } of all) types.set(type, (types.get(type) ?? 0) + 1);
      assert.deepEqual(new Map(session.eventTypes), types);
    }),
    { numRuns: 500 },
  );
});

test("a start that was stored and is none any more is superseded, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(visits, { minLength: 1, maxLength: 5 }), (batches) => {
      let session = new Session("s");
      const stored = new Set<number>();
      for (const batch of batches) {
        for (const { timeMs, type, userId } of batch) session.apply(timeMs, type, userId, GAP_MS);
        session.settle();
        for (const { startMs } of session.segments) stored.add(startMs);
        // As if it had been cold in between.
        session = Session.decode(session.encode());
      }
      for (const { startMs } of session.segments) stored.delete(startMs);
      assert.deepEqual(new Set(session.superseded), stored);
      assert.equal(session.superseded.length, stored.size, "each once");
    }),
  );
});

test("a late event between two segments joins them", () => {
  const session = sessionOf([0, 60 * MINUTE_MS].map((ms) => ({ timeMs: BASE_MS + ms, type: "a", userId: undefined })));
  assert.equal(session.segments.length, 2);
  session.settle();
  session.apply(BASE_MS + 30 * MINUTE_MS, "a", undefined, GAP_MS);
  assert.deepEqual(session.segments, [{ startMs: BASE_MS, endMs: BASE_MS + 60 * MINUTE_MS, events: 3 }]);
  session.settle();
  assert.deepEqual(session.superseded, [BASE_MS + 60 * MINUTE_MS]);
});

test("decode(encode(x)) = x, and a decoded session goes on like the other", () => {
  fc.assert(
    fc.property(visits, visits, (before, after) => {
      const session = sessionOf(before);
      const copy = Session.decode(session.encode());
      assert.deepEqual(copy.encode(), session.encode());
      for (const each of [session, copy]) for (const { timeMs, type, userId } of after) each.apply(timeMs, type, userId, GAP_MS);
      assert.deepEqual(copy.encode(), session.encode());
    }),
  );
});

test("past the limit the oldest segments go, and their events still count", () => {
  const count = limits.sessionSegmentsMax + 5;
  const session = sessionOf(
    Array.from({ length: count }, (_, at) => ({ timeMs: BASE_MS + at * 2 * GAP_MS, type: "a", userId: "u" })),
  );
  session.settle();
  assert.equal(session.segments.length, limits.sessionSegmentsMax);
  const copy = Session.decode(session.encode());
  for (const each of [session, copy]) {
    assert.equal(each.events, count);
    assert.equal(each.startMs, BASE_MS);
    assert.deepEqual(each.superseded, [], "a segment that was let go keeps its row");
  }
});
