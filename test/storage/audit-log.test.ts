/** Each change of keys and metrics leaves one entry, in the same commit; the log is bounded and says what it has lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TenantId } from "../../protocol/ids.ts";
import { metricDefinition } from "../../protocol/metric-definition.ts";
import { AuditLog, SERVER_LOG, type AuditRecord } from "../../storage/audit-log.ts";
import { Control } from "../../storage/control.ts";
import { MemoryStore } from "../../storage/memory/store.ts";

const demo = "demo" as TenantId;
const shop = "shop" as TenantId;
const ann = { by: "operator:ann" };
const record = (atMs: number): AuditRecord => ({ atMs, by: "server", action: "export.start", detail: { exportId: `x${atMs}` } });

test("keys and metrics: who, when, what, and never the key", async () => {
  const store = new MemoryStore();
  const control = new Control(store);
  const first = await control.createKey(demo, ["admin"], 1, { expiresMs: 50, author: ann });
  const { made } = await control.rotateKey(first.keyId, 10, 2, ann);
  await control.revokeKey(made.keyId, 3, ann);
  await control.revokeKey(made.keyId, 4, ann);
  const author = { by: `key:${first.keyId}`, remoteAddress: "192.0.2.7" };
  const clicks = metricDefinition.parse({ name: "clicks", aggregates: ["count"] });
  await control.putMetric(demo, clicks, { ...author, atMs: 5 });
  await control.putMetric(demo, clicks, { ...author, atMs: 6 });
  await control.removeMetric(demo, "clicks", { ...author, atMs: 7 });
  await control.removeMetric(demo, "clicks", { ...author, atMs: 8 });
  await control.createKey(shop, ["read"], 9);
  const { entries, removed } = control.auditLog(demo, { limit: 100 });
  assert.equal(removed, 0);
  assert.deepEqual(
    entries
      .toReversed()
      .map(({ seq, atMs, action, by, remoteAddress, detail }) => [seq, atMs, action, by, remoteAddress, detail]),
    [
      [1, 1, "key.create", ann.by, undefined, { keyId: first.keyId, scopes: ["admin"], expiresMs: 50 }],
      [2, 2, "key.rotate", ann.by, undefined, { keyId: first.keyId, newKeyId: made.keyId, expiresMs: 12 }],
      [3, 3, "key.revoke", ann.by, undefined, { keyId: made.keyId }],
      [4, 5, "metric.define", author.by, "192.0.2.7", { metric: "clicks" }],
      [5, 7, "metric.delete", author.by, "192.0.2.7", { metric: "clicks" }],
    ],
  );
  assert.deepEqual(
    control.auditLog(shop, { limit: 100 }).entries.map(({ action, by }) => [action, by]),
    [["key.create", "server"]],
  );
  for (const [, value] of store.image()) assert.ok(!Buffer.from(value).toString().includes(first.key.slice("weir_demo_".length)));
});

test("a change that fails leaves no entry", async () => {
  const store = new MemoryStore();
  const control = new Control(store);
  await control.ensureTenant(demo, 1);
  store.failNextCommit(new Error("disk full"));
  await assert.rejects(control.createKey(demo, ["read"], 2));
  const after = new Control(new MemoryStore({ image: store.image() }));
  assert.deepEqual([after.listKeys(demo), after.auditLog(demo, { limit: 9 }).entries], [[], []]);
});

test("expiry is noted once, when its time has come, and not for a key that was revoked or rotated before", async () => {
  const control = new Control(new MemoryStore());
  const plain = await control.createKey(demo, ["read"], 1, { expiresMs: 100 });
  const revoked = await control.createKey(demo, ["read"], 1, { expiresMs: 100 });
  const rotated = await control.createKey(demo, ["read"], 1, { expiresMs: 100 });
  await control.revokeKey(revoked.keyId, 2);
  await control.rotateKey(rotated.keyId, 48, 2);
  const idsAt = async (nowMs: number) => (await control.noteExpiredKeys(nowMs)).map(({ keyId }) => keyId);
  assert.deepEqual(await idsAt(49), []);
  assert.deepEqual(await idsAt(50), [rotated.keyId]);
  assert.deepEqual(await idsAt(99), []);
  assert.deepEqual(await idsAt(100), [plain.keyId]);
  assert.deepEqual((await idsAt(200)).length, 1, "the key that the rotation made, with the lifetime of the old one");
  assert.deepEqual(await idsAt(10_000), []);
  const noted = control.auditLog(demo, { limit: 100 }).entries.filter(({ action }) => action === "key.expire");
  assert.deepEqual(
    noted.map(({ atMs, by, detail }) => [atMs, by, detail["expiresMs"]]),
    [
      [200, "server", 101],
      [100, "server", 100],
      [50, "server", 50],
    ],
  );
});

test("the oldest entries go past the bound, of that log alone, and are counted", async () => {
  const store = new MemoryStore();
  const log = new AuditLog(store, "one", 5);
  await store.commit(log.append(shop, record(0)).writes);
  const removed: number[] = [];
  for (let atMs = 1; atMs <= 8; atMs++) {
    const step = log.append(demo, record(atMs));
    removed.push(step.removed);
    await store.commit(step.writes);
  }
  assert.deepEqual(removed, [0, 0, 0, 0, 0, 1, 1, 1]);
  const page = log.read(demo, { limit: 100 });
  assert.deepEqual([page.removed, page.entries.map(({ atMs }) => atMs)], [3, [8, 7, 6, 5, 4]]);
  assert.deepEqual(
    log.read(demo, { limit: 2, before: 7 }).entries.map(({ seq }) => seq),
    [6, 5],
  );
  assert.equal(log.read(shop, { limit: 100 }).entries.length, 1);
  assert.deepEqual(log.read(SERVER_LOG, { limit: 100 }), { entries: [], removed: 0 });
});

test("two processes that append at the same moment lose nothing", async () => {
  const store = new MemoryStore();
  const [one, two] = [new AuditLog(store, "one"), new AuditLog(store, "two")];
  const [first, second] = [one.append(demo, record(1)), two.append(demo, record(2))];
  await store.commit(first.writes);
  await store.commit(second.writes);
  await store.commit(one.append(demo, record(3)).writes);
  assert.deepEqual(
    one.read(demo, { limit: 9 }).entries.map(({ seq, atMs }) => [seq, atMs]),
    [
      [2, 3],
      [1, 2],
      [1, 1],
    ],
  );
});
