/** The books find what is missing, what is too much and what is strange: a crash test that could not would prove nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MINUTE_MS } from "../../protocol/windows.ts";
import { Books, type Cell } from "./books.ts";

const EVENTS = 420;
const nothing = { lost: [], doubled: [], unsent: [] };

/** Every other event acknowledged. */
function booksOf(): Books {
  const books = new Books(Date.UTC(2026, 0, 1));
  books.ack(books.take(EVENTS).filter((n) => n % 2 === 0));
  return books;
}

/** What a server shows that has counted these events, made from the events themselves. */
function cellsOf(books: Books, numbers: readonly number[]): Cell[] {
  const cells = new Map<string, Cell>();
  for (const n of numbers) {
    const { timestamp, properties } = books.event(n);
    const [timeMs, part] = [Math.floor(Number(timestamp) / MINUTE_MS) * MINUTE_MS, String(properties?.["part"])];
    const { count, sum } = cells.get(`${timeMs} ${part}`) ?? { count: 0, sum: 0 };
    cells.set(`${timeMs} ${part}`, { timeMs, part, count: count + 1, sum: sum + Number(properties?.["bit"]) });
  }
  return [...cells.values()];
}

function compareBoth(numbers: readonly number[]) {
  const books = booksOf();
  const times = new Map<string, number>();
  for (const n of numbers) times.set(`e-${n}`, (times.get(`e-${n}`) ?? 0) + 1);
  return {
    cells: books.compareCells(cellsOf(books, numbers), books.copy(), 0, EVENTS),
    ids: books.compareIds(times, books.copy(), 0, EVENTS),
  };
}

const all = Array.from({ length: EVENTS }, (_, n) => n);
const acked = all.filter((n) => n % 2 === 0);

test("all that was sent may be there, what was acknowledged has to be", () => {
  assert.deepEqual(compareBoth(all), { cells: nothing, ids: nothing });
  assert.deepEqual(compareBoth(acked), { cells: nothing, ids: nothing });
});

test("a lost event is named", () => {
  for (const n of [0, 48, 50, 298, 300, 418]) {
    const lost = { ...nothing, lost: [n] };
    assert.deepEqual(compareBoth(acked.filter((other) => other !== n)), { cells: lost, ids: lost });
  }
});

test("a whole cell can be lost", () => {
  const { cells, ids } = compareBoth(acked.filter((n) => n < 100 || n >= 150));
  assert.equal(cells.lost.length, 25);
  assert.deepEqual(ids.lost, cells.lost);
});

test("a doubled event is found, in its cell, also when it hides a missing one", () => {
  for (const n of [0, 49, 51, 299, 301]) {
    const { cells, ids } = compareBoth([...all, n]);
    assert.deepEqual(cells, { ...nothing, doubled: [n - (n % 50)] });
    assert.deepEqual(ids, { ...nothing, doubled: [n] });
  }
  const hidden = all.map((n) => (n === 2 ? 1 : n));
  assert.deepEqual(compareBoth(hidden), {
    cells: { ...nothing, doubled: [0] },
    ids: { lost: [2], doubled: [1], unsent: [] },
  });
});

test("an event that was never sent is strange", () => {
  assert.deepEqual(compareBoth([...all, EVENTS + 5]), {
    cells: { ...nothing, unsent: [`e-${EVENTS + 5}`] },
    ids: { ...nothing, unsent: [`e-${EVENTS + 5}`] },
  });
  const books = booksOf();
  assert.equal(
    books.compareCells([{ timeMs: books.baseMs - MINUTE_MS, part: "p0", count: 1, sum: 1 }], books, 0, 0).unsent.length,
    1,
  );
  assert.deepEqual(books.compareIds([["other", 1]], books, 0, 0).unsent[0], "other");
});

test("what is acknowledged later is not expected of an earlier answer", () => {
  const books = booksOf();
  const before = books.copy();
  books.ack([1]);
  assert.deepEqual([before.has(1), books.has(1)], [false, true]);
  assert.deepEqual([before.count, books.count], [EVENTS / 2, EVENTS / 2 + 1]);
});
