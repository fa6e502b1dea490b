/**
 * The bound on what tenants' state takes: whose frames are refused, what is let through all the same, and what the answer says.
 * Law of the fair level: what is below it, cut off at it, fits; it is at least an equal share; only those above it are refused.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { Ingest } from "../../server/ingest.ts";
import { fairLevel, StateBudget, statesOf } from "../../server/state-budget.ts";
import type { HandedFrame } from "../../workers/hand-off.ts";
import type { Hosts } from "../../workers/hosts.ts";
import type { HostStatus, PublishOutcome } from "../../workers/ports.ts";
import { noStateBytes, type StateBytes } from "../../workers/tenant-state.ts";
import { hostStatus } from "./gateway-fixture.ts";

const MIB = 1024 * 1024;

type Taken = Readonly<Record<string, Partial<StateBytes>>>;

function statusOf(host: number, taken: Taken): HostStatus {
  const tenantStates = Object.entries(taken).map(([tenant, bytes]) => ({ tenant, bytes: { ...noStateBytes(), ...bytes } }));
  return { ...hostStatus("running"), host, tenantStates };
}

class World {
  taken: Taken = {};
  nowMs = 0;
  readonly changes: [string, boolean][] = [];
  readonly budget: StateBudget;

  constructor(tenantBytesMax: number, totalBytesMax: number) {
    this.budget = new StateBudget({
      tenantBytesMax,
      totalBytesMax,
      statuses: () => [statusOf(0, this.taken)],
      now: () => this.nowMs,
      onChange: (tenant, isFull) => this.changes.push([tenant, isFull]),
    });
  }

  review(taken: Taken): void {
    this.taken = taken;
    this.budget.review();
  }

  takes(tenant: string, bytes = 100): boolean {
    try {
      this.budget.admit(tenant, bytes);
      return true;
    } catch {
      return false;
    }
  }

  /** Those that are refused once their frame of the second has gone through. */
  refused(tenants: readonly string[]): string[] {
    for (const tenant of tenants) this.takes(tenant);
    return tenants.filter((tenant) => !this.takes(tenant));
  }
}

test("figures of all hosts are added up by tenant and kind", () => {
  const states = statesOf([
    statusOf(0, { a: { ids: 1, sessions: 2 }, b: { panes: 3 } }),
    statusOf(1, { a: { ids: 10, metrics: 20 }, c: { letters: 30 } }),
  ]);
  assert.deepEqual(Object.fromEntries(states), {
    a: { ids: 11, sessions: 2, panes: 0, metrics: 20, letters: 0 },
    b: { ids: 0, sessions: 0, panes: 3, metrics: 0, letters: 0 },
    c: { ids: 0, sessions: 0, panes: 0, metrics: 0, letters: 30 },
  });
});

test("law: the level fits, is at least an equal share, and is as high as can be", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 12 }), fc.nat(5_000), (taken, total) => {
      const level = fairLevel(taken, total);
      const cutOff = taken.reduce((sum, bytes) => sum + Math.min(bytes, level), 0);
      assert.ok(cutOff <= total + 1e-6);
      assert.ok(level >= total / taken.length - 1e-6);
      if (level === Infinity) return;
      assert.ok(Math.max(...taken) > level, "somebody is above");
      assert.ok(Math.abs(cutOff - total) < 1e-6, "nothing is left over");
    }),
  );
});

test("a tenant is refused above its budget until it is some way below", () => {
  const world = new World(100, Infinity);
  for (const ids of [50, 100, 101, 99, 96, 95, 99, 100, 101]) world.review({ a: { ids }, b: { ids: 100 } });
  assert.deepEqual(world.changes, [
    ["a", true],
    ["a", false],
    ["a", true],
  ]);
  assert.deepEqual(world.refused(["a", "b", "unknown"]), ["a"]);
});

test("all together above the total: only those above the fair level are refused, whoever else there is", () => {
  const world = new World(Infinity, 1_000);
  const quiet = { c: { ids: 100 }, d: { ids: 10 } };
  world.review({ a: { ids: 500 }, b: { ids: 390 }, ...quiet });
  assert.deepEqual(world.refused(["a", "b", "c", "d"]), []);
  world.review({ a: { ids: 600 }, b: { ids: 391 }, ...quiet });
  assert.deepEqual(world.refused(["a", "b", "c", "d"]), ["a"]);
  world.review({ a: { ids: 600 }, b: { ids: 700 }, ...quiet });
  assert.deepEqual(world.refused(["a", "b", "c", "d"]), ["a", "b"]);
  // Not quite below: it would go back and forth.
  world.review({ a: { ids: 500 }, b: { ids: 380 }, ...quiet });
  assert.deepEqual(world.refused(["a", "b", "c", "d"]), ["a"]);
  world.review({ a: { ids: 400 }, b: { ids: 380 }, ...quiet });
  assert.deepEqual(world.refused(["a", "b", "c", "d"]), []);
  assert.equal(world.budget.figures.full, 0);
});

test("those above four fifths of a bound are counted, of their own and of all", () => {
  const nearly = (world: World, taken: Taken): number => {
    world.review(taken);
    return world.budget.figures.nearlyFull;
  };
  const own = new World(100, Infinity);
  assert.equal(nearly(own, { a: { ids: 80 }, b: { ids: 81 }, c: { ids: 200 } }), 2);
  const all = new World(Infinity, 100);
  assert.equal(nearly(all, { a: { ids: 40 }, b: { ids: 40 } }), 0);
  assert.equal(nearly(all, { a: { ids: 40 }, b: { ids: 39 }, c: { ids: 5 } }), 2);
  assert.equal(all.budget.figures.full, 0);
});

test("any number of noisy tenants: one with less than its equal share is never refused", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 12 }), fc.nat(3_000), (noisy, totalBytesMax) => {
      const world = new World(Infinity, totalBytesMax);
      const share = totalBytesMax / (noisy.length + 1);
      const taken = Object.fromEntries(noisy.map((ids, index) => [`noisy-${index}`, { ids }]));
      for (let round = 0; round < 3; round++) {
        world.review({ ...taken, quiet: { ids: share * 0.9 } });
        assert.deepEqual(world.refused(["quiet"]), []);
      }
    }),
  );
});

test("of a full tenant one frame a second is let through, a large one for several seconds", () => {
  const world = new World(100, Infinity);
  world.review({ a: { ids: 101 } });
  assert.deepEqual([world.takes("a"), world.takes("a"), world.takes("a")], [true, false, false]);
  world.nowMs += limits.fullTenantFrameEveryMs - 1;
  world.budget.review();
  assert.equal(world.takes("a"), false);
  world.nowMs += 1;
  const seconds = 10;
  assert.equal(world.takes("a", seconds * limits.fullTenantBytesPerSecond), true);
  world.nowMs += seconds * 1_000 - 1;
  assert.equal(world.takes("a"), false);
  world.nowMs += 1;
  assert.equal(world.takes("a"), true);
  assert.equal(world.budget.figures.framesLetThrough, 3);
});

test("without a bound nobody is refused", () => {
  const world = new World(Infinity, Infinity);
  world.review({ a: { ids: 1e15 } });
  assert.deepEqual(world.refused(["a"]), []);
});

test("a refused frame reaches no host; its answer says what takes the space, and nothing of others", async () => {
  const world = new World(10 * MIB, Infinity);
  const handed: HandedFrame[] = [];
  const hosts = { count: 1, takesFrames: () => true, hand: (_host: number, frame: HandedFrame) => void handed.push(frame) };
  const ingest = new Ingest({
    hosts: hosts as unknown as Hosts,
    partitionCount: 1,
    now: () => world.nowMs,
    tenants: { isKnown: () => true, introduce: async () => undefined },
    admitState: (tenant, bytes) => world.budget.admit(tenant, bytes),
  });
  const publish = (tenant: string) => {
    const request = { tenant: tenant as TenantId, format: FRAME_FORMATS.json, bytes: new Uint8Array(2), allResults: false };
    return new Promise<PublishOutcome>((resolve) => ingest.publish(request, resolve));
  };
  world.review({ a: { sessions: 9 * MIB, ids: 2 * MIB }, b: { ids: 7 * MIB } });
  void publish("a");
  void publish("b");
  assert.equal(handed.length, 2, "the frame of the second");
  const refused = await publish("a");
  assert.equal(handed.length, 2);
  assert.ok(refused.kind === "refused");
  assert.deepEqual([refused.code, refused.retryAfterMs], ["WEIR_TENANT_STATE_FULL", 1_000]);
  const what = "It takes 11.0 MiB, more than its budget of 10.0 MiB (sessions 9.0 MiB, remembered event ids 2.0 MiB).";
  assert.ok(refused.detail?.startsWith(what), refused.detail);
});
