/**
 * Law (promises 5 and 7): a turn over many frames, applied partition by partition and metric by metric, leaves the same verdicts
 * and the same state, byte for byte, as the same frames applied one by one; the rows of a partition keep their order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../protocol/bytes.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { metricDefinition } from "../../protocol/metric-definition.ts";
import { DAY_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { readPartials } from "../actors/plain-partials.ts";
import { Partition } from "../../actors/partition.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { applyTurn, type FrameInTurn } from "../../workers/turn.ts";
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
} from "../actors/event-fixture.ts";

const PARTITIONS = 4;
/** More combinations come than these let in: which ones get in must not depend on turns. */
const fewCountries = metricDefinition.parse({ ...countByCountry, name: "few", seriesMax: 2 });
const fewFiltered = metricDefinition.parse({
  ...fewCountries,
  name: "few_filtered",
  filter: { all: [{ field: "userId", op: "ne", value: "u1" }] },
});
const metrics = [countByCountry, distinctUsers, valueByTypeAndCountry, fewCountries, fewFiltered];

const anyEvent = fc
  .record({
    // From minutes to days behind each other: panes age, sessions close and some events are too late, all within a turn; and
    // often back in a pane that others were in before.
    back: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 90 }), fc.integer({ min: 0, max: 40 * 24 * 60 })),
    id: fc.integer({ min: 0, max: 60 }),
    session: fc.integer({ min: 0, max: 5 }),
    country: fc.constantFrom("DE", "FR", "US", "IN"),
  })
  .map(({ back, id, session, country }): TestEvent => {
    const rest = { eventId: `e${id}`, sessionId: `s${session}`, userId: `u${session % 3}`, country };
    return event(BASE_MS - back * MINUTE_MS, rest);
  });
/** undefined: a frame that cannot be decoded. */
const anyFrames = fc.array(fc.option(fc.array(anyEvent, { minLength: 1, maxLength: 8 }), { nil: undefined, freq: 8 }), {
  minLength: 1,
  maxLength: 12,
});

function newPartitions(): Map<PartitionId, Partition> {
  const plans = new MetricPlans();
  return new Map(
    Array.from({ length: PARTITIONS }, (_, id) => {
      const partition = new Partition(id as PartitionId, 0, rules, plans, new MemoryStore());
      partition.define(TENANT, metrics);
      return [partition.id, partition] as const;
    }),
  );
}

function framesOf(batches: readonly (readonly TestEvent[] | undefined)[]): FrameInTurn[] {
  return batches.map((events, index) => ({
    frame: {
      id: index,
      tenant: TENANT as TenantId,
      format: FRAME_FORMATS.msgpack,
      allResults: false,
      ingestTimeMs: BASE_MS + DAY_MS + index,
      bytes: Uint8Array.of(0xc1),
    },
    columns: events === undefined ? new WeirError("WEIR_FRAME_MALFORMED") : columnsOf(events, PARTITIONS),
    offset: (index + 1) as Offset,
  }));
}

function verdictsOf(frames: readonly FrameInTurn[]): (number[] | undefined)[] {
  return frames.map(({ columns }) => (columns instanceof WeirError ? undefined : [...columns.verdicts]));
}

/** Each partial by its series and pane, whatever order they are handed on in. */
function partialsOf({ name, count, bytes }: { name: string; count: number; bytes: Uint8Array }): unknown {
  const plan = new MetricPlans().of(metrics.find((metric) => metric.name === name) ?? countByCountry);
  const reader = new ByteReader(bytes);
  const partials = readPartials(reader, plan, new Map()).map(({ seriesId, startMs, sizeMs, states }) => {
    return [`${seriesId} ${startMs} ${sizeMs}`, Buffer.from(plan.encode(states)).toString("hex")] as const;
  });
  assert.equal(partials.length, count);
  return { name, partials: Object.fromEntries(partials) };
}

/** What each partition hands to stage 2 and would write to its store. */
function stateOf(partitions: ReadonlyMap<PartitionId, Partition>): unknown {
  return [...partitions.values()].map((partition) => ({
    partials: partition.collect().map((each) => ({ ...each, metrics: each.metrics.map(partialsOf) })),
    stored: partition
      .snapshot()
      .toSorted((a, b) => (JSON.stringify([a.table, a.key]) < JSON.stringify([b.table, b.key]) ? -1 : 1)),
  }));
}

test("a turn equals its frames one by one", () => {
  fc.assert(
    fc.property(anyFrames, (batches) => {
      const [together, oneByOne] = [newPartitions(), newPartitions()];
      const [turn, singles] = [framesOf(batches), framesOf(batches)];
      applyTurn(turn, together, PARTITIONS);
      for (const frame of singles) applyTurn([frame], oneByOne, PARTITIONS);
      assert.deepEqual(verdictsOf(turn), verdictsOf(singles));
      assert.deepEqual(stateOf(together), stateOf(oneByOne));
    }),
    { numRuns: 300 },
  );
});

test("a turn stops when a row's partition is hosted elsewhere", () => {
  const partitions = newPartitions();
  for (const id of [...partitions.keys()].slice(1)) partitions.delete(id);
  const events = Array.from({ length: 20 }, (_, index) => event(BASE_MS, { eventId: `e${index}`, sessionId: `s${index}` }));
  assert.throws(() => applyTurn(framesOf([events]), partitions, PARTITIONS), /is not hosted here/);
});
