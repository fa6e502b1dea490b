/**
 * The replay law: (snapshot at any record + the records after it) gives the state of never having stopped: the next snapshot
 * writes the same bytes under the same keys, and the store ends up the same. It holds across changed, removed and returning
 * metrics, duplicates, late and refused events, and ingest times that run backwards.
 * And what a snapshot in between does not change: panes, ledger, watermark, dead letters and which of them are too old.
 * The ledger's sums hold: dead letters kept and removed, events in panes and aged.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../protocol/bytes.ts";
import type { Offset, PartitionId } from "../../protocol/ids.ts";
import { metricDefinition, type MetricDefinition } from "../../protocol/metric-definition.ts";
import { verdictOf } from "../../protocol/verdicts.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import type { StateEntry, StateWrite } from "../../actors/effects.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { Partition, type PartitionRules } from "../../actors/partition.ts";
import { decodeDeadLetter, deadLetterCode } from "../../actors/dead-letter.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import {
  BASE_MS,
  columnsOf,
  countByCountry,
  distinctUsers,
  event,
  rules,
  TENANT,
  valueByTypeAndCountry,
  type TestEvent,
} from "./event-fixture.ts";

const tight: PartitionRules = {
  ...rules,
  allowedLatenessMs: 2 * DAY_MS,
  dedupHorizonMs: 6 * HOUR_MS,
  paneRetention: { fineMs: 10 * MINUTE_MS, minuteMs: 2 * HOUR_MS, allMs: 3 * DAY_MS },
  deadLetterRetentionMs: 8 * HOUR_MS,
};

type Step =
  | { readonly kind: "frame"; readonly tenant: string; readonly events: readonly TestEvent[]; readonly ingestTimeMs: number }
  | { readonly kind: "malformed"; readonly tenant: string; readonly ingestTimeMs: number }
  | { readonly kind: "define"; readonly tenant: string; readonly definitions: readonly MetricDefinition[] };

const tenant = fc.constantFrom("acme", "acme-2");
const ingestTimeMs = fc.integer({ min: 0, max: 40 }).map((hours) => BASE_MS + hours * HOUR_MS);
const anyEvent: fc.Arbitrary<TestEvent> = fc.record({
  eventId: fc.integer({ min: 0, max: 30 }).map((number) => `e${number}`),
  sessionId: fc.integer({ min: 0, max: 5 }).map((number) => `s${number}`),
  userId: fc.constantFrom("u1", "u2", undefined),
  eventType: fc.constantFrom("click", "buy"),
  timeMs: fc.oneof(
    fc.integer({ min: 0, max: 3 * HOUR_MS }).map((ms) => BASE_MS + ms),
    fc.integer({ min: 0, max: 5 * DAY_MS }).map((ms) => BASE_MS + ms),
  ),
  country: fc.constantFrom("DE", "FR", null),
  value: fc.integer({ min: 0, max: 100 }),
});
const refused = anyEvent.map((each) => ({ ...each, verdict: verdictOf("WEIR_EVENT_FIELD_MISSING") }));
const twoSeries = metricDefinition.parse({ ...countByCountry, seriesMax: 2 });
const definitions = fc.uniqueArray(fc.constantFrom(countByCountry, twoSeries, valueByTypeAndCountry, distinctUsers), {
  selector: ({ name }) => name,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("frame" as const),
      tenant,
      ingestTimeMs,
      events: fc.array(fc.oneof({ weight: 8, arbitrary: anyEvent }, { weight: 1, arbitrary: refused }), { maxLength: 8 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("malformed" as const), tenant, ingestTimeMs }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("define" as const), tenant, definitions }) },
);
const steps = fc.array(step, { minLength: 1, maxLength: 25 });

function newPartition(store: MemoryStore): Partition {
  return new Partition(0 as PartitionId, 0, tight, new MetricPlans(), store);
}

function apply(partition: Partition, each: Step, offset: Offset): number[] {
  if (each.kind === "define") {
    partition.define(each.tenant, each.definitions);
    partition.settle(each.tenant, offset);
    return [];
  }
  const facts = { tenant: each.tenant, offset, ingestTimeMs: each.ingestTimeMs, format: 1 };
  const columns = columnsOf(each.kind === "malformed" ? [] : each.events, 1, each.tenant);
  if (each.kind === "malformed") partition.refuseFrame(facts, verdictOf("WEIR_FRAME_MALFORMED"), Uint8Array.of(1, 2, 3));
  else partition.applyRows(facts, columns, Int32Array.from(columns.verdicts.keys()), 0, columns.count);
  partition.settle(each.tenant, offset);
  return [...columns.verdicts];
}

/** The writes as the store takes them: the last one of a key counts. */
function byKey(writes: readonly StateWrite[]): Record<string, string> {
  const last = new Map(
    writes.map(({ table, key, value }) => [
      JSON.stringify([table, key]),
      value === undefined ? "removed" : Buffer.from(value).toString("hex"),
    ]),
  );
  return Object.fromEntries([...last].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function contents(store: MemoryStore, tables: readonly string[]): string[] {
  return tables.flatMap((table) =>
    [...store.range(table)].map(({ key, value }) => JSON.stringify([table, key, Buffer.from(value).toString("hex")])),
  );
}

const TABLES = ["meta", "dedup", "sessions", "open-sessions", "session-changes", "panes", "dead-letters"];

test("a restart at any record changes nothing: the same verdicts, the same writes, the same store", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(), fc.nat(), async (all, cutSeed, secondSeed) => {
      const cut = cutSeed % (all.length + 1);
      const second = cut + (secondSeed % (all.length - cut + 1));
      const store = new MemoryStore();
      const running = newPartition(store);
      all.slice(0, cut).forEach((each, index) => apply(running, each, (index + 1) as Offset));
      await store.commit(running.snapshot());

      const copy = new MemoryStore({ image: store.image() });
      const restarted = newPartition(copy);
      assert.ok(restarted.restore());
      assert.equal(restarted.appliedOffset, running.appliedOffset);

      // A second snapshot somewhere behind, so that passivation and chunks of both have gone one more round.
      for (const [from, to] of [
        [cut, second],
        [second, all.length],
      ] as const) {
        for (let index = from; index < to; index++) {
          const each = all[index] as Step;
          const offset = (index + 1) as Offset;
          assert.deepEqual(apply(restarted, each, offset), apply(running, each, offset), "the same verdicts");
        }
        const [one, two] = [running.snapshot(), restarted.snapshot()];
        assert.deepEqual(byKey(two), byKey(one));
        await store.commit(one);
        await copy.commit(two);
        assert.deepEqual(contents(copy, TABLES), contents(store, TABLES));
      }
    }),
    { numRuns: 400 },
  );
});

test("snapshots in between leave panes, dead letters and the ledger as they would be without them", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.array(fc.nat(25), { maxLength: 5 }), async (all, cuts) => {
      const [often, once] = [new MemoryStore(), new MemoryStore()];
      const [one, two] = [newPartition(often), newPartition(once)];
      for (const [index, each] of all.entries()) {
        apply(one, each, (index + 1) as Offset);
        apply(two, each, (index + 1) as Offset);
        if (cuts.includes(index)) await often.commit(one.snapshot());
      }
      await often.commit(one.snapshot());
      await once.commit(two.snapshot());
      assert.deepEqual(
        contents(often, ["panes", "dead-letters", "open-sessions"]),
        contents(once, ["panes", "dead-letters", "open-sessions"]),
      );
      for (const [name, state] of one.tenants) {
        const other = two.tenants.get(name);
        assert.deepEqual(
          [state.ledger, state.watermarkMs, state.dedup.count, state.removedLetters],
          [other?.ledger, other?.watermarkMs, other?.dedup.count, other?.removedLetters],
        );
        const { late, invalid } = state.ledger;
        const kept = [...often.range("dead-letters", [name], [`${name}\0`])];
        assert.equal(kept.length, late + invalid - state.removedLetters, "every dead letter is kept or counted as removed");
        for (const { plan, acceptedBefore, agedEvents } of state.metrics.values()) {
          if (!plan.countsAll) continue;
          const key = [name, plan.definition.name];
          const counted = [...often.range("panes", key, [name, `${plan.definition.name}\0`])].map(({ value }) =>
            plan.eventsIn(plan.read(new ByteReader(value))),
          );
          const sum = counted.reduce((total, each) => total + each, agedEvents + (acceptedBefore ?? Number.NaN));
          assert.equal(sum, state.ledger.accepted, `${plan.definition.name}: every accepted event is in a pane, or aged`);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("dead letters that wait are told as after a snapshot, also while one is on its way", async () => {
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.array(fc.constantFrom("nothing", "snapshot", "leaving", "arrived"), { maxLength: 25 }),
      (all, what) => {
        const store = new MemoryStore({ manual: true });
        const partition = newPartition(store);
        const commit = (writes: readonly StateWrite[]): void => {
          void store.commit(writes);
          store.flushNow();
        };
        const told = (): string[] =>
          ["acme", "acme-2"].flatMap((name) => [
            ...lettersOf(partition.deadLetters(name, store.range("dead-letters", [name], [`${name}\0`], { reverse: true }))),
          ]);
        all.forEach((each, index) => {
          apply(partition, each, (index + 1) as Offset);
          const offset = (index + 1) as Offset;
          switch (what[index] ?? "nothing") {
            case "nothing":
              return;
            case "snapshot":
              commit(partition.snapshot());
              partition.committed(offset);
              return;
            default: {
              const before = told();
              const writes = partition.snapshot();
              // Taken, and not there yet; there, and not known to be.
              if (what[index] === "arrived") commit(writes);
              assert.deepEqual(told(), before);
              if (what[index] === "leaving") commit(writes);
              partition.committed(offset);
            }
          }
        });
        const waiting = told();
        commit(partition.snapshot());
        const stored = ["acme", "acme-2"].flatMap((name) => [
          ...lettersOf(store.range("dead-letters", [name], [`${name}\0`], { reverse: true })),
        ]);
        assert.deepEqual(waiting, stored);
        return Promise.resolve();
      },
    ),
    { numRuns: 300 },
  );
});

function lettersOf(entries: Iterable<StateEntry>): string[] {
  return Array.from(entries, ({ key, value }) => JSON.stringify([key, Buffer.from(value).toString("hex")]));
}

test("what letters hold of memory is counted whole, and free after a snapshot", () => {
  const partition = newPartition(new MemoryStore());
  let written = 0;
  for (let offset = 1; offset <= 50; offset++) {
    const bytes = new Uint8Array(10_000);
    partition.refuseFrame(
      { tenant: TENANT, offset: offset as Offset, ingestTimeMs: 1, format: 1 },
      verdictOf("WEIR_FRAME_MALFORMED"),
      bytes,
    );
    written += bytes.length;
    assert.ok(partition.deadLetterBytes >= written, `${partition.deadLetterBytes} of ${written}`);
  }
  assert.ok(partition.deadLetterBytes < 1.2 * written);
  partition.snapshot();
  assert.equal(partition.deadLetterBytes, 0);
});

test("dead letters are kept with their bytes and reason, under the record and row they came in", async () => {
  const store = new MemoryStore();
  const partition = newPartition(store);
  const late = event(BASE_MS - 3 * DAY_MS, { eventId: "late" });
  const wrong = { ...event(BASE_MS), eventId: "wrong", verdict: verdictOf("WEIR_EVENT_TIMESTAMP_INVALID") };
  apply(partition, { kind: "frame", tenant: TENANT, ingestTimeMs: 7, events: [event(BASE_MS), late, wrong] }, 5 as Offset);
  apply(partition, { kind: "malformed", tenant: TENANT, ingestTimeMs: 8 }, 6 as Offset);
  assert.ok(partition.deadLetterBytes > 0);
  await store.commit(partition.snapshot());
  assert.equal(partition.deadLetterBytes, 0);
  const letters = [...store.range("dead-letters")].map(({ key, value }) => {
    const letter = decodeDeadLetter(value);
    return {
      key,
      code: deadLetterCode(letter),
      path: letter.path,
      eventId: letter.eventId,
      raw: Buffer.from(letter.raw).toString("latin1"),
    };
  });
  assert.deepEqual(letters, [
    { key: [TENANT, 7, 0, 5, 1], code: "WEIR_EVENT_LATE", path: "", eventId: "late", raw: JSON.stringify(late) },
    {
      key: [TENANT, 7, 0, 5, 2],
      code: "WEIR_EVENT_TIMESTAMP_INVALID",
      path: "timestamp",
      eventId: "wrong",
      raw: JSON.stringify(wrong),
    },
    { key: [TENANT, 8, 0, 6, 0], code: "WEIR_FRAME_MALFORMED", path: "", eventId: "", raw: "\x01\x02\x03" },
  ]);
});
