/** The conformance suite of the `Journal` port, on LMDB and on the fake. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Offset } from "../../protocol/ids.ts";
import { LmdbJournal } from "../../storage/lmdb/journal.ts";
import { MemoryJournal } from "../../storage/memory/journal.ts";
import type { Journal } from "../../storage/ports.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** Opens the same journal again and again; only one at a time. */
type Opener = () => Journal;

const implementations: Record<string, (context: TestContext) => Opener> = {
  lmdb: (context) => {
    const path = temporaryFolder(context);
    return () => LmdbJournal.open(path);
  },
  memory: () => {
    let last: MemoryJournal | undefined;
    return () => (last = new MemoryJournal(last === undefined ? {} : { image: last.image() }));
  },
};

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (record: Uint8Array) => new TextDecoder().decode(record);
const offset = (value: number) => value as Offset;
const all = (journal: Journal, from = journal.firstOffset as number) =>
  [...journal.read(offset(from))].map((entry) => `${entry.offset}:${text(entry.record)}`);

for (const [name, prepare] of Object.entries(implementations)) {
  const scenario = (title: string, run: (open: Opener) => Promise<void>) =>
    void test(`${name} journal: ${title}`, async (context) => run(prepare(context)));

  scenario("starts empty", async (open) => {
    const journal = open();
    assert.deepEqual([journal.firstOffset, journal.appendedOffset, journal.durableOffset], [1, 0, 0]);
    assert.deepEqual(all(journal), []);
    assert.equal(await journal.flush(), 0);
    await journal.close();
  });

  scenario("numbers records from 1 and shows them once they are durable", async (open) => {
    const journal = open();
    assert.equal(journal.append(bytes("a")), 1);
    assert.equal(journal.append(bytes("b")), 2);
    assert.deepEqual([journal.appendedOffset, journal.durableOffset], [2, 0]);
    assert.deepEqual(all(journal), []);
    assert.equal(await journal.flush(), 2);
    assert.deepEqual(all(journal), ["1:a", "2:b"]);
    assert.deepEqual(all(journal, 2), ["2:b"]);
    assert.deepEqual(all(journal, 3), []);
    await journal.close();
  });

  scenario("a flush covers what was appended while another ran", async (open) => {
    const journal = open();
    const flushed: number[] = [];
    const flushes: Promise<unknown>[] = [];
    for (let index = 1; index <= 50; index++) {
      const appended = journal.append(bytes(`r${index}`));
      flushes.push(
        journal.flush().then((durable) => {
          assert.ok(durable >= appended, `flush after ${appended} gave ${durable}`);
          flushed.push(durable);
        }),
      );
      if (index % 7 === 0) await flushes[index - 3];
    }
    await Promise.all(flushes);
    assert.equal(journal.durableOffset, 50);
    assert.deepEqual(
      flushed,
      flushed.toSorted((a, b) => a - b),
    );
    await journal.close();
  });

  scenario("what is appended while a commit runs is not durable with it", async (open) => {
    const journal = open();
    journal.append(bytes("a"));
    const flushed = journal.flush();
    await new Promise((resolve) => setImmediate(resolve));
    journal.append(bytes("b"));
    const durable = await flushed;
    assert.equal(all(journal).length, journal.durableOffset);
    assert.equal(durable, journal.durableOffset);
    await journal.close();
  });

  scenario("goes on after closing and opening", async (open) => {
    let journal = open();
    journal.append(bytes("a"));
    journal.append(bytes("b"));
    await journal.close();
    journal = open();
    assert.deepEqual([journal.firstOffset, journal.appendedOffset, journal.durableOffset], [1, 2, 2]);
    assert.equal(journal.append(bytes("c")), 3);
    await journal.flush();
    assert.deepEqual(all(journal), ["1:a", "2:b", "3:c"]);
    await journal.close();
  });

  scenario("trims, and remembers it", async (open) => {
    let journal = open();
    for (let index = 1; index <= 2_500; index++) journal.append(bytes(`r${index}`));
    await journal.flush();
    await journal.trim(offset(2_400));
    assert.equal(journal.firstOffset, 2_400);
    await journal.trim(offset(2));
    assert.equal(journal.firstOffset, 2_400);
    assert.throws(() => all(journal, 2_399));
    assert.equal(all(journal).length, 101);
    await journal.close();
    journal = open();
    assert.deepEqual([journal.firstOffset, journal.appendedOffset], [2_400, 2_500]);
    assert.equal(all(journal)[0], "2400:r2400");
    await journal.close();
  });

  scenario("keeps counting after everything was trimmed", async (open) => {
    let journal = open();
    journal.append(bytes("a"));
    journal.append(bytes("b"));
    await journal.flush();
    await journal.trim(offset(3));
    assert.deepEqual([journal.firstOffset, journal.appendedOffset, journal.durableOffset], [3, 2, 2]);
    await journal.close();
    journal = open();
    assert.deepEqual([journal.firstOffset, journal.appendedOffset, journal.durableOffset], [3, 2, 2]);
    assert.equal(journal.append(bytes("c")), 3);
    await journal.flush();
    assert.deepEqual(all(journal), ["3:c"]);
    await journal.close();
  });

  scenario("refuses to trim what is not durable", async (open) => {
    const journal = open();
    journal.append(bytes("a"));
    await assert.rejects(journal.trim(offset(2)), /durable/);
    await journal.flush();
    await journal.trim(offset(2));
    await journal.close();
  });

  scenario("trims while it is written", async (open) => {
    const journal = open();
    const trims: Promise<void>[] = [];
    for (let round = 1; round <= 20; round++) {
      for (let index = 0; index < 300; index++) journal.append(bytes(`r${journal.appendedOffset + 1}`));
      await journal.flush();
      trims.push(journal.trim(offset(Math.max(1, journal.durableOffset - 100))));
    }
    await Promise.all(trims);
    assert.deepEqual([journal.firstOffset, journal.durableOffset], [5_900, 6_000]);
    assert.deepEqual(all(journal, 5_999), ["5999:r5999", "6000:r6000"]);
    await journal.close();
  });

  scenario("keeps records of every size intact", async (open) => {
    let journal = open();
    // lmdb hands out values from 16 MiB on in another way.
    const sizes = [1, 10, 1_999, 2_000, 4_080, 4_096, 32_767, 32_768, 100_000, 16 * 1024 * 1024, 17 * 1024 * 1024, 5];
    for (const [index, size] of sizes.entries()) journal.append(new Uint8Array(size).fill(index + 1));
    await journal.close();
    journal = open();
    for (const fleeting of [false, true]) {
      let read = 0;
      for (const { offset: at, record } of journal.read(offset(1), { fleeting })) {
        assert.equal(record.length, sizes[at - 1]);
        assert.ok(record.every((byte) => byte === at));
        read++;
      }
      assert.equal(read, sizes.length);
    }
    assert.throws(() => journal.append(new Uint8Array(0)));
    await journal.close();
  });

  scenario("takes views of larger buffers", async (open) => {
    const journal = open();
    const frame = bytes("0123456789");
    journal.append(frame.subarray(2, 5));
    journal.append(Buffer.from(frame.buffer, 7, 2));
    await journal.flush();
    assert.deepEqual(all(journal), ["1:234", "2:78"]);
    await journal.close();
  });

  scenario("takes nothing after closing", async (open) => {
    const journal = open();
    await journal.close();
    await journal.close();
    assert.throws(() => journal.append(bytes("a")), /closed/);
  });
}
