/**
 * The simulated disk: it answers as the real one does (the conformance suite of the ports), what was flushed survives a crash,
 * and what was not may be lost: a beginning of it stays, of any length, commits of a store whole.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset } from "../../protocol/ids.ts";
import { journalCommands, runJournal, runStore, storeCommands } from "../storage/ports-conformance.ts";
import { readFile, SimDisk } from "./disk.ts";
import { Random } from "./random.ts";
import { Scheduler, type Process } from "./scheduler.ts";

interface Fixture {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  readonly process: Process;
}

function fixture(seed: number): Fixture {
  const random = new Random(seed);
  const scheduler = new Scheduler(random.fork("scheduler"));
  return { scheduler, disk: new SimDisk(random.fork("disk"), scheduler), process: scheduler.process("server") };
}

/** Lets virtual time pass until the work is done. */
async function drive<Result>({ scheduler }: Fixture, work: Promise<Result>): Promise<Result> {
  let settled = false;
  const done = (): void => void (settled = true);
  work.then(done, done);
  while (!settled) {
    await scheduler.run(scheduler.elapsedMs + 1_000, () => settled);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return work;
}

const record = (value: number): Uint8Array => Uint8Array.of(value);

test("journals and stores behave as the model", async () => {
  await fc.assert(
    fc.asyncProperty(journalCommands, storeCommands, fc.nat(), async (ofJournal, ofStore, seed) => {
      const world = fixture(seed);
      await drive(
        world,
        runJournal(ofJournal, () => world.disk.openJournal("journal", world.process)),
      );
      await drive(
        world,
        runStore(ofStore, () => world.disk.openStore("store", world.process)),
      );
    }),
    { numRuns: 40 },
  );
});

test("what was flushed survives; of what was not, a beginning of any length does", async () => {
  const kept = new Set<number>();
  for (let seed = 0; seed < 60; seed++) {
    const world = fixture(seed);
    const durable: number[] = [];
    world.disk.onDurable = (_path, offset) => durable.push(offset);
    const journal = world.disk.openJournal("journal", world.process);
    for (const value of [1, 2, 3]) journal.append(record(value));
    assert.equal(await drive(world, journal.flush()), 3);
    assert.deepEqual(durable, [1, 2, 3]);
    for (const value of [4, 5, 6]) journal.append(record(value));
    void journal.flush();
    world.process.kill();
    world.disk.crash();
    const found = [...readFile(world.disk.journalFile("journal"), 1)].map(({ record: bytes }) => bytes[0]);
    assert.deepEqual(found, [1, 2, 3, 4, 5, 6].slice(0, found.length));
    assert.ok(found.length >= 3);
    assert.equal(durable.length, found.length, "what a crash keeps is told as durable");
    kept.add(found.length);
  }
  assert.deepEqual(kept, new Set([3, 4, 5, 6]));
});

test("a flush covers what was appended before it began, not what came while a commit ran", async () => {
  const world = fixture(1);
  const journal = world.disk.openJournal("journal", world.process);
  journal.append(record(1));
  const first = journal.flush();
  journal.append(record(2));
  assert.equal(await drive(world, first), 1);
  assert.equal(journal.durableOffset, 1);
  assert.equal(await drive(world, journal.flush()), 2);
});

test("a store's commit is whole or not there; one that was answered is there", async () => {
  const kept = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const world = fixture(seed);
    const store = world.disk.openStore("store", world.process);
    const both = (value: number) => ["a", "b"].map((table) => ({ table, key: ["k"], value: record(value) }));
    await drive(world, store.commit(both(1)));
    void store.commit(both(2));
    void store.commit(both(3));
    world.process.kill();
    world.disk.crash();
    const after = world.disk.openStore("store", world.scheduler.process("next"));
    const [a, b] = ["a", "b"].map((table) => after.get(table, ["k"])?.[0]);
    assert.equal(a, b);
    kept.add(String(a));
  }
  assert.deepEqual(kept, new Set(["1", "2", "3"]));
});

test("a failed commit rejects, and nothing is taken after it; its fate shows after the crash", async () => {
  const kept = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const world = fixture(seed);
    const journal = world.disk.openJournal("journal", world.process);
    world.disk.failSoon();
    let failed: unknown;
    for (let value = 1; value < 10 && failed === undefined; value++) {
      journal.append(record(value));
      await drive(world, journal.flush()).catch((error: unknown) => (failed = error));
    }
    assert.ok(failed instanceof WeirError && failed.code === "WEIR_JOURNAL_COMMIT_FAILED");
    assert.throws(() => journal.append(record(0)));
    await assert.rejects(journal.flush());
    const durable = journal.durableOffset;
    world.disk.crash();
    const next = world.disk.openJournal("journal", world.scheduler.process("next"));
    kept.add(next.durableOffset - durable);
    assert.equal(next.append(record(0)), (next.durableOffset + 1) as Offset);
  }
  assert.deepEqual(kept, new Set([0, 1]));
});
