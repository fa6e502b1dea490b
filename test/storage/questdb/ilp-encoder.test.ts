/** What the encoder does where the Sender loses something, and how fast it is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TenantId } from "../../../protocol/ids.ts";
import { IlpEncoder } from "../../../storage/questdb/ilp-encoder.ts";
import { eventRow } from "../../../storage/questdb/rows.ts";
import type { TableDefinition } from "../../../storage/questdb/tables.ts";
import { tables } from "../../../storage/questdb/tables.ts";

const small: TableDefinition = {
  name: "sessions",
  comment: "",
  columns: [
    { name: "ts", type: "TIMESTAMP", comment: "" },
    { name: "s", type: "SYMBOL", comment: "" },
    { name: "d", type: "DOUBLE", comment: "" },
    { name: "v", type: "VARCHAR", comment: "" },
    { name: "l", type: "LONG", comment: "" },
  ],
  partitionBy: "DAY",
  upsertKeys: ["ts", "s"],
};
const encoder = new IlpEncoder(small);

test("negative zero keeps its sign; what is no number is left out; null is left out and empty text is not", () => {
  assert.equal(encoder.line([1, "a", -0, "", null]), 'sessions,s=a d=-0,v="" 1000t\n');
  assert.equal(encoder.line([1, "", Number.NaN, null, 5]), "sessions,s= l=5i 1000t\n");
  assert.equal(encoder.line([1, null, Number.POSITIVE_INFINITY, "x", null]), 'sessions v="x" 1000t\n');
});

test("NUL and lone surrogates become U+FFFD", () => {
  assert.equal(encoder.line([1, "a\0b", null, "\ud800", null]), 'sessions,s=a\uFFFDb v="\uFFFD" 1000t\n');
});

test("a cell of the wrong kind is a bug of ours", () => {
  for (const row of [
    [1, "a", "text", null, null],
    [1, 5, null, null, null],
    [1, "a", null, null, 0.5],
    ["1", "a", null, null, null],
    [1, "a"],
  ]) {
    assert.throws(() => encoder.line(row), { name: "AssertionError" });
  }
});

test("an event row takes a few microseconds", (t) => {
  const event = {
    eventId: "fc0f96f4-45a5-5cc8-a2fa-822def81f266",
    userId: "7f4ba182-a355-5a22-aff0-0be0f5cbe795",
    sessionId: "f9ed4fe4-ad73-561c-8118-971d12d81b81",
    eventType: "page_view",
    eventCategory: "web",
    properties: {
      method: "GET",
      path: "/presentations/redis.png",
      status: 200,
      bytes: 25230,
      campaign: "spring sale",
      nested: { a: 1 },
    },
    context: {
      userAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1)",
      ipAddress: "83.149.9.216",
      deviceType: "desktop",
      platform: "macOS",
    },
    source: "web",
    version: "1.0.0",
    environment: "production",
  };
  const input = {
    tenant: "demo" as TenantId,
    event,
    eventTimeMs: 1431857100000,
    ingestTimeMs: 1431857100500,
    partition: 3,
    host: 0,
    index: 0,
  };
  const rows = Array.from({ length: 10_000 }, (_, offset) => eventRow({ ...input, offset }));
  const events = new IlpEncoder(tables.events);
  const microseconds = [];
  for (let round = 0; round < 5; round++) {
    const begin = performance.now();
    const [batch] = events.batches(rows, { rowsMax: rows.length, bytesMax: Number.POSITIVE_INFINITY });
    microseconds.push(((performance.now() - begin) * 1_000) / rows.length);
    assert.equal(batch?.rowCount, rows.length);
  }
  t.diagnostic(`encoding: ${Math.min(...microseconds).toFixed(2)} us/row (least of 5)`);
  const begin = performance.now();
  for (let offset = 0; offset < 10_000; offset++) eventRow({ ...input, offset });
  t.diagnostic(`eventRow: ${((performance.now() - begin) / 10).toFixed(2)} us/row`);
  // The bound is for a busy machine; 100,000 rows a second would be 10.
  assert.ok(Math.min(...microseconds) < 40);
});
