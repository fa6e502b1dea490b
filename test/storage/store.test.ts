/** The conformance suite of the `Store` port, on LMDB and on the fake. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Store, StoreKey, StoreWrite } from "../../storage/ports.ts";
import { temporaryFolder } from "./temporary-folder.ts";

type Opener = () => Store;

const implementations: Record<string, (context: TestContext) => Opener> = {
  lmdb: (context) => {
    const path = temporaryFolder(context);
    return () => LmdbStore.open(path);
  },
  memory: () => {
    let last: MemoryStore | undefined;
    return () => (last = new MemoryStore(last === undefined ? {} : { image: last.image() }));
  },
};

const write = (table: string, key: StoreKey, value: string | undefined): StoreWrite => ({
  table,
  key,
  value: value === undefined ? undefined : new TextEncoder().encode(value),
});
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : new TextDecoder().decode(value));
const keysOf = (store: Store, ...range: Parameters<Store["range"]>) => [...store.range(...range)].map(({ key }) => key);

for (const [name, prepare] of Object.entries(implementations)) {
  const scenario = (title: string, run: (open: Opener) => Promise<void>) =>
    void test(`${name} store: ${title}`, async (context) => run(prepare(context)));

  scenario("is empty at first", async (open) => {
    const store = open();
    assert.equal(store.get("t", ["a"]), undefined);
    assert.deepEqual(keysOf(store, "t"), []);
    assert.deepEqual(keysOf(store, "t", undefined, undefined, { reverse: true }), []);
    await store.commit([]);
    assert.ok(store.sizeBytes() >= 0);
    await store.close();
  });

  scenario("writes, replaces and removes in one commit, and keeps it", async (open) => {
    let store = open();
    await store.commit([write("t", ["a"], "1"), write("t", ["b"], "2"), write("t", ["c"], ""), write("u", ["a"], "other")]);
    await store.commit([
      write("t", ["a"], undefined),
      write("t", ["b"], "3"),
      write("t", ["b"], "4"),
      write("t", ["missing"], undefined),
    ]);
    await store.close();
    store = open();
    assert.deepEqual(
      ["a", "b", "c", "missing"].map((key) => text(store.get("t", [key]))),
      [undefined, "4", "", undefined],
    );
    assert.equal(text(store.get("u", ["a"])), "other");
    assert.deepEqual(keysOf(store, "t"), [["b"], ["c"]]);
    await store.close();
  });

  scenario("a range has its ends, direction and limit", async (open) => {
    const store = open();
    await store.commit([1, 2, 3, 4, 5].map((key) => write("m", [key], String(key))));
    await store.commit([write("l", [9], "before"), write("m2", [0], "after"), write("n", [0], "after")]);
    const flat = (...range: [StoreKey?, StoreKey?, { reverse?: boolean; limit?: number }?]) =>
      keysOf(store, "m", ...range).flat();
    assert.deepEqual(flat(), [1, 2, 3, 4, 5]);
    assert.deepEqual(flat([2]), [2, 3, 4, 5]);
    assert.deepEqual(flat([2], [4]), [2, 3]);
    assert.deepEqual(flat(undefined, [3]), [1, 2]);
    assert.deepEqual(flat(undefined, undefined, { reverse: true }), [5, 4, 3, 2, 1]);
    assert.deepEqual(flat([2], [4], { reverse: true }), [3, 2]);
    assert.deepEqual(flat([1.5], [4.5], { reverse: true }), [4, 3, 2]);
    assert.deepEqual(flat(undefined, [9], { reverse: true, limit: 2 }), [5, 4]);
    assert.deepEqual(flat([2], undefined, { limit: 2 }), [2, 3]);
    assert.deepEqual(flat(undefined, undefined, { limit: 0 }), []);
    assert.deepEqual(flat([4], [2]), []);
    assert.deepEqual(flat([3], [3], { reverse: true }), []);
    await store.close();
  });

  scenario("a longer key comes right after its beginning", async (open) => {
    const store = open();
    const keys: StoreKey[] = [["a"], ["a", 1], ["a", 2, "x"], ["a", "b"], ["a\u0000"], ["a\u0000", 1], ["ab"]];
    await store.commit(keys.toReversed().map((key) => write("t", key, "v")));
    assert.deepEqual(keysOf(store, "t"), keys);
    assert.deepEqual(keysOf(store, "t", ["a"], ["a\u0000"]), keys.slice(0, 4));
    await store.close();
  });

  scenario("an iteration sees one moment", async (open) => {
    const store = open();
    await store.commit([1, 2, 3].map((key) => write("t", [key], "old")));
    const seen: string[] = [];
    for (const { key, value } of store.range("t")) {
      seen.push(`${key.join()}:${text(value)}`);
      await store.commit([write("t", [3], "new"), write("t", [4], "new"), write("t", [2], undefined)]);
      // Enough turns that a snapshot that were not held would be gone.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.deepEqual(seen, ["1:old", "2:old", "3:old"]);
    assert.deepEqual(keysOf(store, "t"), [[1], [3], [4]]);
    assert.equal(text(store.get("t", [3])), "new");
    await store.close();
  });

  scenario("leaving an iteration early does no harm", async (open) => {
    const store = open();
    await store.commit(Array.from({ length: 100 }, (_, key) => write("t", [key], "v")));
    for (let round = 0; round < 300; round++) for (const _ of store.range("t")) break;
    const [first, second] = [store.range("t"), store.range("t", [50])].map((range) => range[Symbol.iterator]());
    assert.deepEqual(first?.next().value?.key, [0]);
    assert.deepEqual(second?.next().value?.key, [50]);
    assert.deepEqual(first?.next().value?.key, [1]);
    first?.return?.();
    second?.return?.();
    await store.commit([write("t", [0], "w")]);
    assert.equal(text(store.get("t", [0])), "w");
    await store.close();
  });

  scenario("values of every size are the caller's own", async (open) => {
    const store = open();
    const sizes = [0, 1, 2_000, 4_096, 32_768, 100_000, 8 * 1024 * 1024];
    await store.commit(sizes.map((size, index) => ({ table: "t", key: [size], value: new Uint8Array(size).fill(index + 1) })));
    const got = sizes.map((size) => store.get("t", [size]));
    const ranged = [...store.range("t")].map(({ value }) => value);
    for (const [index, size] of sizes.entries()) {
      for (const value of [got[index], ranged[index]]) {
        assert.equal(value?.length, size);
        assert.ok(value.every((byte) => byte === index + 1));
        value.fill(99);
      }
    }
    assert.deepEqual(store.get("t", [1]), store.get("t", [1])?.fill(2));
    await store.close();
  });

  scenario("thousands of writes at once, and commits side by side", async (open) => {
    const store = open();
    const generation = (value: number) => Array.from({ length: 5_000 }, (_, key) => write("t", ["k", key], String(value)));
    await Promise.all([1, 2, 3].map((value) => store.commit(generation(value))));
    const values = new Set([...store.range("t")].map(({ value }) => text(value)));
    assert.deepEqual([...values], ["3"]);
    assert.equal(keysOf(store, "t").length, 5_000);
    await store.close();
  });

  scenario("takes keys up to the limit and refuses longer ones with all that came with them", async (open) => {
    const store = open();
    const long = "k".repeat(1_900);
    await store.commit([write("t", [long], "long")]);
    assert.equal(text(store.get("t", [long])), "long");
    assert.deepEqual(keysOf(store, "t", [long.slice(1)]), [[long]]);
    await assert.rejects(store.commit([write("t", ["short"], "v"), write("t", ["k".repeat(2_000)], "v")]), /bytes/);
    await assert.rejects(store.commit([write("t", ["\u{1f600}".repeat(600)], "v")]), /bytes/);
    await assert.rejects(store.commit([write("t", [Number.NaN], "v")]), /NaN/);
    assert.equal(store.get("t", ["short"]), undefined);
    await store.commit([write("t", ["short"], "v")]);
    assert.equal(keysOf(store, "t").length, 2);
    await store.close();
  });
}
