/**
 * Law (promises 1, 2 and 7): a replay in turns leaves the same state, byte for byte, as one record by record, whatever the records
 * are: several tenants, frames that cannot be read, definitions in between, more frames than a turn has. And what stops a
 * replay is blamed on its own record, wherever in a turn it stands.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../protocol/assert.ts";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { encodePublish } from "../../protocol/frames.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { encodeRecord, type FrameRecord, type JournalRecord } from "../../protocol/records.ts";
import { ACCEPTED, DUPLICATE, verdictOf } from "../../protocol/verdicts.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { Partition } from "../../actors/partition.ts";
import type { JournalEntry } from "../../storage/ports.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { replay, replayTurnBytes, type ReplayProgress } from "../../workers/replay.ts";
import { countByCountry, distinctUsers, rules } from "../actors/event-fixture.ts";
import { frame, garbage, wireEvent } from "./frame-fixture.ts";

const PARTITIONS = 4;
const MALFORMED = verdictOf("WEIR_FRAME_MALFORMED");

/** Ids by tenant: what has been seen is a duplicate, as in the journal of a host. */
type Step = { readonly tenant: string; readonly ids: readonly number[] | "garbage" | "define" };

const anyStep: fc.Arbitrary<Step> = fc.record({
  tenant: fc.constantFrom("acme", "globex"),
  ids: fc.oneof(
    { weight: 6, arbitrary: fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }) },
    { weight: 1, arbitrary: fc.constantFrom("garbage" as const, "define" as const) },
  ),
});

function journalOf(steps: readonly Step[]): JournalEntry[] {
  const seen = new Set<string>();
  return steps.map(({ tenant, ids }, index) => ({
    offset: (index + 1) as Offset,
    record: encodeRecord(recordOf(tenant as TenantId, ids, index, seen)),
  }));
}

function recordOf(tenant: TenantId, ids: Step["ids"], index: number, seen: Set<string>): JournalRecord {
  const ingestTimeMs = frame(0, []).ingestTimeMs + index;
  if (ids === "define") {
    return {
      kind: "definitions",
      tenant,
      ingestTimeMs,
      definitions: index % 2 === 0 ? [countByCountry] : [distinctUsers, countByCountry],
    };
  }
  const common = { kind: "frame", tenant, ingestTimeMs, format: FRAME_FORMATS.json } as const;
  if (ids === "garbage") return { ...common, decodable: false, verdicts: Uint8Array.of(MALFORMED), bytes: garbage(index).bytes };
  const verdicts = ids.map((id) => {
    const isKnown = seen.has(`${tenant} ${id}`);
    seen.add(`${tenant} ${id}`);
    return isKnown ? DUPLICATE : ACCEPTED;
  });
  const events = ids.map((id) => wireEvent({ id: `e${id}`, sessionId: `s${id % 11}` }));
  // JSON is copied when it is read; columns of msgpack go on reading from the record.
  const isJson = index % 3 === 0;
  const bytes = isJson ? new TextEncoder().encode(JSON.stringify(events)) : encodePublish(index, events);
  const format = isJson ? FRAME_FORMATS.json : FRAME_FORMATS.msgpack;
  return { ...common, format, decodable: true, verdicts: Uint8Array.from(verdicts), bytes };
}

function newPartitions(): Map<PartitionId, Partition> {
  const plans = new MetricPlans();
  const partitions = Array.from(
    { length: PARTITIONS },
    (_, id) => new Partition(id as PartitionId, 0, rules, plans, new SharingStore()),
  );
  return new Map(partitions.map((partition) => [partition.id, partition]));
}

/** The journal's bytes are gone when anything else is read, from it or from a store: so are these. */
function* fleeting(entries: readonly JournalEntry[]): Generator<JournalEntry> {
  shared = new Uint8Array(Math.max(1, ...entries.map(({ record }) => record.length)));
  for (const { offset, record } of entries) {
    shared.fill(0xff);
    shared.set(record);
    yield { offset, record: shared.subarray(0, record.length) };
  }
}

let shared = new Uint8Array();

class SharingStore extends MemoryStore {
  override get(...at: Parameters<MemoryStore["get"]>): Uint8Array | undefined {
    shared.fill(0xff);
    return super.get(...at);
  }
}

function stateAfter(entries: readonly JournalEntry[], careful: boolean): string {
  const partitions = newPartitions();
  assert.equal(replay(fleeting(entries), partitions, PARTITIONS, { host: 0, skipped: new Set(), careful }), entries.length);
  return JSON.stringify(
    [...partitions.values()].map((partition) =>
      partition
        .snapshot()
        .map(({ table, key, value }) => [table, key, value === undefined ? null : Buffer.from(value).toString("base64")]),
    ),
  );
}

test("in turns or record by record: the same state, byte for byte", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { minLength: 1, maxLength: 30 }), (steps) => {
      const entries = journalOf(steps);
      assert.equal(stateAfter(entries, false), stateAfter(entries, true));
    }),
    { numRuns: 150 },
  );
});

test("more frames than a turn has are replayed all, in order", () => {
  const steps = Array.from({ length: 2 * limits.replayTurnFramesMax + 3 }, (_, index): Step => ({
    tenant: "acme",
    ids: [index % 600],
  }));
  const entries = journalOf(steps);
  assert.equal(stateAfter(entries, false), stateAfter(entries, true));
});

test("more bytes than a turn has are replayed all, in order", () => {
  // The first ends its turn, the next three share one that they overfill, the last is longer than a turn by itself.
  const shares = [1, 0.4, 0.4, 0.4, 1.5, 0.1];
  const entries = shares.map((share, index) => ({
    offset: (index + 1) as Offset,
    record: encodeRecord(longRecord(index, Math.ceil(share * replayTurnBytes(PARTITIONS)))),
  }));
  assert.equal(stateAfter(entries, false), stateAfter(entries, true));
});

test("what stops a replay is blamed on its own record, also in the middle of a turn", () => {
  const entries = journalOf(Array.from({ length: 9 }, (_, index): Step => ({ tenant: "acme", ids: [2 * index, 2 * index + 1] })));
  for (const wrong of [1, 5, 9]) {
    const lying = entries.map(({ offset, record }) => ({
      offset,
      record: offset === wrong ? encodeRecord(lyingRecord(offset)) : record,
    }));
    for (const careful of [false, true]) {
      const progress: ReplayProgress = {};
      const run = () => replay(fleeting(lying), newPartitions(), PARTITIONS, { host: 3, skipped: new Set(), progress, careful });
      assert.throws(
        run,
        (error) => error instanceof AssertionError && error.message.includes(`replay of record ${wrong}, event 1`),
      );
      assert.deepEqual(progress.record, { host: 3, offset: wrong });
    }
  }
  const progress: ReplayProgress = {};
  replay(fleeting(entries), newPartitions(), PARTITIONS, { host: 3, skipped: new Set(), progress });
  assert.equal(progress.record, undefined, "nothing is to blame when all went well");
});

/** Of so many bytes at least, by white space behind its events. */
function longRecord(index: number, bytesMin: number): FrameRecord {
  const made = recordOf("acme" as TenantId, [3 * index, 3 * index + 1, 0], 3 * index, new Set(index === 0 ? [] : ["acme 0"]));
  assert.ok(made.kind === "frame" && made.format === FRAME_FORMATS.json);
  const bytes = new Uint8Array(Math.max(made.bytes.length, bytesMin)).fill(0x20);
  bytes.set(made.bytes);
  return { ...made, bytes };
}

/** The record with its second event as a duplicate, which it is not. */
function lyingRecord(offset: number): FrameRecord {
  const ids = [2 * (offset - 1), 2 * offset - 1];
  const made = recordOf("acme" as TenantId, ids, offset - 1, new Set());
  assert.ok(made.kind === "frame");
  return { ...made, verdicts: Uint8Array.of(ACCEPTED, DUPLICATE) };
}
