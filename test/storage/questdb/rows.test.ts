/** Rows have one cell for each column, of its type, and say what their input says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { eventFields, type EventField } from "../../../protocol/event-fields.ts";
import type { TenantId } from "../../../protocol/ids.ts";
import type { WarehouseRow, WarehouseTable } from "../../../storage/ports.ts";
import { IlpEncoder } from "../../../storage/questdb/ilp-encoder.ts";
import { rawField } from "../../../storage/questdb/raw-field.ts";
import { cutText, deadLetterRow, eventRow, paneRow, sessionRow } from "../../../storage/questdb/rows.ts";
import { sqlName, sqlNumber, sqlText, sqlTimestamp } from "../../../storage/questdb/sql-text.ts";
import { createTableSql, tables } from "../../../storage/questdb/tables.ts";

const tenant = "demo" as TenantId;
const place = { tenant, ingestTimeMs: 1431857200000, host: 1, offset: 7, index: 3 };
const bare = {
  eventId: "e",
  sessionId: "s",
  eventType: "t",
  eventCategory: "c",
  properties: {},
  context: {},
  source: "x",
  version: "1",
  environment: "y",
};

/** By column name. The encoder checks that every cell fits its column. */
function named(table: WarehouseTable, row: WarehouseRow): Record<string, unknown> {
  new IlpEncoder(tables[table]).line(row);
  return Object.fromEntries(tables[table].columns.map(({ name }, index) => [name, row[index]]));
}

test("an event without optional fields", () => {
  const row = named("events", eventRow({ ...place, event: bare, eventTimeMs: 1431857100000, partition: 5 }));
  assert.equal(row["user_id"], null);
  assert.equal(row["device_type"], null);
  assert.equal(row["extra"], null);
  assert.equal(row["properties"], "{}");
  assert.deepEqual(
    [row["ts"], row["ingest_ts"], row["partition"], row["host"], row["journal_offset"], row["batch_index"]],
    [1431857100000, 1431857200000, 5, 1, 7, 3],
  );
});

/** An event with another text in each text that the schema names, and these texts by their paths. */
function eventOfTexts(fields: readonly EventField[], above = ""): { event: Record<string, unknown>; texts: [string, string][] } {
  const event: Record<string, unknown> = {};
  const texts: [string, string][] = [];
  for (const { name, kind, fields: inner } of fields) {
    const path = `${above}${name}`;
    if (kind === "timestamp") continue;
    if (kind === "map") {
      const map = eventOfTexts(inner, `${path}.`);
      event[name] = map.event;
      texts.push(...map.texts);
    } else {
      event[name] = `the ${path}`;
      texts.push([path, `the ${path}`]);
    }
  }
  return { event, texts };
}

test("every text that the schema names has a cell of its own, which questions for raw events read", () => {
  const { event, texts } = eventOfTexts(eventFields);
  const row = eventRow({ ...place, event, eventTimeMs: 5, partition: 0 });
  for (const [path, text] of texts) {
    assert.equal(row.filter((cell) => cell === text).length, 1, `${path} has no column in storage/questdb/tables.ts`);
    if (!path.includes(".")) assert.equal(rawField(path).isNumber, undefined, `${path} is read from JSON in raw-field.ts`);
  }
});

test("unknown fields are kept, whatever their names", () => {
  const event = JSON.parse(`{"__proto__": 1, "traceId": [1], "timestamp": 5}`) as object;
  const row = named("events", eventRow({ ...place, event: Object.assign(event, bare), eventTimeMs: 5, partition: 0 }));
  assert.equal(row["extra"], '{"__proto__":1,"traceId":[1]}');
});

test("a context field too long for a symbol is cut there and whole in the JSON", () => {
  const context = { deviceType: "é".repeat(200), location: { country: 5, region: "BY" } };
  const row = named("events", eventRow({ ...place, event: { ...bare, context }, eventTimeMs: 5, partition: 0 }));
  assert.equal(row["device_type"], "é".repeat(128));
  assert.deepEqual([row["country"], row["region"]], [null, "BY"]);
  assert.deepEqual(JSON.parse(String(row["context"])), context);
});

test("hour and day are those of UTC, also before 1970", () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 4e12 }), (eventTimeMs) => {
      const row = named("events", eventRow({ ...place, event: bare, eventTimeMs, partition: 0 }));
      const date = new Date(eventTimeMs);
      assert.deepEqual([row["hour"], row["day_of_week"]], [date.getUTCHours(), date.getUTCDay()]);
    }),
  );
});

test("a pane has the outputs that its metric has", () => {
  const pane = {
    tenant,
    metric: "m",
    paneMs: 3_600_000,
    startMs: 0,
    sketch: new Uint8Array([255, 0]),
    definitionVersion: 1,
    updatedMs: 9,
  };
  const row = named(
    "metric_panes",
    paneRow({ ...pane, dimensions: ["a", null], outputs: { count: 2, distinct: 3.4, min: null } }),
  );
  assert.deepEqual([row["pane"], row["series"], row["d1"], row["d2"], row["d3"]], ["1h", '["a",null]', "a", null, null]);
  assert.deepEqual(
    [row["count"], row["distinct_count"], row["min"], row["p99"], row["top_k"], row["sketch"]],
    [2, 3, null, null, null, "/wA="],
  );
  assert.throws(() => paneRow({ ...pane, paneMs: 10_000, dimensions: [], outputs: {} }), { name: "AssertionError" });
});

test("a session and a dead letter", () => {
  const session = {
    tenant,
    sessionId: "s",
    userId: "u",
    state: "closed",
    startMs: 1,
    endMs: 11,
    events: 2,
    eventTypes: { a: 2 },
    updatedMs: 12,
  } as const;
  assert.equal(named("sessions", sessionRow(session))["duration_ms"], 10);
  const letter = named(
    "dead_letters",
    deadLetterRow({ ...place, code: "WEIR_EVENT_LATE", path: "p".repeat(2_000), eventId: "", raw: "€".repeat(30_000) }),
  );
  assert.equal(String(letter["path"]).length, 1_024);
  assert.equal(letter["raw"], "€".repeat(21_845));
});

test("a cut text is the longest whole beginning that fits", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.nat(60), (text, bytesMax) => {
      const cut = cutText(text, bytesMax);
      assert.ok(text.startsWith(cut));
      assert.ok(Buffer.byteLength(cut) <= bytesMax);
      const next = Array.from(text.slice(cut.length))[0];
      assert.ok(next === undefined || Buffer.byteLength(cut + next) > bytesMax);
    }),
  );
});

test("SQL text is quoted; names and numbers are checked", () => {
  assert.equal(sqlText("it's '' \0"), "'it''s '''' \uFFFD'");
  assert.equal(sqlText("\ud83d"), "'\uFFFD'");
  assert.equal(sqlTimestamp(0), "'1970-01-01T00:00:00.000Z'");
  assert.deepEqual([sqlNumber(-1), sqlNumber(-0), sqlNumber(1e300)], ["(-1)", "(-0.0)", "1e+300"]);
  for (const name of ["a b", 'x"', "", "A"]) assert.throws(() => sqlName(name), { name: "AssertionError" });
  assert.throws(() => sqlNumber(Number.NaN), { name: "AssertionError" });
  assert.match(
    createTableSql({ ...tables.sessions, ttl: "90 DAYS" }),
    /PARTITION BY DAY TTL 90 DAYS WAL DEDUP UPSERT KEYS\("ts", "tenant", "session_id"\)$/,
  );
});
