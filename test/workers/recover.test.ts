/**
 * Recovery (promises 1, 2, 7): a host that is killed at any point, with any part of its unflushed tail lost, comes back with
 * every acknowledged event counted once; what clients send again is a duplicate. A replay that decides differently than the
 * journal says stops. When the number of hosts changes, partitions move with all they know.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AssertionError } from "../../protocol/assert.ts";
import type { Offset } from "../../protocol/ids.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { encodeRecord } from "../../protocol/records.ts";
import { DUPLICATE, verdictOf } from "../../protocol/verdicts.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { hostOfPartition } from "../../workers/host-options.ts";
import { replay } from "../../workers/replay.ts";
import { openRecord } from "../../workers/sealed-record.ts";
import { BASE_MS, rules } from "../actors/event-fixture.ts";
import {
  type Disk,
  eventsBySource,
  frame,
  garbage,
  newDisk,
  settled,
  TENANT,
  TestHost,
  type EventInput,
} from "./frame-fixture.ts";

const PARTITIONS = 4;

async function started(disk: Disk, options: ConstructorParameters<typeof TestHost>[1] = {}): Promise<TestHost> {
  const host = new TestHost(disk, options);
  await host.recover(disk);
  return host;
}

/** All that a partition knows, without what depends on when snapshots were taken. */
function knowledge(hosts: readonly TestHost[]): string {
  const partitions = hosts.flatMap(({ members }) => members.map(({ partition }) => partition)).toSorted((a, b) => a.id - b.id);
  return JSON.stringify(
    partitions.map((partition) => {
      partition.recollect();
      const [collected] = partition.collect();
      const state = partition.tenants.get(TENANT);
      return {
        id: partition.id,
        ledger: state?.ledger,
        ids: state?.dedup.count,
        watermarkMs: state?.watermarkMs,
        panes: collected?.metrics.map(({ name, count, bytes }) => [name, count, bytes.length]),
      };
    }),
  );
}

test("killed at any point: acknowledged events are there once, and sending everything again changes nothing", async () => {
  const crash = fc.record({
    frames: fc.integer({ min: 1, max: 6 }),
    flush: fc.boolean(),
    snapshot: fc.boolean(),
    kept: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(crash, { minLength: 1, maxLength: 6 }), async (crashes) => {
      const disk = newDisk(1, PARTITIONS);
      const sent: EventInput[] = [];
      const acked = new Set<string>();
      for (const { frames, flush, snapshot, kept } of crashes) {
        const host = await started(disk, { manual: true });
        for (let index = 0; index < frames; index++) {
          const event = { id: `e${sent.length}`, sessionId: `s${sent.length % 7}` };
          sent.push(event);
          host.partitionHost.accept([frame(sent.length - 1, [event])]);
          await settled();
          if (flush && index === 0) {
            host.journal.flushNow();
            await settled();
            if (snapshot) await host.snapshot();
          }
        }
        for (const { id } of host.outcomes) acked.add(`e${id}`);
        host.crash(disk, kept);
      }
      const host = await started(disk);
      host.partitionHost.accept([frame(0, sent, { allResults: true })]);
      await host.partitionHost.finish();
      await settled();
      for (const { eventId, verdict } of host.outcomes[0]?.results ?? [])
        if (acked.has(eventId)) assert.equal(verdict, 1, eventId);
      assert.equal(host.counts().accepted, sent.length, "each once");
    }),
    { numRuns: 60 },
  );
});

test("what comes back is what was, with metrics and dead letters, from the journal alone or from any snapshot", async () => {
  const disks = [newDisk(1, PARTITIONS), newDisk(1, PARTITIONS)];
  const states: string[] = [];
  for (const [index, disk] of disks.entries()) {
    const host = await started(disk);
    await host.partitionHost.define(TENANT, [eventsBySource], 1);
    for (let id = 0; id < 20; id++) {
      host.partitionHost.accept([
        frame(id, [{ id: `e${id % 15}`, sessionId: `s${id}`, source: `src${id % 3}` }, null]),
        garbage(100 + id),
      ]);
      await host.partitionHost.finish();
      if (index === 1 && id === 10) await host.snapshot();
    }
    states.push(knowledge([host]));
    host.crash(disk);
    const again = await started(disk);
    assert.equal(again.replayedRecords, index === 0 ? 41 : 18);
    states.push(knowledge([again]));
    assert.equal(again.counts().received, 60);
  }
  assert.equal(new Set(states).size, 1);
});

test("a damaged record stops the recovery and is named; listed as left out, it is", async () => {
  const disk = newDisk(1, PARTITIONS);
  const host = await started(disk);
  for (const id of ["a", "b", "c"]) {
    host.partitionHost.accept([frame(0, [{ id }])]);
    await host.partitionHost.finish();
  }
  host.crash(disk);
  const [{ first, records }] = disk.journals as [Disk["journals"][number]];
  const damaged = records.map((record, index) =>
    Uint8Array.from(record, (byte, at) => (index === 1 && at === record.length - 3 ? byte ^ 4 : byte)),
  );
  disk.journals[0] = { first, records: damaged };
  await assert.rejects(started(disk), {
    code: "WEIR_START_DATA_UNUSABLE",
    message: /Record 2 of the journal of host 0 is damaged/,
  });
  const other = new TestHost(newDisk(1, PARTITIONS), {});
  const entries = damaged.map((record, index) => ({ offset: (first + index) as Offset, record }));
  assert.equal(replay(entries, other.partitions, PARTITIONS, { host: 0, skipped: new Set([2]) }), 2);
  assert.equal(other.counts().accepted, 2);
});

test("a record whose verdicts the replay does not reach stops the recovery", async () => {
  const disk = newDisk(1, PARTITIONS);
  const host = await started(disk);
  host.partitionHost.accept([frame(0, [{ id: "a" }])]);
  await host.partitionHost.finish();
  host.crash(disk);
  const [{ first, records }] = disk.journals as [Disk["journals"][number]];
  const record = openRecord(records[0] ?? new Uint8Array());
  assert.ok(record.kind === "frame");
  disk.journals[0] = { first, records: [encodeRecord({ ...record, verdicts: Uint8Array.of(1) })] };
  await assert.rejects(started(disk), AssertionError);
  disk.journals[0] = { first, records: [encodeRecord({ ...record, verdicts: Uint8Array.of(0, 0) })] };
  await assert.rejects(started(disk), AssertionError);
});

test("a snapshot that is ahead of its journal stops the recovery", async () => {
  const disk = newDisk(1, PARTITIONS);
  const host = await started(disk);
  host.partitionHost.accept([frame(0, [{ id: "a" }])]);
  await host.partitionHost.finish();
  await host.snapshot();
  host.crash(disk);
  disk.journals[0] = { first: 1, records: [] };
  await assert.rejects(started(disk), AssertionError);
});

test("1 -> 2 -> 1 hosts: partitions move with all they know, and go on counting once", async () => {
  const disk = newDisk(2, PARTITIONS);
  const events: EventInput[] = Array.from({ length: 40 }, (_, index) => ({ id: `e${index}`, sessionId: `s${index}` }));
  let number = 0;
  const run = async (hosts: number, fresh: EventInput[], snapshot: boolean): Promise<void> => {
    const running: TestHost[] = [];
    for (let host = 0; host < hosts; host++) running.push(await started(disk, { host, hosts }));
    if (number > 0) assert.equal(knowledge(running), before);
    for (const host of running) {
      if (number === 0) await host.partitionHost.define(TENANT, [eventsBySource], 1);
      const isMine = ({ sessionId = "" }: EventInput): boolean =>
        hostOfPartition(partitionOf(TENANT, sessionId, PARTITIONS), hosts) === host.host;
      host.partitionHost.accept([frame(number++, events.filter(isMine)), frame(number++, fresh.filter(isMine))]);
      await host.partitionHost.finish();
      if (snapshot) await host.snapshot();
    }
    const accepted = running.reduce((sum, host) => sum + host.counts().accepted, 0);
    events.push(...fresh);
    assert.equal(accepted, events.length);
    before = knowledge(running);
    for (const host of running) host.crash(disk);
  };
  let before = "";
  const fresh = (from: number): EventInput[] =>
    Array.from({ length: 20 }, (_, index) => ({ id: `f${from + index}`, sessionId: `s${from + index}` }));
  await run(1, fresh(0), false);
  await run(2, fresh(100), true);
  await run(2, fresh(200), false);
  await run(1, fresh(300), false);
  await run(2, fresh(400), false);
  await run(1, fresh(500), true);
});

test("a partition that moves keeps its dead letters beside those that come at the same offsets of the other journal", async () => {
  const disk = newDisk(2, PARTITIONS);
  const late = (id: string): EventInput => ({ id, sessionId, timeMs: BASE_MS - 40 * DAY_MS });
  const sessions = Array.from({ length: 20 }, (_, index) => `s${index}`);
  const sessionId = sessions.find((each) => hostOfPartition(partitionOf(TENANT, each, PARTITIONS), 2) === 1) ?? "";
  for (const [hosts, host] of [
    [2, 1],
    [1, 0],
  ] as const) {
    const running: TestHost[] = [];
    for (let each = 0; each < hosts; each++) running.push(await started(disk, { host: each, hosts }));
    running[host]?.partitionHost.accept([frame(0, [{ id: `new ${hosts}`, sessionId }, late("a"), late("b")])]);
    for (const each of running) {
      await each.partitionHost.finish();
      await each.snapshot();
      each.crash(disk);
    }
  }
  const [host] = [await started(disk)];
  const { store, partition } = host?.members[partitionOf(TENANT, sessionId, PARTITIONS)] ?? assert.fail();
  const letters = [...store.range("dead-letters")];
  assert.deepEqual(
    letters.map(({ key }) => key.slice(2)),
    [
      [0, 1, 1],
      [0, 1, 2],
      [1, 1, 1],
      [1, 1, 2],
    ],
  );
  assert.equal(partition.tenants.get(TENANT)?.ledger.late, letters.length);
});

test("other rules after a crash: the replay decides by the old ones, new events are decided by the new ones", async () => {
  const disk = newDisk(1, PARTITIONS);
  const oldEvent = { id: "old", sessionId: "s", timeMs: BASE_MS - 20 * DAY_MS };
  const first = await started(disk);
  first.partitionHost.accept([frame(0, [{ id: "new", sessionId: "s", timeMs: BASE_MS }, oldEvent])]);
  await settled();
  assert.deepEqual(first.counts(), { accepted: 2, received: 2 });
  first.crash(disk);

  // The old event would be too late by these, and the slots of remembered ids have another length.
  const paneRetention = { fineMs: HOUR_MS, minuteMs: DAY_MS, allMs: 10 * DAY_MS };
  const stricter = { ...rules, allowedLatenessMs: 5 * DAY_MS, dedupHorizonMs: 3 * DAY_MS, gapMs: MINUTE_MS, paneRetention };
  for (const restart of [0, 1]) {
    const host = await started(disk, { rules: stricter });
    assert.deepEqual(host.counts(), { accepted: 2, received: 2 + 2 * restart }, `restart ${restart}`);
    const again = { id: "new", sessionId: "s", timeMs: BASE_MS };
    host.partitionHost.accept([frame(1 + restart, [again, { ...oldEvent, id: `late ${restart}` }], { allResults: true })]);
    await settled();
    assert.deepEqual(
      host.outcomes[0]?.results.map(({ verdict }) => verdict),
      [DUPLICATE, verdictOf("WEIR_EVENT_LATE")],
    );
    host.crash(disk);
  }
});
