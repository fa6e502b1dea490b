/** Keys that expire, rotate and run out of room; and that an unknown key takes the path of a known one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TenantId } from "../../protocol/ids.ts";
import { ApiKeys } from "../../storage/api-keys.ts";
import { Control } from "../../storage/control.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { StoreKey } from "../../storage/ports.ts";

const demo = "demo" as TenantId;
const ann = { by: "operator:ann" };

test("a key ends at its time, not before", async () => {
  const control = new Control(new MemoryStore());
  const { key, keyId, expiresMs } = await control.createKey(demo, ["read"], 1_000, { expiresMs: 5_000 });
  assert.equal(expiresMs, 5_000);
  assert.equal(control.keyState(keyId, 4_999), "valid");
  assert.equal(control.keyState(keyId, 5_000), "expired");
  assert.equal(control.verifyKey(key)?.expiresMs, 5_000, "whose it was is still known");
});

test("after a rotation both keys are good until the overlap is over", async () => {
  const control = new Control(new MemoryStore());
  const old = await control.createKey(demo, ["write", "admin"], 1_000);
  const { made, old: ending } = await control.rotateKey(old.keyId, 600, 2_000, ann);
  assert.notEqual(made.key, old.key);
  assert.deepEqual([made.tenant, made.scopes, made.expiresMs], [demo, ["write", "admin"], undefined]);
  assert.deepEqual([ending.keyId, ending.expiresMs, ending.replacedBy], [old.keyId, 2_600, made.keyId]);
  assert.equal(control.verifyKey(made.key)?.keyId, made.keyId);
  assert.deepEqual([control.keyState(old.keyId, 2_599), control.keyState(made.keyId, 2_599)], ["valid", "valid"]);
  assert.deepEqual([control.keyState(old.keyId, 2_600), control.keyState(made.keyId, 2_600)], ["expired", "valid"]);
  const again = control.rotateKey(old.keyId, 600, 2_100);
  await assert.rejects(again, { code: "WEIR_KEY_REPLACED", message: new RegExp(made.keyId) });
});

test("a rotation gives the lifetime of the old key, and never lengthens that", async () => {
  const control = new Control(new MemoryStore());
  const old = await control.createKey(demo, ["read"], 1_000, { expiresMs: 11_000 });
  const { made, old: ending } = await control.rotateKey(old.keyId, 60_000, 9_000);
  assert.equal(made.expiresMs, 19_000);
  assert.equal(ending.expiresMs, 11_000);
  const short = await control.createKey(demo, ["read"], 1_000);
  assert.equal((await control.rotateKey(short.keyId, 0, 2_000)).old.expiresMs, 2_000, "no overlap: the old one ends at once");
  assert.equal(control.keyState(short.keyId, 2_000), "expired");
  const expired = await control.createKey(demo, ["read"], 1_000, { expiresMs: 1_500 });
  await assert.rejects(control.rotateKey(expired.keyId, 0, 1_500), { code: "WEIR_AUTH_KEY_EXPIRED" });
  await assert.rejects(control.rotateKey("none", 0, 1_500), { code: "WEIR_AUTH_KEY_UNKNOWN" });
});

test("a tenant has a bound of keys; expired ones make room, and only for it", async () => {
  const store = new MemoryStore();
  const keys = new ApiKeys(store, 3);
  const create = async (tenant: string, nowMs: number, expiresMs?: number) => {
    const { made, writes } = keys.create({ tenant: tenant as TenantId, scopes: ["read"], expiresMs }, nowMs);
    await store.commit(writes);
    return made;
  };
  const other = await create("other", 1, 2);
  const gone = await create("demo", 1, 10);
  await create("demo", 1);
  await create("demo", 1);
  await assert.rejects(create("demo", 9), { code: "WEIR_KEY_LIMIT" });
  await create("demo", 10);
  assert.deepEqual([keys.state(gone.keyId, 10), keys.state(other.keyId, 10)], ["unknown", "expired"]);
  assert.equal(keys.list(demo).length, 3);
});

/** Counts what is read: the work of a look-up must not tell whether it found something. */
class CountingStore extends MemoryStore {
  readonly reads: string[] = [];
  override get(table: string, key: StoreKey): Uint8Array | undefined {
    this.reads.push(table);
    return super.get(table, key);
  }
}

test("an unknown key costs the reads of a known one", async () => {
  const store = new CountingStore();
  const control = new Control(store);
  const { key } = await control.createKey(demo, ["read"], 1);
  const readsOf = (text: string) => {
    store.reads.length = 0;
    control.verifyKey(text);
    return [...store.reads];
  };
  const known = readsOf(key);
  assert.deepEqual(readsOf(`${key.slice(0, -1)}_`), known);
  assert.deepEqual(readsOf("weir_other_00000000000000000000000000000000"), known);
  assert.equal(control.verifyKey(""), undefined, "what an unknown key is compared with opens nothing");
});
