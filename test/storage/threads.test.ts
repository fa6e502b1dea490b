/** Threads of one process share an LMDB environment: a reader that opens it first must not spoil it for the writer. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import type { Offset } from "../../protocol/ids.ts";
import { LmdbJournal, openJournalReader } from "../../storage/lmdb/journal.ts";
import { expectedRecord } from "./expected-record.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const readerThread = new URL("reader-thread.js", import.meta.url);

test("a thread that opened the journal before its writer follows it and closes", async (context) => {
  const path = temporaryFolder(context);
  await LmdbJournal.open(path).close();
  const reader = new Worker(readerThread, { workerData: path });
  assert.deepEqual(await once(reader, "message"), [{ first: 1, last: 0 }]);
  const journal = LmdbJournal.open(path);
  for (let round = 0; round < 30; round++) {
    for (let index = 0; index < 10; index++) journal.append(expectedRecord(journal.appendedOffset + 1));
    const durable = await journal.flush();
    reader.postMessage(durable);
    const [{ last, intact }] = await once(reader, "message");
    assert.ok(intact && last >= durable, `the reader saw ${last} of ${durable}`);
    if (round === 20) await journal.trim(100 as Offset);
  }
  const exited = once(reader, "exit");
  reader.postMessage("close");
  await exited;
  journal.append(expectedRecord(journal.appendedOffset + 1));
  assert.equal(await journal.flush(), 301);
  await journal.close();
});

test("a reader in the writer's thread is as fresh, and bounded when asked", async (context) => {
  const path = temporaryFolder(context);
  const journal = LmdbJournal.open(path);
  const reader = openJournalReader(path);
  for (let round = 1; round <= 5; round++) {
    journal.append(expectedRecord(round));
    await journal.flush();
    assert.deepEqual(reader.ends(), { first: 1, last: round });
    assert.deepEqual([...reader.read(1 as Offset)].map(({ offset }) => offset).at(-1), round);
  }
  assert.deepEqual(
    [...reader.read(2 as Offset, 3 as Offset)].map(({ offset }) => offset),
    [2, 3],
  );
  assert.deepEqual([...reader.read(6 as Offset)], []);
  await journal.trim(3 as Offset);
  assert.throws(() => [...reader.read(2 as Offset)], /trimmed/);
  await reader.close();
  await journal.close();
});
