/** Tables, rows and reads on a real QuestDB: what is written is read back equal, sending again changes nothing. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import type { TenantId } from "../../../protocol/ids.ts";
import type { WarehouseRow, WarehouseTable } from "../../../storage/ports.ts";
import type { QuestDbHttp } from "../../../storage/questdb/http.ts";
import { countRows, readPaneRows, waitForApplied, warehouseHealth } from "../../../storage/questdb/reads.ts";
import { deadLetterRow, eventRow, paneRow, sessionRow } from "../../../storage/questdb/rows.ts";
import { QuestDbWarehouse } from "../../../storage/questdb/sender.ts";
import { sqlName, sqlText, sqlTimestamp } from "../../../storage/questdb/sql-text.ts";
import { createTables, tables } from "../../../storage/questdb/tables.ts";
import type { TableDefinition } from "../../../storage/questdb/tables.ts";
import { eventually } from "../../support/real-server.ts";
import { arbitraryRow, storedCell } from "./support/arbitrary-rows.ts";
import { startQuestDb } from "./support/managed-questdb.ts";

const questdb = await startQuestDb();
const { http, server } = questdb;
const warehouse = new QuestDbWarehouse({ url: server.url, timeoutMs: 10_000 });
const { signal } = new AbortController();
const tenant = "demo" as TenantId;

after(async () => {
  await warehouse.close();
  await questdb.close();
});

async function writeAndApply(table: WarehouseTable, rows: readonly WarehouseRow[]): Promise<void> {
  await warehouse.write(table, rows, signal);
  await waitForApplied(http, table, signal);
}

test("tables are made once, completed when columns are missing, and refused when they do not fit", async () => {
  await http.exec("CREATE TABLE sessions (ts TIMESTAMP, tenant SYMBOL, session_id VARCHAR) TIMESTAMP(ts) PARTITION BY DAY WAL");
  await createTables(http);
  await createTables(http);
  for (const table of Object.values(tables)) {
    const expected = table.columns.map(({ name, type }) => [name, type, table.upsertKeys.includes(name)]);
    // A WAL table takes a change later than the answer says.
    await eventually(async () => {
      const { rows } = await http.exec(`SELECT "column", type, upsertKey FROM table_columns(${sqlText(table.name)})`);
      return isDeepStrictEqual(rows, expected);
    }, `the columns of ${table.name}`);
  }
  const other: TableDefinition = {
    ...tables.sessions,
    columns: tables.sessions.columns.map((each) => ({ ...each, type: each.name === "events" ? "INT" : each.type })),
  };
  await assert.rejects(createTables(http, signal, [other]), { code: "WEIR_CONFIG_INVALID", path: "sessions" });
});

for (const table of Object.values(tables)) {
  test(`any rows of ${table.name} are read back as they were written`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryRow(table), { minLength: 40, maxLength: 80 }), async (rows) => {
        // One time for each row makes them different rows and gives them an order.
        const distinctRows = rows.map((row, index) => [1431857100000 + index, ...row.slice(1)]);
        await http.exec(`TRUNCATE TABLE ${sqlName(table.name)}`);
        await writeAndApply(table.name, distinctRows);
        const names = table.columns.map(({ name }) => sqlName(name)).join(", ");
        const { rows: stored } = await http.exec(`SELECT ${names} FROM ${sqlName(table.name)} ORDER BY ts`);
        const expected = distinctRows.map((row) =>
          row.map((cell, index) => storedCell(table.columns[index]?.type ?? "INT", cell)),
        );
        assert.deepEqual(stored, expected);
      }),
      { numRuns: 5 },
    );
  });
}

const event = {
  eventId: 'e-1 "quoted"\n, = \\',
  sessionId: "s",
  userId: "u",
  eventType: "page view, now = yes",
  eventCategory: "web",
  timestamp: 1431857100123,
  properties: { text: 'a "b"\n\\ c', amount: -0.1, nested: { list: [1, null, "x"] } },
  context: { deviceType: "", platform: "macOS", userAgent: "agent", ipAddress: "::1", location: { country: "DE", region: 5 } },
  source: "web",
  version: "1",
  environment: "test",
  traceId: "kept",
};
const place = { tenant, ingestTimeMs: 1431857200000, host: 0, offset: 7, index: 3 };

test("an event row says what the event says, and sending it again changes nothing", async () => {
  await http.exec("TRUNCATE TABLE events");
  const row = eventRow({ ...place, event, eventTimeMs: event.timestamp, partition: 2 });
  await writeAndApply("events", [row, row]);
  await writeAndApply("events", [row]);
  assert.equal(await countRows(http, "events", tenant), 1);
  assert.equal(await countRows(http, "events", "other" as TenantId), 0);
  assert.equal(await countRows(http, "events", tenant, { fromMs: event.timestamp + 1, toMs: event.timestamp + 2 }), 0);
  const { rows } = await http.exec(
    "SELECT event_id, device_type, country, region, properties, extra, hour, day_of_week, ts::long FROM events",
  );
  const [id, deviceType, country, region, properties, extra, ...time] = rows[0] ?? [];
  assert.deepEqual([id, deviceType, country, region], [event.eventId, "", "DE", null]);
  assert.deepEqual(JSON.parse(String(properties)), event.properties);
  assert.deepEqual(JSON.parse(String(extra)), { traceId: "kept" });
  assert.deepEqual(time, [10, 0, 1431857100123000]);
});

test("a corrected pane replaces its row, and its sketch comes back byte for byte", async () => {
  const sketch = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const pane = {
    tenant,
    metric: "value_by_type",
    paneMs: 60_000,
    startMs: 1431857100000,
    definitionVersion: 4,
    updatedMs: 1431857100500,
  };
  const series = [
    ["buy", null],
    ["", "x"],
  ] as const;
  for (const count of [1, 2]) {
    const outputs = { count, sum: 0.1 + 0.2, p50: 1e-300, topK: [{ key: "k", count, error: 0 }] };
    await writeAndApply(
      "metric_panes",
      series.map((dimensions) => paneRow({ ...pane, dimensions, outputs, sketch })),
    );
  }
  const span = { fromMs: pane.startMs, toMs: pane.startMs + 1 };
  const read = await readPaneRows(http, { tenant, metric: pane.metric, pane: "1m", ...span });
  const { startMs, definitionVersion, updatedMs } = pane;
  assert.deepEqual(
    read,
    [
      ["", "x"],
      ["buy", null],
    ].map((dimensions) => ({ startMs, dimensions, sketch, definitionVersion, updatedMs })),
  );
  assert.deepEqual(await readPaneRows(http, { tenant: "other" as TenantId, metric: pane.metric, pane: "1m", ...span }), []);
  const { rows } = await http.exec(
    `SELECT count, sum, p50, top_k FROM metric_panes WHERE metric = 'value_by_type' AND d1 = 'buy'`,
  );
  assert.deepEqual(rows, [[2, 0.1 + 0.2, 1e-300, '[{"key":"k","count":2,"error":0}]']]);
});

test("sessions and dead letters upsert", async () => {
  const session = {
    tenant,
    sessionId: "s",
    userId: null,
    startMs: 1000,
    endMs: 5000,
    events: 2,
    eventTypes: { a: 2 },
    updatedMs: 1,
  };
  await writeAndApply("sessions", [sessionRow({ ...session, state: "open" })]);
  await writeAndApply("sessions", [sessionRow({ ...session, state: "closed" })]);
  const letter = deadLetterRow({ ...place, code: "WEIR_EVENT_LATE", path: null, eventId: "", raw: "é".repeat(40_000) });
  await writeAndApply("dead_letters", [letter, letter]);
  const select = `WHERE tenant = ${sqlText(tenant)}`;
  const sessions = await http.exec(`SELECT state, duration_ms, user_id FROM sessions ${select}`);
  assert.deepEqual(sessions.rows, [["closed", 4000, null]]);
  const letters = await http.exec(`SELECT code, length(raw), event_id FROM dead_letters ${select}`);
  assert.deepEqual(letters.rows, [["WEIR_EVENT_LATE", 32_768, ""]]);
});

test("a row that QuestDB refuses is coded, and nothing of its request is kept", async () => {
  // A column has another type than ours: as if someone had made the table by hand.
  await http.exec("DROP TABLE dead_letters");
  await http.exec(
    "CREATE TABLE dead_letters (ts TIMESTAMP, tenant SYMBOL, code SYMBOL, raw INT) TIMESTAMP(ts) PARTITION BY DAY WAL",
  );
  const other = new QuestDbWarehouse({ url: server.url });
  const letter = deadLetterRow({ ...place, code: "WEIR_EVENT_LATE", path: null, eventId: "", raw: "x" });
  await assert.rejects(other.write("dead_letters", [letter], signal), (error: { code?: string; message: string }) => {
    return error.code === "WEIR_QUESTDB_ROW_REFUSED" && error.message.includes("column: ");
  });
  await waitForApplied(http, "dead_letters", signal);
  assert.deepEqual((await http.exec("SELECT count() FROM dead_letters")).rows, [[0]]);
  await assert.rejects(createTables(http), { code: "WEIR_CONFIG_INVALID" });
  await http.exec("DROP TABLE dead_letters");
  await createTables(http);
  await other.close();
});

test("literals find exactly the text that was stored, whatever it says", async () => {
  const nasty = [
    "'; DROP TABLE events; --",
    "''",
    "'",
    "'x'",
    "\\'",
    '"',
    "é",
    "a\nb",
    "\u{1F600}",
    "$1 @x",
    "/* */",
    "' OR '1'='1",
    "'||'x",
    "",
  ];
  const texts = [...new Set([...nasty, ...fc.sample(fc.string({ unit: "binary", maxLength: 6 }), 60)])];
  const session = { tenant: "literals" as TenantId, userId: null, endMs: 5000, events: 2, eventTypes: {}, updatedMs: 1 };
  const rows = texts.map((sessionId, startMs) => sessionRow({ ...session, sessionId, startMs, state: "open" }));
  // The state column is a SYMBOL: literals are compared in another way there.
  await writeAndApply(
    "sessions",
    rows.map((row, index) => row.map((cell, at) => (at === 4 ? (texts[index] ?? "") : cell))),
  );
  for (const [index, text] of texts.entries()) {
    const literal = sqlText(text);
    const where = `tenant = 'literals' AND session_id = ${literal} AND state = ${literal} AND ts = ${sqlTimestamp(index)}`;
    assert.deepEqual((await http.exec(`SELECT count() FROM sessions WHERE ${where}`)).rows, [[1]], JSON.stringify(text));
    const others = await http.exec(`SELECT count() FROM sessions WHERE tenant = 'literals' AND session_id = ${sqlText(text)}`);
    assert.deepEqual(others.rows, [[1]], JSON.stringify(text));
  }
});

test("errors of statements are coded; every table is healthy; a missing one is no table to wait for", async () => {
  await assert.rejects(http.exec("SELECT nothing FROM nowhere"), (error: { code?: string; message: string }) => {
    return error.code === "WEIR_QUERY_FAILED" && error.message.includes("nowhere");
  });
  const health = await warehouseHealth(http);
  assert.deepEqual(health.map(({ table }) => table).sort(), Object.keys(tables).sort());
  for (const { suspended, error } of health) assert.deepEqual([suspended, error], [false, undefined]);
  await assert.rejects(waitForApplied(http, "nothing" as WarehouseTable, signal), { code: "WEIR_WAREHOUSE_UNAVAILABLE" });
});

test("while QuestDB is away writes and reads say so; after its return the same rows go through", async () => {
  const row = eventRow({ ...place, event: { ...event, eventId: "after" }, eventTimeMs: event.timestamp, partition: 2 });
  await server.stop();
  await assert.rejects(warehouse.write("events", [row], signal), { code: "WEIR_QUESTDB_UNREACHABLE" });
  await assert.rejects((http as QuestDbHttp).exec("SELECT 1"), { code: "WEIR_QUESTDB_UNREACHABLE" });
  await server.start();
  await writeAndApply("events", [row]);
  const { rows } = await http.exec("SELECT count() FROM events WHERE event_id = 'after'");
  assert.deepEqual(rows, [[1]]);
});

test("an aborted write rejects with the reason of its signal; a stalled server hits the deadline", async () => {
  const abort = new AbortController();
  abort.abort(new Error("closing"));
  const row = eventRow({ ...place, event, eventTimeMs: event.timestamp, partition: 2 });
  await assert.rejects(warehouse.write("events", [row], abort.signal), /closing/);
  const impatient = new QuestDbWarehouse({ url: server.url, timeoutMs: 300 });
  const { pid = 0 } = server;
  process.kill(pid, "SIGSTOP");
  try {
    await assert.rejects(impatient.write("events", [row], signal), { code: "WEIR_QUESTDB_UNREACHABLE" });
  } finally {
    process.kill(pid, "SIGCONT");
    await impatient.close();
  }
});
