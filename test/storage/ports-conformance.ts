/**
 * The conformance suite of the storage ports: any commands, and a naive model beside them. It runs on LMDB, on the fakes, and
 * on the simulated disk.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Offset } from "../../protocol/ids.ts";
import type { Journal, Store, StoreKey } from "../../storage/ports.ts";

export type JournalCommand =
  | { readonly do: "append"; readonly sizes: readonly number[] }
  | { readonly do: "flush" | "reopen" }
  | { readonly do: "trim"; readonly share: number };

export const journalCommands: fc.Arbitrary<JournalCommand[]> = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("append" as const), sizes: fc.array(fc.integer({ min: 1, max: 6_000 }), { maxLength: 5 }) }),
    // Enough small ones for entries that they share, between large ones or not, and more than one such entry holds.
    fc.record({
      do: fc.constant("append" as const),
      sizes: fc.array(fc.integer({ min: 100, max: 1_050 }), { minLength: 15, maxLength: 60 }),
    }),
    fc.record({ do: fc.constantFrom("flush" as const, "reopen" as const) }),
    fc.record({ do: fc.constant("trim" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  ),
  { maxLength: 25 },
);

export async function runJournal(commands: readonly JournalCommand[], open: (last?: Journal) => Journal): Promise<void> {
  const model: { first: number; records: number[] } = { first: 1, records: [] };
  let journal = open();
  for (const command of commands) {
    if (command.do === "append") {
      for (const size of command.sizes) {
        model.records.push(size);
        assert.equal(journal.append(new Uint8Array(size).fill(size)), model.first + model.records.length - 1);
      }
    } else {
      await journal.flush();
      if (command.do === "trim") {
        const forgotten = Math.round(command.share * model.records.length);
        model.records.splice(0, forgotten);
        model.first += forgotten;
        await journal.trim(model.first as Offset);
      } else if (command.do === "reopen") {
        await journal.close();
        journal = open(journal);
      }
      assert.equal(journal.firstOffset, model.first);
      assert.equal(journal.durableOffset, model.first + model.records.length - 1);
      const found = [...journal.read(journal.firstOffset)];
      assert.deepEqual(
        found.map(({ offset }) => offset - model.first),
        [...model.records.keys()],
      );
      const middle = model.first + Math.floor(model.records.length / 2);
      for (const { offset, record } of journal.read(middle as Offset)) {
        assert.deepEqual(record, found[offset - model.first]?.record, "the same from anywhere");
      }
      for (const { offset, record } of journal.read(middle as Offset, { fleeting: true })) {
        const kept = found[offset - model.first]?.record ?? new Uint8Array();
        assert.equal(Buffer.compare(record, kept), 0, "the same in memory that is used again");
      }
      for (const [index, { record }] of found.entries()) {
        assert.equal(record.length, model.records[index]);
        assert.ok(record.every((byte) => byte === record.length % 256));
      }
    }
  }
  await journal.close();
}

const anyPart = fc.oneof(fc.constantFrom("", "a", "b", "\u0000", "z"), fc.constantFrom(-1, 0, 0.5, 2));
const anyKey: fc.Arbitrary<StoreKey> = fc.array(anyPart, { minLength: 1, maxLength: 2 });
const anyTable = fc.constantFrom("t", "ta");
export const storeCommands = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        writes: fc.array(fc.record({ table: anyTable, key: anyKey, value: fc.option(fc.nat(255)) }), { maxLength: 8 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        table: anyTable,
        from: fc.option(anyKey),
        to: fc.option(anyKey),
        reverse: fc.boolean(),
        limit: fc.option(fc.nat(5)),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ reopen: true } as const) },
  ),
  { maxLength: 30 },
);
type StoreCommand = typeof storeCommands extends fc.Arbitrary<(infer Command)[]> ? Command : never;

/** Numbers before texts, part by part; every text here is ASCII. */
function compare(left: StoreKey, right: StoreKey): number {
  for (const [index, part] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    if (typeof part !== typeof other) return typeof part === "number" ? -1 : 1;
    if (part !== other) return part < other ? -1 : 1;
  }
  return left.length - right.length;
}

export async function runStore(commands: readonly StoreCommand[], open: (last?: Store) => Store): Promise<void> {
  let model: { table: string; key: StoreKey; value: number }[] = [];
  let store = open();
  for (const command of commands) {
    if ("writes" in command) {
      await store.commit(
        command.writes.map(({ value, ...at }) => ({ ...at, value: value === null ? undefined : Uint8Array.of(value) })),
      );
      for (const { table, key, value } of command.writes) {
        model = model.filter((entry) => entry.table !== table || compare(entry.key, key) !== 0);
        if (value !== null) model.push({ table, key, value });
        else assert.equal(command.writes.length > 1 || store.get(table, key) === undefined, true);
      }
    } else if ("table" in command) {
      const { table, from, to, reverse, limit } = command;
      const expected = model
        .filter(
          ({ key, ...entry }) =>
            entry.table === table && (from === null || compare(from, key) <= 0) && (to === null || compare(key, to) < 0),
        )
        .toSorted((left, right) => (reverse ? compare(right.key, left.key) : compare(left.key, right.key)))
        .slice(0, limit ?? undefined);
      const found = [
        ...store.range(table, from ?? undefined, to ?? undefined, { reverse, ...(limit === null ? {} : { limit }) }),
      ];
      assert.deepEqual(
        found.map(({ key, value }) => [key, value[0]]),
        expected.map(({ key, value }) => [key, value]),
      );
      for (const { key, value } of expected) assert.equal(store.get(table, key)?.[0], value);
    } else {
      await store.close();
      store = open(store);
    }
  }
  await store.close();
}
