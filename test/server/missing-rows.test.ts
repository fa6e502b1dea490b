/** Missing rows are told once nothing moved between two looks with a count in between, and not before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SqlAnswer } from "../../storage/questdb/http.ts";
import { GatewayMetrics } from "../../server/metrics.ts";
import { MissingRows, type QuietStream } from "../../server/missing-rows.ts";

test("rows are held against accepted events only when nothing moved around the count", async () => {
  const state = { stream: undefined as QuietStream | undefined, rows: 7, lag: 0, ttl: 0, away: false };
  const watch = new MissingRows({
    look: () => state.stream,
    http: () => ({
      exec: async (sql): Promise<SqlAnswer> => {
        if (state.away) throw new Error("away");
        if (sql.includes("wal_tables")) return { columns: [], rows: [["events", false, 5, 5 + state.lag, null]] };
        if (sql.includes("ttlValue")) return { columns: [], rows: [[state.ttl, "DAY"]] };
        return { columns: [], rows: [[sql.includes("max(ts)") ? 1 : state.rows]] };
      },
    }),
    log: { warn: () => undefined } as never,
  });
  const at = (accepted: number, position: string): void => void (state.stream = { accepted, position });
  const checked = async (): Promise<number | undefined> => {
    await watch.check();
    return watch.events;
  };
  assert.equal(await checked(), undefined, "the warehouse is behind");
  at(10, "a");
  assert.equal(await checked(), undefined, "counted once, not looked at again");
  at(12, "b");
  assert.equal(await checked(), undefined, "something came in around the count");
  assert.equal(await checked(), 5);
  state.rows = 12;
  assert.equal(await checked(), 5, "the rows that came are counted for the next look");
  assert.equal(await checked(), 0);
  for (const broken of [{ lag: 1 }, { ttl: 3 }, { away: true }]) {
    Object.assign(state, { rows: 0 }, broken);
    await watch.check();
    assert.equal(await checked(), 0, "no count, no word");
    Object.assign(state, { lag: 0, ttl: 0, away: false, rows: 12 });
    await watch.check();
  }
});

test("the gauge is absent while nothing is known", async () => {
  let missingEvents: number | undefined;
  const warehouse = { state: "ready", rowsWritten: 0, rowsRefused: 0, requestsFailed: 0, hosts: [] } as const;
  const observe = () => ({ hosts: [], warehouse: { ...warehouse, missingEvents } });
  const metrics = new GatewayMetrics({ version: "0", observe, processMetrics: false });
  const line = async () => (await metrics.text()).split("\n").filter((each) => each.startsWith("weir_warehouse_missing_events"));
  assert.deepEqual(await line(), []);
  missingEvents = 3;
  assert.deepEqual(await line(), ["weir_warehouse_missing_events 3"]);
  missingEvents = undefined;
  assert.deepEqual(await line(), []);
});
