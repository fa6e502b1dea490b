import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { defaultMetrics, metricDefinition } from "../../protocol/metric-definition.ts";
import { Control, openControl } from "../../storage/control.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const writerProcess = fileURLToPath(new URL("writer-process.js", import.meta.url));
const demo = "demo" as TenantId;
const demo2 = "demo2" as TenantId;
const change = { by: "operator:ann", atMs: 7 };
const clicks = metricDefinition.parse({ name: "clicks", aggregates: ["count"] });

test("a new tenant has the default metrics, once", async () => {
  const control = new Control(new MemoryStore());
  assert.deepEqual(control.tenants(), []);
  assert.equal(control.definitionsVersion(demo), 0);
  assert.deepEqual(await Promise.all([control.ensureTenant(demo, 1), control.ensureTenant(demo, 2)]), [true, false]);
  assert.deepEqual(control.tenants(), [demo]);
  assert.deepEqual(
    control.metrics(demo),
    defaultMetrics.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  );
  assert.equal(control.definitionsVersion(demo), 1);
  assert.deepEqual(control.metrics(demo2), []);
});

test("a key opens its tenant until it is revoked", async () => {
  const store = new MemoryStore();
  const control = new Control(store);
  assert.equal(control.hasKeys(), false);
  const { key, keyId } = await control.createKey(demo, ["write", "read"], 5);
  const other = await control.createKey(demo2, ["admin"], 6);
  assert.match(key, /^weir_demo_[0-9A-Za-z]{32}$/);
  assert.notEqual(key, other.key);
  assert.equal(control.hasKeys(), true);
  assert.deepEqual(control.tenants(), [demo, demo2]);
  const granted = { keyId, tenant: demo, scopes: ["write", "read"], createdMs: 5 };
  assert.deepEqual(control.verifyKey(key), granted);
  assert.deepEqual(control.listKeys(demo), [granted]);
  for (const wrong of [
    "",
    "weir_demo_",
    key.slice(0, -1),
    `${key}x`,
    key.replace("demo", "demo2"),
    key.toUpperCase(),
    "k".repeat(1e6),
  ]) {
    assert.equal(control.verifyKey(wrong), undefined);
  }
  assert.equal(control.keyState(keyId, 5), "valid");
  assert.equal(await control.revokeKey(keyId, 6), true);
  assert.equal(await control.revokeKey(keyId, 6), false);
  assert.equal(control.keyState(keyId, 5), "unknown");
  assert.equal(control.verifyKey(key), undefined);
  assert.deepEqual(control.listKeys(demo), []);
  assert.ok(control.verifyKey(other.key) !== undefined);
});

test("a key is nowhere in the store", async () => {
  const store = new MemoryStore();
  const { key } = await new Control(store).createKey(demo, ["admin"], 1);
  const secret = key.slice("weir_demo_".length);
  for (const [stored, value] of store.image()) assert.ok(!`${stored}${Buffer.from(value).toString()}`.includes(secret));
});

test("a hash that only begins like a stored one opens nothing", async () => {
  const store = new MemoryStore();
  const control = new Control(store);
  const { key, keyId } = await control.createKey(demo, ["admin"], 1);
  const stored = JSON.parse(Buffer.from(store.get("api_keys", [keyId]) ?? []).toString());
  const altered = { ...stored, hashHex: stored.hashHex.replace(/.$/, (digit: string) => (digit === "0" ? "1" : "0")) };
  await store.commit([{ table: "api_keys", key: [keyId], value: Buffer.from(JSON.stringify(altered)) }]);
  assert.equal(control.verifyKey(key), undefined);
});

test("definitions change with a version that rises", async () => {
  const control = new Control(new MemoryStore());
  await control.ensureTenant(demo, 1);
  const before = control.definitionsVersion(demo);
  assert.equal(await control.putMetric(demo, clicks, change), "created");
  assert.equal(await control.putMetric(demo, clicks, change), "unchanged");
  assert.deepEqual(control.metric(demo, "clicks"), clicks);
  await assert.rejects(control.putMetric(demo, { ...clicks, seriesMax: 5 }, change), { code: "WEIR_METRIC_EXISTS" });
  assert.equal(control.definitionsVersion(demo), before + 1);
  assert.equal(await control.removeMetric(demo, "clicks", change), true);
  assert.equal(await control.removeMetric(demo, "clicks", change), false);
  assert.equal(control.definitionsVersion(demo), before + 2);
  assert.equal(control.definitionsVersion(demo2), 0);
  assert.equal(control.metric(demo2, "events"), undefined);
});

test("the number of metrics is bounded, also for calls side by side", async () => {
  const control = new Control(new MemoryStore());
  const put = (index: number) => control.putMetric(demo, { ...clicks, name: `m${index}` }, change);
  const outcomes = await Promise.allSettled(Array.from({ length: limits.metricsPerTenantMax + 2 }, (_, index) => put(index)));
  assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 2);
  assert.equal(control.metrics(demo).length, limits.metricsPerTenantMax);
});

test("warehouse offsets", async (context) => {
  const path = temporaryFolder(context);
  const control = openControl(path);
  assert.equal(control.warehouseOffset("host-00"), 0);
  await control.setWarehouseOffsets(
    new Map([
      ["host-00", 12],
      ["host-01", 2 ** 40],
    ]),
  );
  await control.close();
  const reopened = openControl(path);
  assert.deepEqual([reopened.warehouseOffset("host-00"), reopened.warehouseOffset("host-01")], [12, 2 ** 40]);
  await reopened.close();
});

test("two that share the store see each other's changes and lose no version", async () => {
  const store = new MemoryStore();
  const [one, two] = [new Control(store), new Control(store)];
  await one.ensureTenant(demo, 1);
  await Promise.all([one.putMetric(demo, clicks, change), two.putMetric(demo, { ...clicks, name: "taps" }, change)]);
  assert.equal(one.definitionsVersion(demo), 3);
  assert.equal(two.metric(demo, "clicks")?.name, "clicks");
});

test("what another process wrote is seen at once, in the same turn", async (context) => {
  const path = temporaryFolder(context);
  const control = openControl(path);
  assert.equal(control.hasTenant(demo), false);
  const { status } = spawnSync(process.execPath, [writerProcess, "tenant", path], { stdio: "inherit" });
  assert.equal(status, 0);
  assert.equal(control.hasTenant(demo), true);
  assert.equal(control.definitionsVersion(demo), 1);
  assert.equal(await control.putMetric(demo, clicks, change), "created");
  assert.equal(control.definitionsVersion(demo), 2);
  await control.close();
});
