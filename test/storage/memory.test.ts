/** What the fakes can do that a disk cannot be asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryJournal } from "../../storage/memory/journal.ts";
import { MemoryStore } from "../../storage/memory/store.ts";

const failed = { code: "WEIR_JOURNAL_COMMIT_FAILED" };

test("a manual journal flushes when told", async () => {
  const journal = new MemoryJournal({ manual: true });
  journal.append(Uint8Array.of(1));
  let durable = 0;
  const flushed = journal.flush().then((offset) => (durable = offset));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([durable, journal.durableOffset], [0, 0]);
  journal.flushNow();
  await flushed;
  assert.deepEqual([durable, journal.durableOffset], [1, 1]);
});

test("a crashed journal keeps what was durable and what it is told of the rest", async () => {
  const written = async () => {
    const journal = new MemoryJournal({ manual: true });
    journal.append(Uint8Array.of(1));
    journal.flushNow();
    for (const byte of [2, 3, 4]) journal.append(Uint8Array.of(byte));
    return journal;
  };
  for (const kept of [0, 1, 3]) {
    const crashed = await written();
    const reopened = new MemoryJournal({ image: crashed.crash(kept) });
    assert.equal(reopened.durableOffset, 1 + kept);
    assert.deepEqual(
      [...reopened.read(reopened.firstOffset)].map(({ record }) => record[0]),
      [1, 2, 3, 4].slice(0, 1 + kept),
    );
    assert.throws(() => crashed.append(Uint8Array.of(5)), /closed/);
  }
});

test("an injected failure stops the journal", async () => {
  const journal = new MemoryJournal();
  journal.append(Uint8Array.of(1));
  await journal.flush();
  journal.failNextCommit();
  journal.append(Uint8Array.of(2));
  const ignored = journal.flush();
  await assert.rejects(journal.flush(), failed);
  await assert.rejects(ignored, failed);
  assert.throws(() => journal.append(Uint8Array.of(3)), failed);
  assert.equal(journal.durableOffset, 1);
});

test("a manual store commits when told, and a crash keeps whole commits", async () => {
  const store = new MemoryStore({ manual: true });
  const write = (key: number) =>
    store.commit([1, 2].map((part) => ({ table: "t", key: [key, part], value: Uint8Array.of(key) })));
  const commits = [write(1), write(2)];
  assert.equal(store.get("t", [1, 1]), undefined);
  store.flushNow();
  await Promise.all(commits);
  assert.deepEqual(store.get("t", [2, 2]), Uint8Array.of(2));
  void write(3);
  void write(4);
  const reopened = new MemoryStore({ image: store.crash(1) });
  assert.deepEqual(
    [...reopened.range("t")].map(({ key }) => key.join("")),
    ["11", "12", "21", "22", "31", "32"],
  );
});

test("an injected failure stops the store and changes nothing", async () => {
  const store = new MemoryStore();
  store.failNextCommit();
  const write = [{ table: "t", key: ["a"], value: Uint8Array.of(1) }];
  await assert.rejects(store.commit(write), failed);
  await assert.rejects(store.commit(write), failed);
  assert.equal(store.get("t", ["a"]), undefined);
});
