/**
 * What a host says that a tenant's state takes: each kind grows with what it stands for, tenants are told apart, allocated memory
 * is at most twice what is said, and it falls by itself as time passes with a few events only: a tenant at its bound recovers.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { verdictOf } from "../../protocol/verdicts.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { MetricHost } from "../../workers/metric-host.ts";
import { noStateBytes, stateKinds, sumOf, tenantStatesOf, type StateBytes } from "../../workers/tenant-state.ts";
import { ActorWorld } from "../actors/actor-world.ts";
import { BASE_MS, countByCountry, event, onlyBuys, rules, TENANT, type TestEvent } from "../actors/event-fixture.ts";

const definitions = [countByCountry, onlyBuys];
const PARTITIONS = 2;

class Host {
  readonly world = new ActorWorld(PARTITIONS, definitions);
  readonly metricHost = new MetricHost({
    host: 0,
    hosts: 1,
    store: new MemoryStore(),
    plans: new MetricPlans(),
    retention: rules.paneRetention,
    epoch: "epoch-1",
    deliverDeltas: () => undefined,
  });

  constructor() {
    this.metricHost.define(TENANT, definitions);
  }

  publish(events: readonly TestEvent[], ingestTimeMs: number): void {
    this.world.publish(events, ingestTimeMs);
    for (const partition of this.world.partitions) this.metricHost.receive(partition.collect());
  }

  snapshot(): void {
    for (const partition of this.world.partitions) partition.snapshot();
  }

  get bytes(): StateBytes {
    const states = tenantStatesOf(this.world.partitions, this.metricHost);
    assert.deepEqual(
      states.map(({ tenant }) => tenant),
      [TENANT],
    );
    return states[0]?.bytes ?? noStateBytes();
  }

  /** At most twice of what counts is allocated, where that can be told. */
  check(): void {
    for (const partition of this.world.partitions) {
      for (const { dedup, sessions } of partition.tenants.values()) {
        assert.ok(dedup.sizeBytes <= 2 * dedup.countedBytes && sessions.sizeBytes <= 2 * sessions.countedBytes);
      }
    }
  }
}

/** A session, a country and an id of its own for each. */
function flood(count: number, timeMs: number): TestEvent[] {
  return Array.from({ length: count }, (_, index) =>
    event(timeMs, { eventId: `flood-${index}`, sessionId: `session-${index}`, country: `country-${index}` }),
  );
}

test("each kind grows with what it stands for", () => {
  const host = new Host();
  host.publish([event(BASE_MS)], BASE_MS);
  const empty = host.bytes;
  const count = 5_000;
  host.publish(flood(count, BASE_MS), BASE_MS);
  host.publish([event(BASE_MS, { eventId: "bad", verdict: verdictOf("WEIR_EVENT_FIELD_TYPE") })], BASE_MS);
  const full = host.bytes;
  host.check();
  const grown = (kind: keyof StateBytes): number => (full[kind] - empty[kind]) / count;
  assert.ok(grown("ids") >= 9 && grown("ids") < 50, `${grown("ids")} bytes an id`);
  assert.ok(grown("sessions") >= 80 && grown("sessions") < 300, `${grown("sessions")} bytes a session`);
  assert.ok(grown("panes") >= 200 && grown("panes") < 800, `${grown("panes")} bytes a series with a pane`);
  assert.ok(grown("metrics") >= 100 && grown("metrics") < 800, `${grown("metrics")} bytes a series with a merged pane`);
  assert.ok(full.letters > 0);
  host.snapshot();
  assert.equal(host.bytes.letters, 0);
  assert.equal(host.bytes.ids, full.ids, "ids wait for the snapshot in the table, nowhere else");
});

test("tenants are told apart, and one that only stage 2 knows is there", () => {
  const host = new Host();
  host.publish(flood(1_000, BASE_MS), BASE_MS);
  const before = host.bytes;
  host.metricHost.define("other", definitions);
  for (const partition of host.world.partitions) partition.define("third", definitions);
  const states = new Map(tenantStatesOf(host.world.partitions, host.metricHost).map(({ tenant, bytes }) => [tenant, bytes]));
  assert.deepEqual([...states.keys()].toSorted(), [TENANT, "other", "third"].toSorted());
  assert.deepEqual(states.get(TENANT), before);
  assert.deepEqual(states.get("other"), noStateBytes());
  assert.ok(sumOf(states.get("third") ?? noStateBytes()) < 10_000, "an empty tenant takes next to nothing");
});

test("with a few events now and then a full state empties by itself", () => {
  const host = new Host();
  host.publish(flood(20_000, BASE_MS), BASE_MS);
  host.snapshot();
  const full = host.bytes;
  /** Some events, as the gateway lets them through: enough to reach all partitions. */
  const later = (afterMs: number): void => {
    const timeMs = BASE_MS + afterMs;
    const few = Array.from({ length: 8 }, (_, index) =>
      event(timeMs, { eventId: `${timeMs}-${index}`, sessionId: `later-${index}` }),
    );
    host.publish(few, timeMs);
    host.snapshot();
    host.check();
  };
  const isGone = (...kinds: (keyof StateBytes)[]): void => {
    for (const kind of kinds) assert.ok(host.bytes[kind] <= full[kind] / 10, `${kind}: ${host.bytes[kind]} of ${full[kind]}`);
  };
  for (const afterMs of [rules.gapMs + 2 * MINUTE_MS, HOUR_MS, HOUR_MS + MINUTE_MS]) later(afterMs);
  isGone("sessions");
  for (let hour = 2; hour <= 26; hour++) later(hour * HOUR_MS);
  isGone("sessions", "ids");
  // An hour that panes have left lies past the retention.
  for (const afterMs of [rules.paneRetention.allMs + HOUR_MS, rules.paneRetention.allMs + DAY_MS]) later(afterMs);
  isGone("sessions", "ids", "metrics");
  // The table of panes does not shrink; its places are used again.
  assert.ok(host.bytes.panes <= full.panes / 2);
  assert.deepEqual(Object.keys(full).toSorted(), [...stateKinds].toSorted());
});
