/**
 * Upgrades: a data directory of every format that a version of Weir has written is opened by today's code, and nothing that was
 * acknowledged is lost or changed. One of a format to come is refused and left as it is.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect } from "../../client/index.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { TextColumn } from "../../protocol/text-column.ts";
import { Partition, readPartitionMeta, type PartitionMeta } from "../../actors/partition.ts";
import { auditDirectory } from "../../server/audit/directory.ts";
import { DATA_FORMAT, migrateDataDirectory, readDataDirectory } from "../../storage/data-directory.ts";
import { openJournalReader } from "../../storage/lmdb/journal.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { dedupKeyOf } from "../../workers/host-options.ts";
import { replay } from "../../workers/replay.ts";
import {
  answersOf,
  FIXTURE_FLAGS,
  FIXTURE_IDS,
  FIXTURE_TENANT,
  fixturePath,
  readFixture,
  unpackFixture,
} from "../support/format-fixture.ts";
import { startRealServer } from "../support/real-server.ts";

function temporary(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "weir-format-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function hashes(path: string): Record<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name));
  return Object.fromEntries(files.map((file) => [file, createHash("sha256").update(readFileSync(file)).digest("hex")]));
}

/** The ids that a partition remembers, from its snapshot and the journal behind it. */
async function remembers(path: string, eventId: string, sessionId: string): Promise<boolean> {
  const directory = readDataDirectory(path);
  const id = partitionOf(FIXTURE_TENANT as TenantId, sessionId, directory.partitionCount) as PartitionId;
  const store = LmdbStore.open(directory.partitionPath(id), { readOnly: true });
  const meta = readPartitionMeta(store) as PartitionMeta;
  const journal = openJournalReader(directory.hostPath(meta.host), { readOnly: true });
  const rules = { ...meta.rules, dedupKey: dedupKeyOf(directory.seed) };
  const partition = new Partition(id, meta.host, rules, new MetricPlans(), store);
  assert.ok(partition.restore());
  replay(journal.read((meta.offset + 1) as Offset), new Map([[id, partition]]), directory.partitionCount);
  const dedup = partition.tenants.get(FIXTURE_TENANT)?.dedup;
  dedup?.hash(TextColumn.of([eventId]), Int32Array.of(0), 0, 1);
  const found = dedup?.lookupHashed(0) === true;
  await Promise.all([store.close(), journal.close()]);
  return found;
}

for (let format = 1; format <= DATA_FORMAT; format++) {
  test(
    `format ${format}: what a killed server left is opened, with every answer that it gave`,
    { timeout: 60_000 },
    async (t) => {
      const path = temporary(t);
      const fixture = readFixture(format);
      unpackFixture(fixture, path);
      await migrateDataDirectory(path);

      const before = await auditDirectory(path);
      assert.deepEqual(
        before.checks.filter(({ state }) => state !== "holds"),
        [],
      );
      assert.ok(Number(before.checks.find(({ sum }) => sum === "replay")?.actual) >= 2, "the journal has a part of its own");
      for (const [eventId, sessionId] of FIXTURE_IDS) assert.ok(await remembers(path, eventId, sessionId), eventId);
      assert.ok(!(await remembers(path, "never sent", "s0")));

      const running = await startRealServer(FIXTURE_FLAGS, path);
      t.after(() => running.close());
      const client = connect({ url: running.url, key: fixture.key });
      t.after(() => client.close({ timeoutMs: 0 }));
      assert.deepEqual(await answersOf(client), fixture.answers);
    },
  );
}

test(`format ${DATA_FORMAT} has a fixture that names it`, () => {
  assert.equal(readFixture(DATA_FORMAT).format, DATA_FORMAT, fixturePath(DATA_FORMAT));
});

test("a directory of a format to come is refused, and not one byte of it changes", async (t) => {
  const path = temporary(t);
  unpackFixture(readFixture(DATA_FORMAT), path);
  const file = join(path, "weir.json");
  const identity = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...identity, format: DATA_FORMAT + 1, more: "of what is to come" }));
  const untouched = hashes(path);
  for (const open of [() => startRealServer(FIXTURE_FLAGS, path), () => auditDirectory(path), () => migrateDataDirectory(path)]) {
    await assert.rejects(open, { name: "WeirError", code: "WEIR_START_DATA_FORMAT" });
    assert.deepEqual(hashes(path), untouched);
  }
});
