import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorCode } from "../../protocol/error-codes.ts";
import { migrateDataDirectory, openDataDirectory, readDataDirectory, type Migration } from "../../storage/data-directory.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const code = (expected: ErrorCode) => ({ name: "WeirError", code: expected });
const options = { partitions: 16, nowMs: 1_700_000_000_000 };

test("a new data directory keeps its partition count and its seed", (context) => {
  const path = join(temporaryFolder(context), "deep", "data");
  const created = openDataDirectory(path, options);
  assert.deepEqual([created.partitionCount, created.createdMs, created.seed.length], [16, 1_700_000_000_000, 16]);
  assert.equal(created.hostPath(3), join(path, "hosts", "03"));
  assert.equal(created.partitionPath(7), join(path, "partitions", "007"));
  assert.equal(created.metricsPath(0), join(path, "metrics", "00"));
  assert.equal(created.controlPath, join(path, "control"));
  assert.throws(() => created.partitionPath(16), /partition 16/);
  created.close();
  const opened = openDataDirectory(path, { partitions: 4, nowMs: 1 });
  assert.equal(opened.partitionCount, 16);
  assert.deepEqual(opened.seed, created.seed);
  opened.close();
  const other = openDataDirectory(join(path, "other"), options);
  assert.notDeepEqual(other.seed, created.seed);
  other.close();
  assert.deepEqual(readdirSync(path).sort(), ["other", "weir.json"]);
});

test("lists the hosts that have a journal", (context) => {
  const path = temporaryFolder(context);
  const data = openDataDirectory(path, options);
  assert.deepEqual(data.existingHosts(), []);
  for (const host of [10, 0, 2]) mkdirSync(data.hostPath(host), { recursive: true });
  mkdirSync(join(path, "hosts", "x"));
  assert.deepEqual(data.existingHosts(), [0, 2, 10]);
  data.close();
});

test("a second server is refused while the first one lives", (context) => {
  const path = temporaryFolder(context);
  const first = openDataDirectory(path, options);
  assert.throws(() => openDataDirectory(path, options), code("WEIR_START_DATA_IN_USE"));
  const beside = readDataDirectory(path);
  assert.deepEqual(beside.seed, first.seed);
  beside.close();
  assert.throws(() => openDataDirectory(path, options), code("WEIR_START_DATA_IN_USE"));
  first.close();
  first.close();
  openDataDirectory(path, options).close();
});

test("the lock of a process that is gone is taken over", async (context) => {
  const path = temporaryFolder(context);
  openDataDirectory(path, options).close();
  const gone = spawn(process.execPath, ["-e", ""]);
  await once(gone, "exit");
  const lock = join(path, "LOCK");
  for (const stale of [
    JSON.stringify({ pid: gone.pid, startedAt: "x", token: "t" }),
    // The id of a living process that is not the one that took the lock.
    JSON.stringify({ pid: process.pid, startedAt: "another boot/1", token: "t" }),
    "",
  ]) {
    writeFileSync(lock, stale);
    writeFileSync(`${lock}.claim`, stale);
    const data = openDataDirectory(path, options);
    assert.equal(JSON.parse(readFileSync(lock, "utf8")).pid, process.pid);
    assert.throws(() => openDataDirectory(path, options), code("WEIR_START_DATA_IN_USE"));
    data.close();
    assert.deepEqual(readdirSync(path), ["weir.json"]);
  }
});

test("an unknown or newer format is refused and left alone", (context) => {
  const path = temporaryFolder(context);
  openDataDirectory(path, options).close();
  const file = join(path, "weir.json");
  const good = JSON.parse(readFileSync(file, "utf8"));
  for (const bad of ["", "{", "[]", JSON.stringify({ ...good, format: 2 }), JSON.stringify({ ...good, seedHex: "ab" })]) {
    writeFileSync(file, bad);
    assert.throws(() => openDataDirectory(path, options), code("WEIR_START_DATA_FORMAT"));
    assert.throws(() => readDataDirectory(path), code("WEIR_START_DATA_FORMAT"));
    assert.equal(readFileSync(file, "utf8"), bad);
    assert.ok(!existsSync(join(path, "LOCK")));
  }
});

test("a digit of the seed or the partition count that has changed is noticed; a file from before there was a checksum is read", (context) => {
  const path = temporaryFolder(context);
  openDataDirectory(path, options).close();
  const file = join(path, "weir.json");
  const { check, ...good } = JSON.parse(readFileSync(file, "utf8")) as { check: string; seedHex: string; partitions: number };
  const otherSeed = `${good.seedHex.startsWith("0") ? "1" : "0"}${good.seedHex.slice(1)}`;
  for (const changed of [{ seedHex: otherSeed }, { partitions: 17 }]) {
    writeFileSync(file, JSON.stringify({ ...good, ...changed, check }));
    assert.throws(() => openDataDirectory(path, options), code("WEIR_START_DATA_FORMAT"));
  }
  writeFileSync(file, JSON.stringify(good));
  assert.equal(Buffer.from(readDataDirectory(path).seed).toString("hex"), good.seedHex);
});

test("a directory is migrated once, step by step, and a step that was cut short runs again", async (context) => {
  const path = temporaryFolder(context);
  openDataDirectory(path, options).close();
  const ran: string[] = [];
  let crash = true;
  const formats = {
    format: 3,
    migrations: new Map<number, Migration>([
      [1, () => void ran.push("1 to 2")],
      [
        2,
        async (folder: string) => {
          ran.push(`2 to 3 of ${JSON.parse(readFileSync(join(folder, "weir.json"), "utf8")).format}`);
          await Promise.resolve();
          if (crash) throw new Error("killed");
        },
      ],
    ]),
  };
  const seed = readDataDirectory(path).seed;
  await assert.rejects(migrateDataDirectory(path, formats), /killed/);
  assert.ok(!existsSync(join(path, "LOCK")));
  crash = false;
  assert.deepEqual(await migrateDataDirectory(path, formats), [2]);
  assert.deepEqual(await migrateDataDirectory(path, formats), []);
  assert.deepEqual(ran, ["1 to 2", "2 to 3 of 2", "2 to 3 of 2"]);
  const identity = JSON.parse(readFileSync(join(path, "weir.json"), "utf8"));
  assert.deepEqual([identity.format, identity.seedHex], [3, Buffer.from(seed).toString("hex")]);
  await assert.rejects(migrateDataDirectory(path), code("WEIR_START_DATA_FORMAT"), "newer than this version");
  await assert.rejects(
    migrateDataDirectory(path, { format: 5, migrations: new Map([[3, () => undefined]]) }),
    code("WEIR_START_DATA_FORMAT"),
  );
  assert.deepEqual(await migrateDataDirectory(join(path, "none")), []);
});

test("data without weir.json is not given a new identity", (context) => {
  const path = temporaryFolder(context);
  mkdirSync(join(path, "partitions"));
  assert.throws(() => openDataDirectory(path, options), code("WEIR_START_DATA_FORMAT"));
});

test("what is not a usable directory is refused", (context) => {
  const path = temporaryFolder(context);
  const file = join(path, "file");
  writeFileSync(file, "");
  for (const bad of [file, join(file, "below"), "/proc/weir"]) {
    assert.throws(() => openDataDirectory(bad, options), code("WEIR_START_DATA_UNUSABLE"));
    assert.throws(() => readDataDirectory(bad), code("WEIR_START_DATA_UNUSABLE"));
  }
  assert.throws(() => readDataDirectory(path), code("WEIR_START_DATA_UNUSABLE"));
  assert.throws(() => openDataDirectory(path, { partitions: 0, nowMs: 0 }), /partitions/);
});
