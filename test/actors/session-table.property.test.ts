/**
 * Laws of the flat sessions, beside a Map of `Session` objects that sees the same events, snapshots, closings and restarts:
 * - each session in memory is the one that the Map has, and has the same bytes;
 * - numbers and pieces of memory that are given back are used again: what has gone leaves nothing in what comes;
 * - rows that are made ready together find the sessions that they would find one by one;
 * - the numbers of texts (`protocol/text-numbers.ts`), which come and go, show in nothing;
 * - a table that is empty again holds no types.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberIndex } from "../../actors/number-index.ts";
import { preparedHash } from "../../actors/prepared-rows.ts";
import { NO_SESSION, SessionTable } from "../../actors/session-table.ts";
import { Session } from "../../actors/session.ts";
import { hashLoaded, loadText } from "../../actors/text-words.ts";
import { FieldColumn } from "../../protocol/field-column.ts";
import { limits } from "../../protocol/limits.ts";
import { beginTextGeneration, NO_TEXT_NUMBER } from "../../protocol/text-numbers.ts";
import { newTextNumber } from "../support/text-number.ts";
import { MINUTE_MS } from "../../protocol/windows.ts";
import { BASE_MS, rules } from "./event-fixture.ts";

const GAP_MS = 30 * MINUTE_MS;

const id = fc.oneof(
  fc.nat(12).map((number) => `session-${number}`),
  fc.constantFrom("", "a", "ab", "größe", "😀", "日本".repeat(40), "x".repeat(255), "x".repeat(256)),
);
const userId = fc.constantFrom(undefined, "", "u", "u1", "u2", "ü", "\u{1f600}", "\uffee", "user".repeat(64));
const event = fc.record({
  id,
  // Mostly within one gap, at boundaries too.
  atMs: fc.oneof(
    fc.nat(5).map((minutes) => minutes * MINUTE_MS),
    fc.nat(8).map((halves) => (halves * GAP_MS) / 2),
  ),
  // Sometimes more types than a record holds.
  type: fc.oneof(
    fc.constantFrom("view", "click"),
    fc.nat(25).map((number) => `type-${number}`),
  ),
  userId,
});
const happening = fc.oneof(
  {
    weight: 12,
    // Those of one frame in one partition.
    arbitrary: fc.record({ kind: fc.constant("events" as const), events: fc.array(event, { minLength: 1, maxLength: 6 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("store" as const), id }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wake" as const), id }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("renumber" as const, "beginAnew" as const) }) },
);

type TestEvent = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

class Both {
  readonly table = new SessionTable(rules.dedupKey, 3);
  readonly plain = new Map<string, Session>();
  readonly stored = new Map<string, Uint8Array>();
  #changeSeq = 0;

  /** By text: its number, until an interner drives it out. */
  readonly #numbers = new Map<string, number>();

  events(events: readonly TestEvent[]): void {
    const ids = events.map((each) => each.id);
    const kinds = Int32Array.from(ids, (each) => this.#numberOf(each));
    const rows = Int32Array.from(ids, (_, index) => ids.length - 1 - index);
    this.table.prepare(ids, new FieldColumn(ids, kinds, 0), rows, 0, rows.length);
    rows.forEach((row, at) => {
      const { id: sessionId, atMs, type, userId: user } = events[row] as TestEvent;
      this.event(sessionId, BASE_MS + atMs, type, user, preparedHash(at));
    });
  }

  event(sessionId: string, timeMs: number, type: string, user: string | undefined, hash = 0): void {
    const number = this.table.find(sessionId, this.#numberOf(sessionId), hash);
    if (number === NO_SESSION) this.table.begin(sessionId, timeMs, type, user);
    else this.table.apply(number, timeMs, type, user, GAP_MS, this.#numberOf(type), this.#numberOf(user));
    const session = this.plain.get(sessionId) ?? new Session(sessionId);
    this.plain.set(sessionId, session);
    session.apply(timeMs, type, user, GAP_MS);
  }

  store(sessionId: string): void {
    const number = this.table.find(sessionId);
    const session = this.plain.get(sessionId);
    if (session === undefined) return;
    session.settle();
    session.changeSeq = ++this.#changeSeq;
    const bytes = this.table.encode(number, session.changeSeq);
    assert.deepEqual(bytes, session.encode());
    this.stored.set(sessionId, bytes);
  }

  remove(sessionId: string): void {
    if (this.plain.delete(sessionId)) this.table.remove(this.table.find(sessionId));
  }

  wake(sessionId: string): void {
    const bytes = this.stored.get(sessionId);
    if (bytes === undefined || this.plain.has(sessionId)) return;
    this.table.add(Session.decode(bytes));
    this.plain.set(sessionId, Session.decode(bytes));
  }

  /** Every text gets another number when it comes again. */
  renumber(): void {
    this.#numbers.clear();
  }

  /** The same, with numbers that other texts had two generations ago. */
  beginAnew(): void {
    this.#numbers.clear();
    for (let generations = 0; generations < 2; generations++) {
      beginTextGeneration();
      newTextNumber();
    }
  }

  /** A text with an x is one that no interner keeps. */
  #numberOf(text: string | undefined): number {
    if (text === undefined || text.includes("x")) return NO_TEXT_NUMBER;
    let number = this.#numbers.get(text);
    if (number === undefined) this.#numbers.set(text, (number = newTextNumber()));
    return number;
  }

  check(): void {
    assert.equal(this.table.count, this.plain.size);
    for (const [sessionId, session] of this.plain) {
      const number = this.table.find(sessionId);
      assert.notEqual(number, NO_SESSION, sessionId);
      assert.equal(this.table.id(number), sessionId);
      assert.equal(this.table.endMs(number), session.endMs);
      const flat = this.table.session(number);
      assert.deepEqual(flat.encode(), session.encode());
      assert.deepEqual([...flat.eventTypes], [...session.eventTypes], "types in the order in which they came");
    }
  }
}

test("flat sessions are those of a Map of objects", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 150, size: "max" }), (happenings) => {
      const both = new Both();
      for (const each of happenings) {
        if (each.kind === "events") both.events(each.events);
        else if ("id" in each) both[each.kind](each.id);
        else both[each.kind]();
      }
      both.check();
      for (const sessionId of [...both.plain.keys()]) both.remove(sessionId);
      assert.deepEqual([both.table.count, both.table.wholeCount, both.table.typeCount], [0, 0, 0]);
    }),
    { numRuns: 500 },
  );
});

test("many sessions over many pages; memory that was given back is used again", () => {
  const both = new Both();
  const fill = (): void => {
    for (let number = 0; number < 5_000; number++) {
      const sessionId = `session-${number}`;
      for (let at = 0; at <= number % 20; at++) both.event(sessionId, BASE_MS + at, `type-${at}`, `user-${number % 7}`);
    }
  };
  fill();
  both.check();
  assert.equal(both.table.wholeCount, (5_000 / 20) * 4, "those with more than 16 types");
  const sizeBytes = both.table.sizeBytes;
  for (let round = 0; round < 2; round++) {
    for (const sessionId of [...both.plain.keys()]) both.remove(sessionId);
    assert.equal(both.table.find("session-1"), NO_SESSION);
    fill();
    both.check();
    assert.equal(both.table.sizeBytes, sizeBytes);
  }
});

test("a session with more types than there may be is the one that a Session would be", () => {
  const both = new Both();
  for (let number = 0; number < limits.sessionTypesMax + 10; number++) both.event("s", BASE_MS, `type-${number}`, "u");
  both.check();
});

test("ids with one hash and one length are two sessions", () => {
  const ids = new Map<number, string>();
  const both = new Both();
  let pairs = 0;
  // By chance, 11 pairs of so many share a hash of 32 bits; the key is fixed, and so are they.
  for (let number = 0; number < 300_000; number++) {
    const sessionId = `session-${100_000 + number}`;
    const hash = hashLoaded(rules.dedupKey, loadText(sessionId));
    const other = ids.get(hash);
    ids.set(hash, sessionId);
    if (other === undefined) continue;
    pairs++;
    for (const each of [other, sessionId, other]) both.event(each, BASE_MS, "view", each);
  }
  assert.ok(pairs > 0);
  both.check();
});

test("an ordinary session takes at most 160 bytes", () => {
  const table = new SessionTable(rules.dedupKey);
  const count = 20_000;
  for (let number = 0; number < count; number++) {
    const sessionId = `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
    const session = table.begin(sessionId, BASE_MS, "page_view", `user-${number}`);
    table.apply(session, BASE_MS + 1, "click", `user-${number}`, GAP_MS);
  }
  assert.equal(table.wholeCount, 0);
  assert.ok(table.sizeBytes / count <= 160, `${table.sizeBytes / count} bytes`);
});

test("the index is a Map, whatever hashes collide", () => {
  // Few hashes, at the ends and in the middle: long runs, which go round from the last place to the first.
  const hash = fc.constantFrom(0, 1, 0x7fff_ffff, -1, -2, -0x8000_0000, 0x1234_5678, 0x1234_5679);
  const step = fc.record({ isAdded: fc.boolean(), hash, number: fc.nat(40) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const index = new NumberIndex();
      const hashes = new Map<number, number>();
      for (const each of steps) {
        const known = hashes.get(each.number);
        if (each.isAdded && known === undefined) {
          index.add(each.hash, each.number);
          hashes.set(each.number, each.hash);
        } else if (!each.isAdded && known !== undefined) {
          index.remove(known, each.number);
          hashes.delete(each.number);
        }
      }
      assert.equal(index.count, hashes.size);
      const found = new Map<number, number>();
      for (const wanted of new Set(steps.map((each) => each.hash))) {
        for (let place = index.first(wanted); place !== -1; place = index.next(place, wanted)) {
          found.set(index.numberAt(place), wanted);
        }
      }
      assert.deepEqual(found, hashes);
    }),
    { numRuns: 500 },
  );
});
