/**
 * Texts that are ILP, SQL, CSV, HTML or a line of a log to somebody arrive as the same texts in a real QuestDB, in live and stored
 * answers, in exports and dead letters; and nothing else arrives: no table, tenant, series, line or header that nobody sent.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startQuestDb, type ManagedQuestDb } from "../storage/questdb/support/managed-questdb.ts";
import { eventually } from "../support/real-server.ts";
import { goodFields, type Fields } from "./corpus/event-bytes.ts";
import { injections } from "./corpus/texts.ts";
import { FuzzTarget } from "./fuzz-target.ts";

const texts = Object.values(injections);
const timeRange = { from: Date.now() - 3_600_000, to: Date.now() + 3_600_000 };

let questdb: ManagedQuestDb;
let target: FuzzTarget;

before(async () => {
  questdb = await startQuestDb();
  target = await FuzzTarget.start({ questdb: questdb.server.url, warehouseFlushMs: 100 });
  const dimensions = [{ name: "k", field: "properties.k" }];
  await target.admin.defineMetric({ name: "texts", aggregates: ["count"], dimensions });
  await target.checkNeighbour();
  const { successfulEvents } = await target.admin.publish(texts.map(eventOf) as never);
  assert.equal(successfulEvents, texts.length);
  // The same without a time: dead letters.
  const refused = await target.admin.publish(
    texts.map((text) => ({ ...eventOf(text), timestamp: "never", version: text })) as never,
  );
  assert.equal(refused.failedEvents, texts.length);
  // The tables are made when the server has found QuestDB.
  const count = async (table: string): Promise<unknown> => {
    return (await rowsOf(`SELECT count() FROM ${table} WHERE tenant = 'strangers'`).catch(() => []))[0]?.[0];
  };
  await eventually(async () => (await count("events")) === texts.length, "the rows are there", 60_000);
  await eventually(async () => (await count("dead_letters")) === texts.length, "the dead letters are there", 60_000);
});
after(async () => {
  await target.close();
  await questdb.close();
});

/** QuestDB refuses NUL: a column has U+FFFD in its place. Ids cannot have that otherwise, so two of them do not become one. */
function stored(text: string): string {
  return text.replaceAll("\u0000", "\uFFFD");
}

function eventOf(text: string): Fields {
  const context = {
    userAgent: text,
    ipAddress: text,
    deviceType: text,
    platform: text,
    referrer: text,
    location: { country: text, region: text },
  };
  const labels = { eventType: text, eventCategory: text, source: text, version: text, environment: text };
  return {
    ...goodFields(),
    eventId: text,
    sessionId: text,
    userId: text,
    ...labels,
    properties: { k: text, [text]: text },
    context,
    [`_${text}`]: text,
  };
}

async function rowsOf(sql: string): Promise<readonly (readonly unknown[])[]> {
  return (await questdb.http.exec(sql)).rows;
}

const columns = [
  "event_id",
  "session_id",
  "user_id",
  "event_type",
  "event_category",
  "source",
  "version",
  "environment",
  "device_type",
  "platform",
  "country",
  "region",
  "user_agent",
  "ip_address",
  "referrer",
];

test("every column of an event is the text that was sent", async () => {
  const rows = await rowsOf(`SELECT ${columns.join(", ")}, properties, context, extra FROM events WHERE tenant = 'strangers'`);
  const byId = new Map(rows.map((row) => [row[0], row]));
  for (const [name, text] of Object.entries(injections)) {
    const row = byId.get(stored(text));
    assert.ok(row !== undefined, name);
    columns.forEach((column, index) => assert.equal(row[index], stored(text), `${name} in ${column}`));
    const { properties, context } = eventOf(text);
    const [foundProperties, foundContext, extra] = row.slice(columns.length).map((cell) => JSON.parse(String(cell)) as unknown);
    assert.deepEqual([foundProperties, foundContext, extra], [properties, context, { [`_${text}`]: text }], name);
  }
});

test("nothing was written that nobody sent", async () => {
  const tables = await rowsOf("SELECT table_name FROM tables() ORDER BY table_name");
  const ours = tables.map(([name]) => String(name)).filter((name) => !name.startsWith("sys.") && !name.startsWith("telemetry"));
  assert.deepEqual(ours, ["dead_letters", "events", "metric_panes", "sessions"]);
  for (const table of ours) {
    const tenants = (await rowsOf(`SELECT DISTINCT tenant FROM ${table}`)).map(([tenant]) => String(tenant));
    for (const tenant of tenants) assert.ok(["strangers", "neighbours"].includes(tenant), tenant);
  }
  const sources = await rowsOf("SELECT DISTINCT event_id FROM events WHERE tenant = 'neighbours'");
  assert.ok(sources.every(([id]) => /^n-\d+$/.test(String(id))));
});

for (const source of ["live", "rollup", "raw"] as const) {
  test(`as values of dimensions and of filters, they find themselves and nothing else: ${source}`, async () => {
    const question = { metrics: ["texts.count"], dimensions: ["k"], timeRange, source };
    // Panes reach the warehouse by themselves, a little later than events.
    await eventually(async () => (await target.admin.query(question)).data.length === texts.length, "all series are there");
    const { data } = await target.admin.query(question);
    assert.deepEqual(data.map((row) => String(row["k"])).toSorted(), texts.toSorted());
    for (const text of texts) {
      const found = await target.admin.query({ ...question, filters: [{ dimension: "k", op: "eq", value: text }] });
      assert.deepEqual(
        found.data.map((row) => [row["k"], row["texts.count"]]),
        [[text, 1]],
        text,
      );
    }
  });
}

test("an export has a line for each event, with the same texts", async () => {
  const { id } = await target.admin.startExport(timeRange);
  let file = "";
  await eventually(async () => {
    const status = await target.admin.exportStatus(id);
    assert.notEqual(status.status, "failed", JSON.stringify(status));
    file = status.file ?? "";
    return status.status === "done";
  }, "the export is done");
  const lines = readFileSync(join(target.data, "exports", file.split("/").at(-1) ?? ""), "utf8")
    .trimEnd()
    .split("\n");
  assert.equal(lines.length, texts.length);
  const byId = new Map(lines.map((line) => JSON.parse(line) as Fields).map((event) => [event["eventId"], event]));
  for (const text of texts) {
    const { timestamp: _timestamp, properties, context, ...texts } = eventOf(text);
    const { timestamp: _found, ...found } = byId.get(stored(text)) ?? {};
    // What comes out of a column of its own is as QuestDB has it; the rest was kept as JSON.
    const labels = Object.entries(texts).map(([name, value]) => [name, name.startsWith("_") ? value : stored(String(value))]);
    assert.deepEqual(found, { ...Object.fromEntries(labels), properties, context });
  }
});

test("dead letters show them as they came", async () => {
  const rows = await rowsOf("SELECT event_id, code, raw FROM dead_letters");
  const { deadLetters } = await target.admin.deadLetters({ limit: 1_000 });
  for (const text of texts) {
    const row = rows.find(([id]) => id === stored(text));
    assert.equal(row?.[1], "WEIR_EVENT_TIMESTAMP_INVALID");
    assert.equal((JSON.parse(String(row[2])) as Fields)["userId"], text);
    const letter = deadLetters.find(({ eventId }) => eventId === text);
    assert.equal((JSON.parse(String(letter?.raw)) as Fields)["userId"], text);
  }
});

test("sessions, health, scrape and log are none the wiser", async () => {
  for (const text of texts) {
    // A dot or two dots alone are no part of an address; these texts are none of those.
    const session = await target.admin.session(text);
    assert.deepEqual([session.sessionId, session.userId, Object.entries(session.eventTypes)], [text, text, [[text, 1]]]);
  }
  const scrape = await target.metricsText();
  const ready = await (await fetch(`${target.url}/readyz`)).text();
  for (const part of ["injected", "DROP TABLE", "<script>", "jndi", "alert("]) {
    for (const [name, page] of Object.entries({ scrape, ready, log: target.log }))
      assert.ok(!page.includes(part), `${part} in ${name}`);
  }
  assert.doesNotMatch(target.log, /"level":(40|50|60)/);
});
