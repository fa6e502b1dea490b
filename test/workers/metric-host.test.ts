/**
 * The metric host: rows are written only once all partials of before the start have come; one that is unchanged is not written
 * again; the feed names each pane once under a number that is never given twice; rows of a metric that is gone go; and a
 * channel that is opened anew is never resumed from one of before (promise 9).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "../../protocol/bytes.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { decodeServerFrame } from "../../protocol/frames.ts";
import type { TenantId } from "../../protocol/ids.ts";
import type { MetricDefinition } from "../../protocol/metric-definition.ts";
import { DAY_MS, HOUR_MS } from "../../protocol/windows.ts";
import { changedKey } from "../../actors/change-feed.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { changesTable, decodePaneRow, eventClock, MetricHost, PANE_ROWS } from "../../workers/metric-host.ts";
import type { ChannelAddress } from "../../workers/ports.ts";
import { ActorWorld, ALL_TIME } from "../actors/actor-world.ts";
import { BASE_MS, countByCountry, event, onlyBuys, rules, TENANT } from "../actors/event-fixture.ts";

const address: ChannelAddress = { tenant: TENANT as TenantId, metric: countByCountry.name, window: "5m", everyMs: 100 };

class Fixture {
  readonly store: MemoryStore;
  readonly world: ActorWorld;
  readonly deltas: { topic: string; frame: Uint8Array }[] = [];
  readonly host: MetricHost;
  /** Called whenever the host lets others have their turn. */
  onPause: () => void = () => undefined;

  constructor(store = new MemoryStore(), world = new ActorWorld(2, [countByCountry, onlyBuys])) {
    this.store = store;
    this.world = world;
    this.host = new MetricHost({
      host: 0,
      hosts: 1,
      store,
      plans: new MetricPlans(),
      retention: rules.paneRetention,
      epoch: "epoch-1",
      deliverDeltas: (deltas) => this.deltas.push(...deltas),
      pause: async () => this.onPause(),
    });
    this.host.define(TENANT, [countByCountry, onlyBuys]);
  }

  publish(...events: Parameters<ActorWorld["publish"]>[0]): void {
    this.world.publish(events, BASE_MS);
    this.collect();
  }

  collect(): void {
    for (const partition of this.world.partitions) this.host.receive(partition.collect());
  }

  get rows(): string[] {
    return [...this.store.range(PANE_ROWS)].map(({ key }) => key.slice(1).join(" "));
  }

  get feed(): [seq: number, key: string][] {
    return [...this.store.range(changesTable(0))].map(({ key, value }) => [Number(key[0]), changedKey(value).slice(1).join(" ")]);
  }
}

test("many rows are made a few at a time, and what changes meanwhile is written with the next ones", async () => {
  const fixture = new Fixture();
  fixture.host.go();
  const countries = Array.from({ length: 600 }, (_, index) => `C${index}`);
  fixture.publish(...countries.map((country, index) => event(BASE_MS + index, { country })));
  let pauses = 0;
  fixture.onPause = () => {
    if (++pauses !== 2) return;
    fixture.publish(...["C0", "C599"].map((country) => event(BASE_MS + 1, { eventId: `late ${country}`, country })));
  };
  await fixture.host.writeRows();
  assert.ok(pauses >= 4, `it paused ${pauses} times`);
  assert.equal(fixture.rows.length, 600);
  await fixture.host.finishRows();
  assert.equal(fixture.feed.length, 600, "each row has one place in the feed");
  const counts = [...fixture.store.range(PANE_ROWS)].map(({ key, value }) => {
    const states = new MetricPlans().of(countByCountry).read(new ByteReader(decodePaneRow(value).states));
    return [String(key.at(-1)), new MetricPlans().of(countByCountry).finish(states, 1)[0]?.[0]] as const;
  });
  const more = counts.filter(([, count]) => count !== 1).map(([series, count]) => `${series} ${Number(count)}`);
  assert.deepEqual(more.toSorted(), ['["C0"] 2', '["C599"] 2']);
});

test("a host that is stopped between rows writes nothing more", async () => {
  const fixture = new Fixture();
  fixture.host.go();
  fixture.publish(...Array.from({ length: 600 }, (_, index) => event(BASE_MS + index, { country: `C${index}` })));
  fixture.onPause = () => fixture.host.stop();
  await fixture.host.writeRows();
  assert.deepEqual(fixture.rows, []);
});

test("no row before go, then each changed pane once in the feed, and nothing for what did not change", async () => {
  const fixture = new Fixture();
  fixture.publish(event(BASE_MS, { country: "DE" }), event(BASE_MS + 1, { country: "FR" }));
  await fixture.host.writeRows();
  assert.deepEqual(fixture.rows, []);
  fixture.host.go();
  await fixture.host.writeRows();
  const [de, fr] = ['by_country 1768478400000 60000 ["DE"]', 'by_country 1768478400000 60000 ["FR"]'];
  assert.deepEqual(fixture.rows, [de, fr]);
  assert.deepEqual(fixture.feed, [
    [1, de],
    [2, fr],
  ]);
  fixture.publish(event(BASE_MS + 2, { country: "DE" }));
  await fixture.host.writeRows();
  assert.deepEqual(
    fixture.feed,
    [
      [2, fr],
      [3, de],
    ],
    "a pane stands under its last change only",
  );
  await fixture.host.writeRows();
  assert.deepEqual(fixture.feed.length, 2);
});

test("after a restart, partials that say what is stored write nothing", async () => {
  const before = new Fixture();
  before.host.go();
  before.publish(event(BASE_MS, { country: "DE" }));
  await before.host.writeRows();
  const after = new Fixture(before.store, before.world);
  for (const partition of before.world.partitions) partition.recollect();
  after.collect();
  after.host.go();
  await after.host.writeRows();
  assert.deepEqual(after.feed, [[1, 'by_country 1768478400000 60000 ["DE"]']]);
});

test("partials by another definition of a metric are left alone; by its own they count", () => {
  const fixture = new Fixture();
  const other: MetricDefinition = { ...countByCountry, aggregates: ["sum", "count"], value: "properties.value" };
  const world = new ActorWorld(1, [other]);
  world.publish([event(BASE_MS, { country: "DE", value: 2 })], BASE_MS);
  const query = { metric: countByCountry.name, span: ALL_TIME, bucketMs: Infinity, keep: [], filters: [] };
  const [partition] = world.partitions;
  assert.ok(partition !== undefined);
  fixture.host.receive(partition.collect());
  assert.deepEqual(fixture.host.query(TENANT, query).rows, []);
  fixture.host.define(TENANT, [other]);
  partition.recollect();
  fixture.host.receive(partition.collect());
  assert.deepEqual(
    fixture.host.query(TENANT, query).rows.map(({ outputs }) => outputs),
    [[[2], [1]]],
  );
});

test("a metric that is removed takes its rows and feed entries along; their numbers are not given again, over a restart", async () => {
  const fixture = new Fixture();
  fixture.host.go();
  fixture.publish(event(BASE_MS, { eventType: "buy", value: 2, country: "DE" }));
  await fixture.host.writeRows();
  assert.deepEqual(
    fixture.feed.map(([seq]) => seq),
    [1, 2],
  );
  fixture.host.define(TENANT, []);
  await fixture.host.writeRows();
  assert.deepEqual([fixture.rows, fixture.feed], [[], []]);
  const after = new Fixture(fixture.store);
  after.host.go();
  after.publish(event(BASE_MS, { country: "DE" }));
  await after.host.writeRows();
  assert.deepEqual(
    after.feed.map(([seq]) => seq),
    [3],
    "the warehouse writer has read up to 2 and goes on from there",
  );
});

test("a metric that is removed and made anew begins with no rows, also when it was never looked at in between", async () => {
  const fixture = new Fixture();
  fixture.host.go();
  fixture.publish(event(BASE_MS, { country: "DE" }));
  await fixture.host.writeRows();
  fixture.host.define(TENANT, []);
  fixture.host.define(TENANT, [countByCountry]);
  for (const partition of fixture.world.partitions) partition.recollect();
  fixture.collect();
  await fixture.host.writeRows();
  assert.equal(fixture.rows.length, 1);
  assert.deepEqual(
    fixture.feed.map(([seq]) => seq),
    [2],
  );
});

test("rows past retention go when the warehouse has them, not before", async () => {
  const fixture = new Fixture();
  fixture.host.go();
  fixture.publish(event(BASE_MS, { country: "DE" }));
  await fixture.host.writeRows();
  fixture.publish(event(BASE_MS + 50 * DAY_MS, { country: "FR" }));
  await fixture.host.writeRows();
  assert.equal(fixture.rows.length, 2);
  fixture.host.storedRows = Infinity;
  await fixture.host.writeRows();
  assert.equal(fixture.rows.length, 1);
});

test("a row holds the states that a query of the pane gives, and how they are to be read", async () => {
  const fixture = new Fixture();
  fixture.host.go();
  fixture.publish(event(BASE_MS, { country: "DE", sessionId: "a" }), event(BASE_MS + 9, { country: "DE", sessionId: "b" }));
  await fixture.host.writeRows();
  const [entry] = fixture.store.range(PANE_ROWS);
  const row = decodePaneRow(entry?.value ?? new Uint8Array());
  const span = { fromMs: BASE_MS, toMs: BASE_MS + HOUR_MS };
  const { rows } = fixture.host.query(TENANT, { metric: countByCountry.name, span, bucketMs: 60_000, keep: [0], filters: [] });
  assert.deepEqual(Buffer.from(row.states), Buffer.from(rows[0]?.states ?? []));
  assert.deepEqual(rows[0]?.outputs, [[2]]);
  assert.deepEqual(JSON.parse(row.definition), countByCountry);
});

test("an unknown metric is refused with its code", () => {
  const { host } = new Fixture();
  const span = { fromMs: 0, toMs: 1 };
  assert.throws(
    () => host.query(TENANT, { metric: "nope", span, bucketMs: 1, keep: [], filters: [] }),
    (error) => error instanceof WeirError && error.code === "WEIR_METRIC_UNKNOWN",
  );
  assert.deepEqual(host.open({ ...address, metric: "nope" }, undefined, 0), { kind: "refused", code: "WEIR_METRIC_UNKNOWN" });
  assert.deepEqual(host.open({ ...address, tenant: "other" as TenantId }, undefined, 0), {
    kind: "refused",
    code: "WEIR_METRIC_UNKNOWN",
  });
});

test("deltas carry the channel, epoch and a seq that rises by one, not faster than asked for", () => {
  const fixture = new Fixture();
  fixture.publish(event(BASE_MS, { country: "DE" }));
  const opening = fixture.host.open(address, undefined, BASE_MS);
  assert.ok(opening.kind === "snapshot");
  assert.deepEqual([opening.seq, opening.rows], [0, [{ country: "DE", count: 1 }]]);
  for (const [ms, id] of [
    [1, "a"],
    [2, "b"],
    [150, "c"],
  ] as const) {
    fixture.publish(event(BASE_MS + 1, { eventId: id, country: "DE" }));
    fixture.host.refreshChannels(BASE_MS + ms);
  }
  const frames = fixture.deltas
    .map(({ frame }) => decodeServerFrame(frame))
    .map((frame) => (frame.t === "delta" ? [frame.channel, frame.epoch, frame.seq, frame.values] : []));
  assert.deepEqual(frames, [
    ["by_country@5m", "epoch-1", 1, [{ country: "DE", count: 2 }]],
    ["by_country@5m", "epoch-1", 2, [{ country: "DE", count: 4 }]],
  ]);
});

test("a channel that was closed and opened again is not resumed from its former life, nor over a metric made anew", () => {
  const fixture = new Fixture();
  fixture.publish(event(BASE_MS, { country: "DE" }));
  const change = (id: string): void => {
    fixture.publish(event(BASE_MS + 1, { eventId: id, country: "DE" }));
    fixture.host.refreshChannels(BASE_MS + 1_000 * Number(id));
  };
  fixture.host.open(address, undefined, BASE_MS);
  change("1");
  change("2");
  const since = { epoch: "epoch-1", seq: 2 };
  assert.equal(fixture.host.open(address, since, BASE_MS).kind, "resumed");
  fixture.host.close(address);
  fixture.host.close(address);
  fixture.publish(event(BASE_MS + 1, { eventId: "unseen", country: "FR" }));
  const reopened = fixture.host.open(address, undefined, BASE_MS);
  for (const id of ["3", "4", "5"]) change(id);
  assert.ok(reopened.kind === "snapshot" && reopened.seq > since.seq);
  assert.equal(fixture.host.open(address, since, BASE_MS).kind, "snapshot", "it has not seen FR");
  fixture.host.define(TENANT, []);
  fixture.host.define(TENANT, [countByCountry]);
  assert.equal(fixture.host.open(address, { epoch: "epoch-1", seq: reopened.seq }, BASE_MS).kind, "snapshot");
  assert.equal(fixture.host.open(address, { epoch: "epoch-0", seq: 0 }, BASE_MS).kind, "snapshot");
});

test("the event clock stands on the watermark and moves on with the wall clock since its receipt", () => {
  assert.equal(eventClock({ watermarkMs: -Infinity, watermarkIngestMs: -Infinity }, 5), 5);
  assert.equal(eventClock({ watermarkMs: 100, watermarkIngestMs: 1_000 }, 1_030), 130);
  assert.equal(eventClock({ watermarkMs: 100, watermarkIngestMs: 1_000 }, 900), 100, "a clock set back moves nothing back");
});
