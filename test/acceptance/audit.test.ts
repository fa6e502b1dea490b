/**
 * The audit finds what is wrong (promise 4). A directory as a killed server leaves it is balanced; a change to any one number,
 * letter, pane or record in it is named, by the sum, the tenant and the partition, and the command ends with 1.
 * Nothing of the directory changes by being audited.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import type { AuditReport, AuditSum } from "../../protocol/audit-report.ts";
import { encodeRecord, type FrameRecord } from "../../protocol/records.ts";
import { openRecord } from "../../workers/sealed-record.ts";
import { DUPLICATE } from "../../protocol/verdicts.ts";
import { readPartitionMeta, type PartitionMeta } from "../../actors/partition.ts";
import { DEAD_LETTERS } from "../../actors/pending-letters.ts";
import { auditDirectory } from "../../server/audit/directory.ts";
import { readDataDirectory } from "../../storage/data-directory.ts";
import { openEnvironment } from "../../storage/lmdb/environment.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import type { StoreWrite } from "../../storage/ports.ts";
import { runCli } from "../cli/run-cli.ts";
import { FIRST_MS, LAST_MS, mixedBodies, send } from "../support/mixed-events.ts";
import { ServerProcess } from "../support/server-process.ts";
import { wireEvent } from "../workers/frame-fixture.ts";

const TENANT = "shop";
const { bodies, counts } = mixedBodies("a");
let server: ServerProcess;
let key: string;
let scratch: string;

/** What comes after the last snapshot: an event of each session, and a late one. */
const tail = JSON.stringify([
  ...Array.from({ length: 12 }, (_, index) => wireEvent({ id: `tail-${index}`, sessionId: `s${index}`, timeMs: LAST_MS })),
  wireEvent({ id: "tail-late", sessionId: "s1", timeMs: FIRST_MS }),
]);

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "weir-audit-"));
  server = await ServerProcess.create({ hostThreads: 2, partitions: 4, snapshotEveryMs: 3_600_000 });
  key = await server.newKey(TENANT);
  await server.start();
  await send(server.url, key, bodies);
});

after(async () => {
  await server.end();
  rmSync(scratch, { recursive: true, force: true });
});

let ended: Promise<string> | undefined;

/** The directory as a kill leaves it, with records behind its snapshots. */
function killed(): Promise<string> {
  return (ended ??= (async () => {
    // The audit snapshots.
    await runCli(["audit"], { env: { WEIR_URL: server.url, WEIR_KEY: key } });
    await send(server.url, key, [tail]);
    await server.stop("SIGKILL");
    return server.data;
  })());
}

async function copy(t: TestContext): Promise<string> {
  const path = mkdtempSync(join(scratch, "copy-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  cpSync(await killed(), path, { recursive: true });
  return path;
}

/** Changes the stores of a copy: `change` is asked for the writes of each partition until one has some. */
async function tamper(path: string, change: (store: LmdbStore) => readonly StoreWrite[]): Promise<number> {
  const directory = readDataDirectory(path);
  for (let id = 0; id < directory.partitionCount; id++) {
    const store = LmdbStore.open(directory.partitionPath(id));
    const writes = change(store);
    await store.commit(writes);
    await store.close();
    if (writes.length > 0) return id;
  }
  return assert.fail("nothing to tamper with");
}

function broken({ checks }: AuditReport): [AuditSum, string | null, number | null][] {
  return checks.filter(({ state }) => state === "broken").map(({ sum, tenant, partition }) => [sum, tenant, partition]);
}

function hashes(path: string): Record<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== "lock.mdb")
    .map((each) => join(each.parentPath, each.name));
  return Object.fromEntries(files.map((file) => [file, createHash("sha256").update(readFileSync(file)).digest("hex")]));
}

test("beside a running server: the tenant's figures, balanced, with exit code 0; not on its directory, nor without a key", async () => {
  const env = { WEIR_URL: server.url, WEIR_KEY: key };
  const beside = await runCli(["audit", "--json", "--partitions"], { env });
  assert.equal(beside.code, 0, beside.stdout + beside.stderr);
  const report = JSON.parse(beside.stdout) as AuditReport;
  assert.equal(report.result, "balanced");
  const sums: Record<string, number> = {};
  for (const each of report.figures)
    for (const kind of Object.keys(counts)) sums[kind] = (sums[kind] ?? 0) + Number(each[kind as "late"]);
  assert.deepEqual(sums, counts);
  assert.ok(
    report.figures.some(({ eventsAged }) => Number(eventsAged) > 0),
    "some panes have aged out",
  );
  const states = Object.fromEntries(report.checks.map(({ sum, state }) => [sum, state]));
  assert.deepEqual(states, {
    ledger: "holds",
    "dead-letters": "holds",
    panes: "holds",
    "raw-rows": "skipped",
    "live-panes": "holds",
    "metric-rows": "skipped",
  });
  const inUse = await runCli(["audit", "--data", server.data]);
  assert.deepEqual([inUse.code, inUse.stderr.split(":")[0]], [2, "WEIR_START_DATA_IN_USE"]);
  const refused = await runCli(["audit"], { env: { ...env, WEIR_KEY: "weir_shop_wrong" } });
  assert.deepEqual([refused.code, refused.stderr.split(":")[0]], [2, "WEIR_AUTH_KEY_UNKNOWN"]);
});

test("offline, after a kill: balanced, behind the snapshots too, and nothing changes", async (t) => {
  const path = await copy(t);
  const untouched = hashes(path);
  const text = await runCli(["audit", "--data", path]);
  assert.equal(text.code, 0, text.stdout + text.stderr);
  assert.match(text.stdout, /^TENANT +RECEIVED/);
  assert.match(
    text.stdout,
    new RegExp(`^shop +${Number(counts["received"]) + 13} +${Number(counts["accepted"]) + 12} +20 +7 +8 +15 `, "m"),
  );
  assert.match(text.stdout, /^balanced: \d+ sums$/m);
  const report = await auditDirectory(path);
  assert.equal(report.result, "balanced");
  assert.ok(report.checks.every(({ state }) => state === "holds"));
  const replayed = report.checks.find(({ sum }) => sum === "replay");
  assert.ok(Number(replayed?.actual) >= 2, "records behind the snapshots were replayed");
  assert.deepEqual(hashes(path), untouched);
});

test("a number of the ledger that was changed", async (t) => {
  for (const kind of ["received", "duplicate", "accepted"] as const) {
    const path = await copy(t);
    const partition = await tamper(path, (store) => {
      const meta = readPartitionMeta(store) as PartitionMeta;
      const state = meta.tenants.find(({ tenant }) => tenant === TENANT);
      if (state === undefined || state.ledger.received === 0) return [];
      state.ledger[kind]++;
      return [{ table: "meta", key: ["partition"], value: Buffer.from(JSON.stringify(meta)) }];
    });
    const panes = kind === "accepted" ? [["panes", TENANT, partition]] : [];
    assert.deepEqual(
      broken(await auditDirectory(path)),
      [["ledger", TENANT, partition], ...panes, ["journal", TENANT, null]],
      kind,
    );
  }
});

test("a dead letter that is gone", async (t) => {
  const path = await copy(t);
  const partition = await tamper(path, (store) => {
    const [letter] = store.range(DEAD_LETTERS, [TENANT]);
    return letter === undefined ? [] : [{ table: DEAD_LETTERS, key: letter.key, value: undefined }];
  });
  assert.deepEqual(broken(await auditDirectory(path)), [["dead-letters", TENANT, partition]]);
  const { code, stdout } = await runCli(["audit", "--data", path]);
  assert.equal(code, 1);
  assert.match(stdout, new RegExp(`^✗ dead-letters, shop, partition ${partition}: .* expected \\d+, found \\d+$`, "m"));
  assert.match(stdout, /^NOT balanced: 1 of \d+ sums are broken$/m);
});

test("a pane that is gone", async (t) => {
  const path = await copy(t);
  const partition = await tamper(path, (store) => {
    const [pane] = store.range("panes", [TENANT, "events"], [TENANT, "events\0"]);
    return pane === undefined ? [] : [{ table: "panes", key: pane.key, value: undefined }];
  });
  assert.deepEqual(broken(await auditDirectory(path)), [["panes", TENANT, partition]]);
});

/** Turns the first accepted verdict of the last or first record that has one into `duplicate`. */
async function tamperJournal(path: string, from: "first" | "last"): Promise<void> {
  const directory = readDataDirectory(path);
  const { table: journal } = openEnvironment(directory.hostPath(0), ["weir-journal/1"]);
  const entries = [...journal.getRange({})].filter((entry) => entry.key.length === 8);
  const found = (from === "first" ? entries : entries.toReversed()).find(({ value }) => isFrame(value)) ?? assert.fail();
  const record = openRecord(found.value) as FrameRecord;
  const verdicts = record.verdicts.slice();
  verdicts[verdicts.indexOf(0)] = DUPLICATE;
  await journal.put(found.key, encodeRecord({ ...record, verdicts }));
  await journal.close();
}

function isFrame(bytes: Uint8Array): boolean {
  const record = openRecord(bytes);
  return record.kind === "frame" && record.verdicts.includes(0);
}

test("a record of the journal that was changed, covered by snapshots or not", async (t) => {
  const covered = await copy(t);
  await tamperJournal(covered, "first");
  assert.deepEqual(broken(await auditDirectory(covered)), [
    ["journal", TENANT, null],
    ["journal", TENANT, null],
  ]);
  const tail = await copy(t);
  await tamperJournal(tail, "last");
  assert.deepEqual(broken(await auditDirectory(tail)), [["replay", null, null]]);
});

test("what cannot be read ends with 2", async (t) => {
  const path = await copy(t);
  const file = join(path, "weir.json");
  writeFileSync(file, readFileSync(file, "utf8").replace(/"format": \d+/, '"format": 999'));
  for (const [data, code] of [
    [path, "WEIR_START_DATA_FORMAT"],
    [join(path, "none"), "WEIR_START_DATA_UNUSABLE"],
  ]) {
    const audit = await runCli(["audit", "--json", "--data", String(data)]);
    assert.equal(audit.code, 2);
    assert.equal((JSON.parse(audit.stderr) as { error: { code: string } }).error.code, code);
  }
});
