/**
 * Sessions of a tenant: closing follows from the watermark alone; what is closed leaves memory only after its state is in the
 * store; a late event wakes it from there with all it knew; a restart takes back what was open.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ChangeFeed } from "../../actors/change-feed.ts";
import type { StateWrite } from "../../actors/effects.ts";
import { Session } from "../../actors/session.ts";
import { Sessions } from "../../actors/sessions.ts";
import { MINUTE_MS } from "../../protocol/windows.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { BASE_MS, rules, TENANT } from "./event-fixture.ts";

const AFTER_GAP_MS = BASE_MS + rules.gapMs + 2 * MINUTE_MS;

class Fixture {
  readonly store: MemoryStore;
  readonly feed: ChangeFeed;
  readonly sessions: Sessions;

  constructor(store = new MemoryStore(), last = 0) {
    this.store = store;
    this.feed = new ChangeFeed("session-changes", last);
    this.sessions = new Sessions(TENANT, rules, store);
  }

  snapshot(): StateWrite[] {
    const writes: StateWrite[] = [];
    this.sessions.snapshot(this.feed, writes);
    return writes;
  }

  async commit(): Promise<void> {
    await this.store.commit(this.snapshot());
  }

  stored(id: string): Session | undefined {
    const bytes = this.store.get("sessions", [TENANT, id]);
    return bytes === undefined ? undefined : Session.decode(bytes);
  }

  get openInStore(): string[] {
    return [...this.store.range("open-sessions")].map(({ key }) => String(key[1]));
  }
}

test("a session closes when the watermark's minute is past its gap, and its closing is written once", async () => {
  const fixture = new Fixture();
  fixture.sessions.apply("a", BASE_MS, "click", "u");
  await fixture.commit();
  fixture.sessions.close(BASE_MS + rules.gapMs);
  assert.deepEqual(fixture.snapshot(), [], "still open at exactly the gap");
  fixture.sessions.close(AFTER_GAP_MS);
  const seq = fixture.stored("a")?.changeSeq;
  await fixture.commit();
  assert.equal(fixture.stored("a")?.changeSeq, (seq ?? 0) + 1);
  fixture.sessions.close(AFTER_GAP_MS + MINUTE_MS);
  assert.deepEqual(fixture.snapshot(), []);
});

test("a session that goes on is not closed at the minute it was first put on the wheel for", async () => {
  const fixture = new Fixture();
  fixture.sessions.apply("a", BASE_MS, "click", undefined);
  fixture.sessions.apply("a", BASE_MS + 20 * MINUTE_MS, "click", undefined);
  await fixture.commit();
  fixture.sessions.close(AFTER_GAP_MS);
  assert.deepEqual(fixture.snapshot(), []);
  fixture.sessions.close(AFTER_GAP_MS + 20 * MINUTE_MS);
  assert.notDeepEqual(fixture.snapshot(), []);
});

test("a closed session leaves memory only with the snapshot after the one that wrote it", async () => {
  const fixture = new Fixture();
  fixture.sessions.apply("a", BASE_MS, "click", undefined);
  fixture.sessions.close(AFTER_GAP_MS);
  const writes = fixture.snapshot();
  assert.equal(fixture.sessions.residentCount, 1, "its write is not on disk yet");
  await fixture.store.commit(writes);
  await fixture.commit();
  assert.equal(fixture.sessions.residentCount, 0);
  assert.equal(fixture.sessions.find("a")?.events, 1, "and is found in the store");
});

test("a late event wakes a cold session with all it knew", async () => {
  const fixture = new Fixture();
  fixture.sessions.apply("a", BASE_MS, "click", "u1");
  fixture.sessions.close(AFTER_GAP_MS);
  await fixture.commit();
  await fixture.commit();
  assert.equal(fixture.sessions.residentCount, 0);
  fixture.sessions.apply("a", BASE_MS - 10 * MINUTE_MS, "buy", "u0");
  await fixture.commit();
  const session = fixture.stored("a");
  assert.deepEqual(session?.segments, [{ startMs: BASE_MS - 10 * MINUTE_MS, endMs: BASE_MS, events: 2 }]);
  assert.equal(session?.userId, "u1");
  assert.deepEqual(session?.superseded, [BASE_MS]);
});

test("a session born behind the watermark does not come back from the wheel over its newer state", async () => {
  const fixture = new Fixture();
  // Its gap has long passed when it begins; the wheel comes round only with the watermark's next minute.
  fixture.sessions.close(BASE_MS + 10 * rules.gapMs);
  fixture.sessions.apply("a", BASE_MS, "click", undefined);
  await fixture.commit();
  await fixture.commit();
  await fixture.commit();
  fixture.sessions.apply("a", BASE_MS + 1, "click", undefined);
  fixture.sessions.close(BASE_MS + 11 * rules.gapMs);
  await fixture.commit();
  assert.equal(fixture.stored("a")?.events, 2);
  await fixture.commit();
  assert.equal(fixture.sessions.find("a")?.events, 2);
});

test("a restart takes back the open ones, and they close as they would have", async () => {
  const before = new Fixture();
  before.sessions.apply("closed", BASE_MS - 10 * rules.gapMs, "click", undefined);
  before.sessions.apply("open", BASE_MS, "click", undefined);
  before.sessions.close(BASE_MS);
  await before.commit();
  assert.deepEqual(before.openInStore, ["open"]);
  const after = new Fixture(new MemoryStore({ image: before.store.image() }), before.feed.last);
  after.sessions.restore();
  assert.equal(after.sessions.residentCount, 1);
  for (const each of [before, after]) each.sessions.close(AFTER_GAP_MS);
  const [one, two] = [before.snapshot(), after.snapshot()];
  assert.ok(one.some(({ table, key, value }) => table === "open-sessions" && key[1] === "open" && value === undefined));
  assert.deepEqual(two, one);
});

test("sessions close in one order, whenever they came onto the wheel", () => {
  const close = (ids: readonly string[]): unknown[] => {
    const fixture = new Fixture();
    ids.forEach((id, index) => fixture.sessions.apply(id, BASE_MS - index * 3 * MINUTE_MS, "click", undefined));
    for (const id of ids) fixture.sessions.apply(id, BASE_MS, "click", undefined);
    fixture.snapshot();
    fixture.sessions.close(AFTER_GAP_MS);
    return fixture
      .snapshot()
      .filter(({ table }) => table === "session-changes")
      .map(({ value }) => value);
  };
  assert.deepEqual(close(["a", "b", "c"]), close(["c", "a", "b"]));
});

test("memory of many sessions goes back when few are left, and those go on as if nothing had been", async () => {
  const [many, few] = [new Fixture(), new Fixture()];
  const kept = ["open", "closed late", "woken", "of two visits"];
  const both = (id: string, timeMs: number): void => {
    for (const { sessions } of [many, few]) sessions.apply(id, timeMs, "click", `user of ${id}`);
  };
  for (let number = 0; number < 10_000; number++) many.sessions.apply(`session-${number}`, BASE_MS, "view", "u");
  both("of two visits", BASE_MS);
  const fullBytes = many.sessions.sizeBytes;
  const step = async (watermarkMs: number): Promise<void> => {
    for (const each of [many, few]) {
      each.sessions.close(watermarkMs);
      await each.commit();
    }
  };
  await step(BASE_MS);
  for (const id of kept) both(id, AFTER_GAP_MS);
  await step(AFTER_GAP_MS);
  both("closed late", AFTER_GAP_MS + MINUTE_MS);
  await step(AFTER_GAP_MS);
  assert.equal(many.sessions.residentCount, kept.length);
  assert.ok(many.sessions.sizeBytes < fullBytes / 20, `${many.sessions.sizeBytes} of ${fullBytes} bytes`);
  both("closed late", AFTER_GAP_MS + 2 * MINUTE_MS);
  for (const afterMs of [0, 4 * MINUTE_MS, 4 * MINUTE_MS, 4 * MINUTE_MS]) {
    await step(AFTER_GAP_MS + rules.gapMs + afterMs);
    for (const id of kept) assert.deepEqual(many.sessions.find(id)?.segments, few.sessions.find(id)?.segments);
    assert.equal(many.sessions.residentCount, few.sessions.residentCount);
    const open = many.openInStore.filter((id) => kept.includes(id));
    assert.deepEqual(open, few.openInStore);
  }
  assert.equal(many.sessions.residentCount, 0);
});
