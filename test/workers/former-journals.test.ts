/**
 * The journal of a host that no longer runs is emptied once nobody needs its records, and not before; nothing that was counted
 * is lost by it, and when the host runs again its offsets go on.
 */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../client/index.ts";
import { auditDirectory } from "../../server/audit/directory.ts";
import { readDataDirectory } from "../../storage/data-directory.ts";
import { openJournalReader } from "../../storage/lmdb/journal.ts";
import { emptyFormerJournals, type FormerJournals } from "../../workers/former-journals.ts";
import { mixedBodies, send } from "../support/mixed-events.ts";
import { startRealServer } from "../support/real-server.ts";

async function ends(data: string, host: number): Promise<{ first: number; last: number }> {
  const reader = openJournalReader(readDataDirectory(data).hostPath(host));
  const found = reader.ends();
  await reader.close();
  return found;
}

test("two hosts, one, two again: the former journal waits for its retention, is emptied, and goes on", async (t) => {
  const first = await startRealServer({ hostThreads: 2, partitions: 4 });
  const key = await first.newKey("shop");
  await send(first.url, key, mixedBodies("a").bodies);
  const { data } = first;
  const file = join(readDataDirectory(data).hostPath(1), "data.mdb");

  let running = await first.restart({ hostThreads: 1 });
  t.after(() => running.close());
  const full = await ends(data, 1);
  assert.ok(full.last > 1 && full.first === 1, "an hour of retention");
  const bytes = statSync(file).size;
  const accepted = async (): Promise<number> => {
    const client = connect({ url: running.url, key });
    const { ledger } = await client.deadLetters({ limit: 1 });
    await client.close({ timeoutMs: 0 });
    return ledger.accepted;
  };
  const before = await accepted();

  running = await running.restart({ hostThreads: 1, journalRetentionMs: 0 });
  assert.deepEqual(await ends(data, 1), { first: full.last + 1, last: full.last });
  assert.ok(statSync(file).size < bytes, "the disk has its space back");
  assert.equal(await accepted(), before);

  running = await running.restart({ hostThreads: 2 });
  await send(running.url, key, [mixedBodies("b").bodies[3] ?? ""]);
  assert.equal(await accepted(), before + 13);
  assert.ok((await ends(data, 1)).last > full.last, "no offset names two records");
  await running.server.drain();
  assert.equal((await auditDirectory(data)).result, "balanced");
  running = await startRealServer({ hostThreads: 1 }, data);
});

test("a record that the warehouse does not have, or that is young, or a partition that is not moved yet: nothing goes", async (t) => {
  const first = await startRealServer({ hostThreads: 2, partitions: 4 });
  t.after(() => running.close());
  const key = await first.newKey("shop");
  await send(first.url, key, mixedBodies("a").bodies);
  const { data } = first;
  await first.server.drain();
  const directory = readDataDirectory(data);
  const { last } = await ends(data, 1);
  const input = (hosts: number, storedOffset: number, beforeMs: number): FormerJournals => ({
    journalPaths: [0, 1, 2].map((host) => directory.hostPath(host)),
    partitionPaths: [0, 1, 2, 3].map((id) => ({ path: directory.partitionPath(id) })),
    hosts,
    storedOffset: () => storedOffset,
    beforeMs,
  });
  const later = Date.now() + 1_000_000;
  assert.deepEqual(await emptyFormerJournals(input(1, last, later)), [], "its partitions have not been moved");
  // In this very thread: stores and journals are open here more than once.
  const running = await startRealServer({ hostThreads: 0, snapshotEveryMs: 100 }, data);
  assert.deepEqual(await emptyFormerJournals(input(2, last, later)), [], "it runs");
  assert.deepEqual(await emptyFormerJournals(input(1, last - 1, later)), [], "the warehouse is behind");
  assert.deepEqual(await emptyFormerJournals(input(1, last, 0)), [], "its records are young");
  const [emptied, ...others] = await emptyFormerJournals(input(1, last, later));
  assert.deepEqual([emptied?.host, emptied?.records, others], [1, last, []]);
  assert.deepEqual(await emptyFormerJournals(input(1, last, later)), [], "once");
  await send(running.url, key, [mixedBodies("b").bodies[3] ?? ""]);
  const client = connect({ url: running.url, key });
  t.after(() => client.close({ timeoutMs: 0 }));
  assert.equal((await client.audit()).result, "balanced");
});
