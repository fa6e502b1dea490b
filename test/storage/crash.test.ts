/** A process is killed while it writes: all that it was told is on disk is there, whole, without a hole. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { LmdbJournal, openJournalReader } from "../../storage/lmdb/journal.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { expectedRecord, expectedSmallRecord } from "./expected-record.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const writerProcess = fileURLToPath(new URL("writer-process.js", import.meta.url));

/** Runs the writer until it has printed so many lines, kills it at once, and gives all that it printed. */
async function killAfter(lines: number, mode: string, path: string): Promise<string[]> {
  const child = spawn(process.execPath, [writerProcess, mode, path], { stdio: ["ignore", "pipe", "inherit"] });
  const printed: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    printed.push(line);
    if (printed.length === lines) child.kill("SIGKILL");
  }
  return printed;
}

async function killedJournalWriter(mode: string, path: string, recordOf: (offset: number) => Uint8Array): Promise<void> {
  for (let round = 0; round < 6; round++) {
    const printed = await killAfter(1 + Math.floor(Math.random() * 40), mode, path);
    const durable = Math.max(...printed.map(Number).filter(Number.isFinite));
    const first = Math.max(1, ...printed.filter((line) => line.startsWith("first")).map((line) => Number(line.slice(6))));
    const journal = LmdbJournal.open(path);
    assert.ok(journal.durableOffset >= durable, `told ${durable} durable, found ${journal.durableOffset}`);
    assert.equal(journal.durableOffset % 20, 0, "a commit is there whole or not at all");
    assert.ok(journal.firstOffset >= first);
    let next: number = journal.firstOffset;
    for (const { offset, record } of journal.read(journal.firstOffset)) {
      assert.equal(offset, next++);
      assert.deepEqual(Buffer.compare(record, recordOf(offset)), 0, `record ${offset} is not what was written`);
    }
    assert.equal(next, journal.durableOffset + 1);
    await journal.close();
  }
}

test("a killed journal writer loses nothing that was durable", async (context) => {
  await killedJournalWriter("journal", temporaryFolder(context), expectedRecord);
});

test("nor does one whose records share entries", async (context) => {
  await killedJournalWriter("small", temporaryFolder(context), expectedSmallRecord);
});

test("a killed store writer leaves whole commits", async (context) => {
  const path = temporaryFolder(context);
  for (let round = 0; round < 6; round++) {
    const printed = await killAfter(1 + Math.floor(Math.random() * 10), "store", path);
    const store = LmdbStore.open(path);
    const generations = new Set([...store.range("t")].map(({ value }) => Buffer.from(value).toString()));
    assert.equal(generations.size, 1, `parts of commits: ${[...generations].join()}`);
    const generation = Number([...generations][0]);
    assert.ok(generation >= Math.max(...printed.map(Number)), "the last commit reported is there");
    assert.deepEqual(
      [...store.range("last")].map(({ key }) => key),
      [[generation]],
    );
    await store.close();
  }
});

test("a failed commit rejects, stops the journal, and leaves what was durable", async (context) => {
  const path = temporaryFolder(context);
  // 1024-byte blocks: 4 MiB, then writes fail with EFBIG, as they would with ENOSPC.
  const command = 'ulimit -f 4096; exec "$0" "$@"';
  const child = spawn("sh", ["-c", command, process.execPath, writerProcess, "failing", path], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stderr.resume();
  const printed: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) printed.push(line);
  const lastDurable = Number(printed.findLast((line) => /^\d+$/.test(line)));
  const failure = "WEIR_JOURNAL_COMMIT_FAILED";
  assert.deepEqual(printed.slice(-5), [`flush ${failure}`, `append ${failure}`, `flush ${failure}`, `trim ${failure}`, "closed"]);
  assert.ok(!printed.includes("unhandled"));
  const journal = LmdbJournal.open(path);
  assert.ok(lastDurable > 0 && journal.durableOffset >= lastDurable);
  for (const { offset, record } of journal.read(journal.firstOffset)) {
    assert.equal(Buffer.compare(record, expectedRecord(offset)), 0);
  }
  journal.append(expectedRecord(journal.appendedOffset + 1));
  await journal.flush();
  await journal.close();
});

test("another process sees records as they become durable", async (context) => {
  const path = join(temporaryFolder(context), "journal");
  await LmdbJournal.open(path).close();
  const reader = openJournalReader(path);
  assert.deepEqual(reader.ends(), { first: 1, last: 0 });
  const child = spawn(process.execPath, [writerProcess, "journal", path], { stdio: ["ignore", "pipe", "inherit"] });
  // Also when a check fails: a writer that goes on would keep this process.
  context.after(() => child.kill("SIGKILL"));
  let reports = 0;
  let trimmed = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("first")) continue;
    const durable = Number(line);
    const { first, last } = reader.ends();
    assert.ok(last >= durable, `the writer reported ${durable}, the reader sees ${last}`);
    try {
      for (const { offset, record } of reader.read(first, first)) {
        assert.equal(offset, first);
        assert.equal(Buffer.compare(record, expectedRecord(offset)), 0);
      }
    } catch (error) {
      // The writer may have trimmed it since we looked.
      if (reader.ends().first === first) throw error;
      trimmed++;
    }
    if (++reports === 100) child.kill("SIGKILL");
  }
  assert.ok(reports >= 100);
  assert.ok(trimmed <= 10, `${trimmed} of ${reports} reads met a trim, where one commit in 20 trims`);
  await reader.close();
});
