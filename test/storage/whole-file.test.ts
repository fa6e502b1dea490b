/**
 * A file of LMDB that was cut short is found before it is opened: reading it would end the process with SIGBUS. Law: a file that
 * LMDB has closed is whole; of one that is cut, either nothing is missing, which a process that reads all of it shows, or it
 * is refused.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { randomFrom } from "../../bench/workload.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { isWhole } from "../../storage/lmdb/whole-file.ts";
import type { StoreWrite } from "../../storage/ports.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const PAGE_BYTES = 4096;
const store = new URL("../../storage/lmdb/store.js", import.meta.url).href;
const readAll = `import { LmdbStore } from "${store}";
  const store = LmdbStore.open(process.argv[1], { readOnly: true });
  let bytes = 0;
  for (const { value } of store.range("t")) bytes += value.reduce((sum, byte) => sum + byte, 0);
  await store.close();
  console.log(bytes);`;

/** What a process that reads every value says: the exit code, or the signal that ended it. */
function reads(path: string): number | string | null {
  const { status, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", readAll, path]);
  return status ?? signal;
}

/** Small values and large ones, many of them replaced or removed. */
async function write(path: string, random: () => number, commits: number): Promise<void> {
  const open = LmdbStore.open(path);
  for (let commit = 0; commit < commits; commit++) {
    const writes = Array.from({ length: 20 }, (): StoreWrite => {
      const value = random() < 0.3 ? undefined : Buffer.alloc(1 + Math.floor(random() ** 4 * 30_000), commit + 1);
      return { table: "t", key: [Math.floor(random() * 300)], value };
    });
    await open.commit(writes);
  }
  await open.close();
}

test("a file that was closed is whole, and so is one that is being written", async (context) => {
  const random = randomFrom(1);
  for (let round = 0; round < 10; round++) {
    const path = temporaryFolder(context);
    const writing = write(path, random, 1 + Math.floor(random() * 30));
    while (!LmdbStore.exists(path)) await new Promise(setImmediate);
    for (let look = 0; look < 20; look++) {
      assert.ok(isWhole(join(path, "data.mdb")));
      await new Promise(setImmediate);
    }
    await writing;
    assert.ok(isWhole(join(path, "data.mdb")));
  }
});

test("a file that was cut is refused, or nothing of it is missing", { timeout: 120_000 }, async (context) => {
  for (let seed = 0; seed < 3; seed++) {
    const path = temporaryFolder(context);
    const file = join(path, "data.mdb");
    await write(path, randomFrom(seed), 25);
    const before = readFileSync(file);
    let size = before.length;
    let last = size;
    for (; size > 2 * PAGE_BYTES; size -= PAGE_BYTES) {
      truncateSync(file, size);
      if (!isWhole(file)) break;
      last = size;
    }
    assert.ok(size > 2 * PAGE_BYTES, "a cut was found");
    assert.throws(() => LmdbStore.open(path), { code: "WEIR_START_DATA_UNUSABLE" });
    // The shortest one that is called whole: what it lacks must not be looked at.
    writeFileSync(file, before.subarray(0, last));
    assert.equal(reads(path), 0, `cut to ${last} bytes, seed ${seed}`);
  }
});

test("what is no LMDB file is left to LMDB", (context) => {
  const file = join(temporaryFolder(context), "data.mdb");
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(10_000), Buffer.alloc(10_000, 0xff)]) {
    writeFileSync(file, bytes);
    assert.ok(isWhole(file));
  }
});

test("a file that was emptied or removed is not made anew", async (context) => {
  const path = temporaryFolder(context);
  const file = join(path, "data.mdb");
  await write(path, randomFrom(1), 1);
  truncateSync(file, 0);
  assert.throws(() => LmdbStore.open(path), { code: "WEIR_START_DATA_UNUSABLE" });
  rmSync(file);
  assert.throws(() => LmdbStore.open(path), { code: "WEIR_START_DATA_UNUSABLE" });
});

test("a file that a kill left empty while it was being made is made anew", async (context) => {
  const path = temporaryFolder(context);
  writeFileSync(join(path, "data.mdb"), "");
  await write(path, randomFrom(1), 1);
});
