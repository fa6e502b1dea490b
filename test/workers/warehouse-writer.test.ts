/**
 * The warehouse writer: a position moves only after the warehouse has answered for the rows before it, so across failures of
 * any kind every row arrives at least once, in order, and none is skipped. Rows wait for company, but not past their age.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Warehouse, WarehouseRow } from "../../storage/ports.ts";
import { UNSURE_MS, WarehouseWriter, type RowSource, type WriterStatus } from "../../workers/warehouse-writer.ts";

const PER_READ = 7;

/** Rows 1, 2, 3, ...; a position is the last row's number. */
class NumberSource implements RowSource {
  readonly name: string;
  replaces = false;
  last = 0;
  reads = 0;

  constructor(name: string) {
    this.name = name;
  }

  backlog(position: number): number {
    return this.last - position;
  }

  read(position: number, rowsMax: number): ReturnType<RowSource["read"]> {
    this.reads++;
    const end = Math.min(this.last, position + Math.min(PER_READ, rowsMax));
    const rows = Array.from({ length: end - position }, (_, index) => [this.name, position + index + 1]);
    return { position: end, tables: new Map([["events", rows]]), rows: rows.length };
  }
}

interface Fault {
  /** Which of the following requests fail, after the warehouse has taken the rows or before. */
  readonly write?: "before" | "after";
  readonly connect?: boolean;
  readonly position?: Error;
}

class Fixture {
  readonly sources = [new NumberSource("one"), new NumberSource("two")];
  readonly arrived = new Map<string, number[]>([
    ["one", []],
    ["two", []],
  ]);
  readonly stored = new Map<string, number>();
  readonly statuses: WriterStatus[] = [];
  readonly refused: unknown[] = [];
  /** Numbers of rows that the warehouse will never take. */
  readonly poison = new Set<number>();
  readonly faults: Fault[] = [];
  nowMs = 1_000_000;
  writes = 0;
  connects = 0;
  sleeps = 0;
  readonly #stopping = new AbortController();
  readonly writer: WarehouseWriter;
  #running: Promise<void> | undefined;
  /** Called at each sleep, with virtual time already moved on; ends the run when it says so. */
  onIdle: () => boolean = () => true;

  constructor(options: { flushRows?: number; flushMs?: number } = {}) {
    const { flushRows = 5, flushMs = 1_000 } = options;
    this.writer = new WarehouseWriter({
      sources: this.sources,
      positions: {
        get: (name) => this.stored.get(name) ?? 0,
        set: async (positions) => {
          const wrong = this.faults[0]?.position;
          if (wrong !== undefined) {
            this.faults.shift();
            throw wrong;
          }
          for (const [name, position] of positions) {
            assert.ok(position <= Math.max(0, ...(this.arrived.get(name) ?? [])), "what a position covers has arrived");
            this.stored.set(name, position);
          }
        },
      },
      connect: async () => this.#connect(),
      flushRows,
      flushMs,
      now: () => this.nowMs,
      sleep: async (ms) => {
        this.nowMs += ms;
        this.sleeps++;
        // A run that never ends is a failure, not a hang.
        if (this.sleeps > 10_000 || this.onIdle()) this.#stopping.abort();
        await Promise.resolve();
      },
      onRefused: (table, error) => this.refused.push([table, error.code]),
      onChange: (status) => this.statuses.push(status),
    });
  }

  run(): Promise<void> {
    return (this.#running ??= this.writer.run(this.#stopping.signal));
  }

  #connect(): Warehouse {
    this.connects++;
    if (this.faults[0]?.connect === true) {
      this.faults.shift();
      throw new WeirError("WEIR_QUESTDB_UNREACHABLE");
    }
    return { write: async (_table, rows) => this.#write(rows), close: async () => undefined };
  }

  async #write(rows: readonly WarehouseRow[]): Promise<void> {
    this.writes++;
    const fault = this.faults[0]?.write === undefined ? undefined : this.faults.shift()?.write;
    await Promise.resolve();
    if (fault === "before") throw new WeirError("WEIR_QUESTDB_UNREACHABLE");
    if (rows.some(([, number]) => this.poison.has(Number(number)))) throw new WeirError("WEIR_QUESTDB_ROW_REFUSED");
    for (const [name, number] of rows) this.arrived.get(String(name))?.push(Number(number));
    if (fault === "after") throw new WeirError("WEIR_QUESTDB_UNREACHABLE");
  }

  get isDone(): boolean {
    return this.sources.every(({ name, last }) => (this.stored.get(name) ?? 0) === last);
  }
}

for (const replaces of [true, false]) {
  const what = replaces ? "are sent once more when it cannot be applied any longer" : "that replace nothing are not";
  test(`rows of a request that was given up ${what}`, async () => {
    const fixture = new Fixture({ flushRows: 1 });
    const [source] = fixture.sources;
    assert.ok(source !== undefined);
    source.replaces = replaces;
    source.last = 5;
    // It may still be under way when newer rows have been answered for.
    fixture.faults.push({ write: "before" });
    const startMs = fixture.nowMs;
    fixture.onIdle = () => {
      if (fixture.isDone) source.last = 8;
      return fixture.nowMs > startMs + 3 * UNSURE_MS;
    };
    await fixture.run();
    const rows = [1, 2, 3, 4, 5, 6, 7, 8];
    assert.deepEqual(fixture.arrived.get("one"), replaces ? [...rows, ...rows] : rows);
  });
}

test("law: whatever fails and whenever, every row arrives, in order, none is skipped", async () => {
  const fault = fc.constantFrom<Fault>(
    { write: "before" },
    { write: "after" },
    { connect: true },
    { position: new Error("planted") },
  );
  const input = fc.record({
    faults: fc.array(fault, { maxLength: 8 }),
    grow: fc.array(fc.nat(30), { minLength: 1, maxLength: 6 }),
    flushRows: fc.integer({ min: 1, max: 40 }),
  });
  await fc.assert(
    fc.asyncProperty(input, async ({ faults, grow, flushRows }) => {
      const fixture = new Fixture({ flushRows });
      fixture.faults.push(...faults);
      const growth = [...grow];
      fixture.onIdle = () => {
        const more = growth.shift();
        if (more === undefined) return fixture.isDone;
        fixture.sources.forEach((source, index) => (source.last += more + index));
        return false;
      };
      await fixture.run();
      for (const { name, last } of fixture.sources) {
        const arrived = fixture.arrived.get(name) ?? [];
        assert.deepEqual(
          [...new Set(arrived)],
          Array.from({ length: last }, (_, index) => index + 1),
        );
        assert.equal(fixture.stored.get(name) ?? 0, last);
      }
    }),
    { numRuns: 200 },
  );
});

test("few rows wait until they are old enough, and are not read again and again meanwhile", async () => {
  const fixture = new Fixture({ flushRows: 5, flushMs: 1_000 });
  const [one] = fixture.sources;
  assert.ok(one !== undefined);
  one.last = 2;
  const startedMs = fixture.nowMs;
  let wroteAtMs = 0;
  fixture.onIdle = () => {
    if (fixture.isDone && wroteAtMs === 0) wroteAtMs = fixture.nowMs;
    return fixture.isDone;
  };
  await fixture.run();
  assert.ok(wroteAtMs - startedMs >= 1_000 && wroteAtMs - startedMs <= 1_300, `after ${wroteAtMs - startedMs} ms`);
  assert.equal(fixture.writes, 1);
  assert.ok(one.reads <= 2, `${one.reads} reads`);
});

test("enough rows go at once", async () => {
  const fixture = new Fixture({ flushRows: 5, flushMs: 1_000_000 });
  for (const source of fixture.sources) source.last = 6;
  await fixture.run();
  assert.ok(fixture.isDone);
  assert.equal(fixture.writes, 2);
});

test("a failure is told, the warehouse is connected to anew, and the same rows are sent again", async () => {
  const fixture = new Fixture({ flushRows: 1 });
  const [one] = fixture.sources;
  assert.ok(one !== undefined);
  one.last = 3;
  fixture.faults.push({ write: "after" }, { connect: true });
  fixture.onIdle = () => fixture.isDone;
  await fixture.run();
  assert.deepEqual(fixture.arrived.get("one"), [1, 2, 3, 1, 2, 3]);
  assert.equal(fixture.connects, 3);
  assert.deepEqual(fixture.statuses.map(({ state }) => state).slice(0, 3), ["pending", "pending", "ready"]);
  const [first, , third] = fixture.statuses;
  assert.deepEqual([first?.requestsFailed, typeof first?.lastError, third?.lastError], [1, "string", undefined]);
  assert.equal(fixture.statuses.at(-1)?.rowsWritten, 3);
});

test("requestFlush writes all there is at once, however little, and tells a failure", async () => {
  const fixture = new Fixture({ flushRows: 1_000, flushMs: 1_000_000 });
  for (const source of fixture.sources) source.last = 3 * PER_READ + 1;
  const flushed = fixture.writer.requestFlush();
  fixture.onIdle = () => fixture.isDone;
  const running = fixture.run();
  await flushed;
  assert.ok(fixture.isDone);
  await running;

  const failing = new Fixture({ flushRows: 1_000, flushMs: 1_000_000 });
  for (const source of failing.sources) source.last = 1;
  failing.faults.push({ write: "before" });
  const failed = assert.rejects(
    failing.writer.requestFlush(),
    (error) => error instanceof WeirError && error.code === "WEIR_QUESTDB_UNREACHABLE",
  );
  await failing.run();
  await failed;
});

test("a writer whose positions can no longer be kept ends, and tells those who wait for a flush", async () => {
  const fixture = new Fixture({ flushRows: 1 });
  for (const source of fixture.sources) source.last = 1;
  fixture.faults.push({ position: new WeirError("WEIR_JOURNAL_COMMIT_FAILED") });
  const flushed = assert.rejects(fixture.writer.requestFlush());
  await assert.rejects(fixture.run(), { code: "WEIR_JOURNAL_COMMIT_FAILED" });
  await flushed;
  assert.equal(fixture.stored.size, 0);
});

test("a flush that was asked for too late is refused when the writer stops, not left hanging", async () => {
  const fixture = new Fixture();
  let refused: Promise<void> | undefined;
  fixture.onIdle = () => {
    refused = assert.rejects(fixture.writer.requestFlush());
    return true;
  };
  await fixture.run();
  await refused;
});

test("a row that can never be stored is told and left out; the rows around it arrive, and the writer goes on", async () => {
  const fixture = new Fixture({ flushRows: 1 });
  const [one] = fixture.sources;
  assert.ok(one !== undefined);
  one.last = 2 * PER_READ;
  fixture.poison.add(3).add(4).add(9);
  fixture.onIdle = () => fixture.isDone;
  await fixture.run();
  assert.deepEqual([...new Set(fixture.arrived.get("one"))], [1, 2, 5, 6, 7, 8, 10, 11, 12, 13, 14]);
  assert.deepEqual(fixture.refused, new Array(3).fill(["events", "WEIR_QUESTDB_ROW_REFUSED"]));
  assert.equal(fixture.connects, 9, "the tables were looked at before a row was given up, once for both rows of the first batch");
});

test("rows that are refused because of their table are all sent again once it fits, and none is left out", async () => {
  const fixture = new Fixture({ flushRows: 1 });
  const [one] = fixture.sources;
  assert.ok(one !== undefined);
  one.last = 2 * PER_READ;
  for (let number = 1; number <= one.last; number++) fixture.poison.add(number);
  fixture.onIdle = () => {
    // Connecting mends the table, and it takes a moment until that holds.
    if (fixture.connects === 3) fixture.poison.clear();
    return fixture.isDone;
  };
  await fixture.run();
  assert.deepEqual(fixture.arrived.get("one"), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  assert.deepEqual(fixture.refused, []);
  assert.ok(
    fixture.statuses.some(({ state }) => state === "pending"),
    "it was shown",
  );
});
