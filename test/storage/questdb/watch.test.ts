/** What the watch does with the answers of a QuestDB in trouble: which tables it resumes, and when. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SqlAnswer, SqlCell } from "../../../storage/questdb/http.ts";
import { QuestDbWatch } from "../../../storage/questdb/watch.ts";

const { signal } = new AbortController();

function fake() {
  const state = { started: "2026-01-01T00:00:00Z", tables: [] as SqlCell[][], sql: [] as string[], nowMs: 0 };
  const exec = async (sql: string): Promise<SqlAnswer> => {
    if (sql.includes("pg_postmaster_start_time")) return { columns: [], rows: [[state.started]] };
    if (sql.includes("wal_tables")) return { columns: [], rows: state.tables };
    state.sql.push(sql);
    return { columns: [], rows: [] };
  };
  const watch = new QuestDbWatch(() => state.nowMs);
  return { state, watch, poll: () => watch.poll({ exec }, signal) };
}

test("a suspended table is resumed at once, then at growing pauses until it goes on", async () => {
  const { state, watch, poll } = fake();
  state.tables = [
    ["events", true, 3, 9, "disk full"],
    ["sessions", false, 5, 5, ""],
    ["someone_elses", true, 1, 2, ""],
  ];
  const resumedAt: number[] = [];
  for (; state.nowMs <= 100_000; state.nowMs += 5_000) {
    const before = state.sql.length;
    await poll();
    if (state.sql.length > before) resumedAt.push(state.nowMs);
  }
  assert.deepEqual(resumedAt, [0, 5_000, 15_000, 35_000, 75_000]);
  assert.deepEqual([...new Set(state.sql)], ["ALTER TABLE events RESUME WAL"]);
  assert.equal(watch.resumes, 5);
  assert.deepEqual(
    watch.tables.map(({ table, lagTransactions }) => [table, lagTransactions]),
    [
      ["events", 6],
      ["sessions", 0],
    ],
  );
  state.tables = [["events", false, 9, 9, ""]];
  await poll();
  state.tables = [["events", true, 9, 10, "again"]];
  await poll();
  assert.equal(watch.resumes, 6, "the pauses begin anew");
});

test("it tells each start of the server from the others", async () => {
  const { state, watch, poll } = fake();
  assert.equal(watch.startedAt, undefined);
  await poll();
  const first = watch.startedAt;
  state.started = "2026-01-01T00:00:01Z";
  await poll();
  assert.notEqual(watch.startedAt, first);
});
