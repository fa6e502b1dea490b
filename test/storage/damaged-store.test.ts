/** A value of a store that is not what was written is refused; stores of before there were checksums are read and written on. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openEnvironment } from "../../storage/lmdb/environment.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { encodeKey } from "../../storage/store-key.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const damaged = { code: "WEIR_START_DATA_UNUSABLE" };

test("a bit that flips in a value is found by whoever reads it, and its neighbours are read", async (context) => {
  const path = temporaryFolder(context);
  const store = LmdbStore.open(path);
  await store.commit(["one", "two", "three"].map((name) => ({ table: "t", key: [name], value: bytes(`the value of ${name}`) })));
  await store.close();
  const file = join(path, "data.mdb");
  const content = readFileSync(file);
  for (let at = content.indexOf("the value of two"); at !== -1; at = content.indexOf("the value of two", at + 1)) {
    content[at + 4] = (content[at + 4] ?? 0) ^ 2;
  }
  writeFileSync(file, content);
  const again = LmdbStore.open(path);
  assert.throws(() => again.get("t", ["two"]), damaged);
  assert.throws(() => [...again.range("t")], damaged);
  assert.deepEqual(again.get("t", ["three"]), Buffer.from("the value of three"));
  await again.close();
});

test("a store without checksums stays one", async (context) => {
  const path = temporaryFolder(context);
  const { table } = openEnvironment(path, ["weir-store/1"]);
  await table.put(encodeKey("t", ["old"]), bytes("as it was"));
  await table.close();
  const store = LmdbStore.open(path);
  assert.deepEqual(store.get("t", ["old"]), Buffer.from("as it was"));
  await store.commit([{ table: "t", key: ["new"], value: bytes("as it is") }]);
  assert.deepEqual(
    [...store.range("t")].map(({ value }) => String(value)),
    ["as it is", "as it was"],
  );
  await store.close();
  const { table: raw } = openEnvironment(path, ["weir-store/1"]);
  assert.equal(String(raw.getBinary(encodeKey("t", ["new"]))), "as it is");
  await raw.close();
});
