/** Small records of one commit share entries of LMDB. Whoever reads, trims, crashes or finds damage sees records, as before. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Offset } from "../../protocol/ids.ts";
import { openEnvironment } from "../../storage/lmdb/environment.ts";
import { emptyJournal, LmdbJournal, openJournalReader } from "../../storage/lmdb/journal.ts";
import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  BLOCK_HEAD_BYTES,
  BLOCK_RECORD_BYTES_MAX,
  LENGTH_BYTES,
  RecordBlock,
  writeBlock,
} from "../../storage/lmdb/record-block.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const record = (offset: number, size = 150): Uint8Array => Buffer.from(`record ${offset} `.repeat(600)).subarray(0, size);
const offset = (value: number): Offset => value as Offset;

async function append(journal: LmdbJournal, sizes: readonly number[]): Promise<void> {
  for (const size of sizes) journal.append(record(journal.appendedOffset + 1, size));
  await journal.flush();
}

/** The first offset of each entry and how many records it has. */
async function entries(path: string, kind = "weir-journal/2"): Promise<[number, number][]> {
  const { table } = openEnvironment(path, [kind]);
  const keys = [...table.getKeys({})].map((key) => Buffer.from(key)).filter((key) => key.length >= 8);
  await table.close();
  const found = keys.map((key): [number, number] =>
    key.length === 8 ? [Number(key.readBigUInt64BE(0)), 1] : [Number(key.readBigUInt64BE(8)), key.readUInt16BE(16)],
  );
  return found.toSorted(([left], [right]) => left - right);
}

const same = (count: number, size = 150): number[] => Array.from({ length: count }, () => size);

test("records share an entry when they are small and enough; others have their own", async (context) => {
  const path = temporaryFolder(context);
  const journal = LmdbJournal.open(path);
  await append(journal, same(7, BLOCK_RECORD_BYTES_MAX));
  await append(journal, same(8, BLOCK_RECORD_BYTES_MAX));
  await append(journal, same(8, BLOCK_RECORD_BYTES_MAX + 1));
  await append(journal, same(Math.floor(BLOCK_BYTES_MIN / 160)));
  await append(journal, [...same(30), 5_000, ...same(30), ...same(2, 2_000)]);
  assert.deepEqual([...journal.read(offset(1))].map((entry) => entry.record.length).slice(42, 76), [
    ...same(30),
    5_000,
    ...same(3),
  ]);
  for (const { offset: at, record: bytes } of journal.read(offset(1))) assert.deepEqual(bytes, record(at, bytes.length));
  await journal.close();
  const singles = (from: number, count: number) => Array.from({ length: count }, (_, index) => [from + index, 1]);
  const found = await entries(path);
  assert.deepEqual(found, [...singles(1, 7), [8, 8], ...singles(16, 27), [43, 30], [73, 1], [74, 30], ...singles(104, 2)]);
});

test("an entry is full at its limit", async (context) => {
  const path = temporaryFolder(context);
  const journal = LmdbJournal.open(path);
  await append(journal, same(300));
  await journal.close();
  const perBlock = Math.floor((BLOCK_BYTES_MAX - BLOCK_HEAD_BYTES) / (150 + LENGTH_BYTES));
  assert.deepEqual(await entries(path), [
    [1, perBlock],
    [1 + perBlock, perBlock],
    [1 + 2 * perBlock, 300 - 2 * perBlock],
  ]);
});

test("trimming in the middle of an entry keeps it until its last record may go", async (context) => {
  const path = temporaryFolder(context);
  let journal = LmdbJournal.open(path);
  for (let commit = 0; commit < 4; commit++) await append(journal, same(30));
  const states: [number, number[]][] = [
    [15, [1, 31, 61, 91]],
    [30, [1, 31, 61, 91]],
    [31, [31, 61, 91]],
    [62, [61, 91]],
    [120, [91]],
    [121, []],
  ];
  for (const [before, kept] of states) {
    await journal.trim(offset(before));
    assert.throws(() => [...journal.read(offset(before - 1))], /trimmed/);
    await journal.close();
    const firsts = (await entries(path)).map(([first]) => first);
    assert.deepEqual(firsts, kept, `before ${before}`);
    journal = LmdbJournal.open(path);
    assert.deepEqual([journal.firstOffset, journal.durableOffset], [before, 120]);
    for (const from of [before, Math.min(before + 1, 121), 120]) {
      if (from < before) continue;
      const read = [...journal.read(offset(from))];
      assert.deepEqual(
        read.map((entry) => [entry.offset, Buffer.compare(entry.record, record(entry.offset))]),
        Array.from({ length: 121 - from }, (_, index) => [from + index, 0]),
      );
    }
  }
  await append(journal, same(30));
  assert.equal(journal.durableOffset, 150);
  await journal.close();
});

test("a reader beside the writer sees the records of a commit together, and none before", async (context) => {
  const path = temporaryFolder(context);
  const journal = LmdbJournal.open(path);
  const reader = openJournalReader(path);
  for (let commit = 1; commit <= 10; commit++) {
    for (let index = 0; index < 30; index++) journal.append(record(journal.appendedOffset + 1));
    assert.equal(reader.ends().last, (commit - 1) * 30);
    await journal.flush();
    assert.equal(reader.ends().last, commit * 30);
    const from = commit * 30 - 40;
    if (from > 0) assert.equal([...reader.read(offset(from))].length, 41);
    assert.equal([...reader.read(offset(commit * 30 - 20), offset(commit * 30 - 10))].length, 11);
  }
  await reader.close();
  await journal.close();
  assert.ok((await emptyJournal(path)) > 0);
  const again = LmdbJournal.open(path);
  assert.deepEqual([again.firstOffset, again.durableOffset], [301, 300]);
  await again.close();
});

test("a journal of before goes on, and is of the new format from its first shared entry on", async (context) => {
  const path = temporaryFolder(context);
  const { table } = openEnvironment(path, ["weir-journal/1"]);
  for (let at = 1; at <= 5; at++) {
    const key = Buffer.alloc(8);
    key.writeBigUInt64BE(BigInt(at));
    await table.put(key, record(at));
  }
  await table.close();
  let journal = LmdbJournal.open(path);
  await append(journal, same(3));
  await journal.close();
  assert.equal((await entries(path, "weir-journal/1")).length, 8, "nothing that an older version could not read");
  journal = LmdbJournal.open(path);
  await append(journal, same(30));
  await journal.close();
  await assert.rejects(entries(path, "weir-journal/1"), { code: "WEIR_START_DATA_FORMAT" });
  journal = LmdbJournal.open(path);
  const read = [...journal.read(offset(1))];
  assert.deepEqual(
    read.map((entry) => Buffer.compare(entry.record, record(entry.offset))),
    same(38, 0),
  );
  await journal.trim(offset(20));
  assert.deepEqual([...journal.read(offset(20))].length, 19);
  await journal.close();
});

/** Flips a bit of the file wherever the text stands, so many bytes behind its begin. */
function flip(path: string, text: string, behind: number): void {
  const file = join(path, "data.mdb");
  const content = readFileSync(file);
  for (let at = content.indexOf(text); at !== -1; at = content.indexOf(text, at + 1)) {
    content[at + behind] = (content[at + behind] ?? 0) ^ 2;
  }
  writeFileSync(file, content);
}

test("damage of a record leaves its neighbours; damage of the lengths takes the entry, and no offset moves", async (context) => {
  const path = temporaryFolder(context);
  let journal = LmdbJournal.open(path);
  for (let commit = 0; commit < 3; commit++) await append(journal, same(30));
  await journal.close();
  const wrong = (): number[] =>
    [...journal.read(journal.firstOffset)]
      .filter((entry) => Buffer.compare(entry.record, record(entry.offset)) !== 0)
      .map((entry) => entry.offset);
  flip(path, "record 45 record 45 ", 2);
  journal = LmdbJournal.open(path);
  assert.deepEqual(wrong(), [45]);
  await journal.close();
  // Right before the first record of the second entry: the length of its last one.
  flip(path, "record 31 record 31 ", -1);
  journal = LmdbJournal.open(path);
  assert.deepEqual([journal.firstOffset, journal.durableOffset], [1, 90]);
  assert.deepEqual(
    wrong(),
    Array.from({ length: 30 }, (_, index) => 31 + index),
  );
  assert.ok([...journal.read(offset(31))].slice(0, 30).every((entry) => entry.record.length === 0));
  await journal.trim(offset(61));
  assert.deepEqual(wrong(), []);
  await journal.close();
});

test("any bit that flips in what a block says of its records is found", () => {
  const records = Array.from({ length: 9 }, (_, index) => record(index, 20 + index));
  const bytes = records.reduce((sum, { length }) => sum + LENGTH_BYTES + length, BLOCK_HEAD_BYTES);
  const block = new Uint8Array(bytes);
  writeBlock(records, 0, records.length, block);
  const whole = new RecordBlock(7, 9, block);
  assert.deepEqual(
    records.map((_, index) => whole.at(7 + index)).map(String),
    records.map((each) => String(new Uint8Array(each))),
  );
  for (let bit = 0; bit < 8 * (BLOCK_HEAD_BYTES + 9 * LENGTH_BYTES); bit++) {
    const damaged = block.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(new RecordBlock(7, 9, damaged).at(9).length, 0);
  }
  for (const length of [0, 3, 10, bytes - 1]) assert.equal(new RecordBlock(7, 9, block.subarray(0, length)).at(7).length, 0);
});
