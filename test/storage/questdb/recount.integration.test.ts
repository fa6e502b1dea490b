/**
 * A recount by SQL equals a plain computation in JS over the same events: real traffic, and events made to deceive
 * json_extract (numbers as texts, nulls, lists, nested keys, escapes).
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { fieldReader, resolveFieldPath } from "../../../protocol/field-path.ts";
import type { FieldValue } from "../../../protocol/field-path.ts";
import type { TenantId } from "../../../protocol/ids.ts";
import { metricDefinition } from "../../../protocol/metric-definition.ts";
import type { DimensionValue, MetricDefinitionInput } from "../../../protocol/metric-definition.ts";
import { DAY_MS, HOUR_MS } from "../../../protocol/windows.ts";
import { waitForApplied } from "../../../storage/questdb/reads.ts";
import { rawFilter } from "../../../storage/questdb/raw-filter.ts";
import { recount } from "../../../storage/questdb/recount.ts";
import type { RecountQuery } from "../../../storage/questdb/recount.ts";
import { eventRow } from "../../../storage/questdb/rows.ts";
import { QuestDbWarehouse } from "../../../storage/questdb/sender.ts";
import { createTables } from "../../../storage/questdb/tables.ts";
import { projectRoot } from "../../support/project.ts";
import { startQuestDb } from "./support/managed-questdb.ts";

type Event = Record<string, unknown> & { timestamp: number };

const web = gunzipSync(readFileSync(join(projectRoot, "samples/web-2015-05.ndjson.gz")))
  .toString()
  .split("\n")
  .slice(0, 2_000)
  .map(readEvent);
const deceptive = deceptiveEvents();
const questdb = await startQuestDb();
const { http, server } = questdb;
const warehouse = new QuestDbWarehouse({ url: server.url });
const { signal } = new AbortController();
after(async () => {
  await warehouse.close();
  await questdb.close();
});

await createTables(http);
await load("web", web);
await load("deceptive", deceptive);
await load("other", web.slice(0, 100));

function readEvent(line: string): Event {
  const event = JSON.parse(line) as Record<string, unknown>;
  return { ...event, timestamp: Date.parse(String(event["timestamp"])) };
}

async function load(tenant: string, events: readonly Event[]): Promise<void> {
  const place = { tenant: tenant as TenantId, ingestTimeMs: 1431857100000, partition: 0, host: 0, offset: 1 };
  const rows = events.map((event, index) => eventRow({ ...place, event, eventTimeMs: event.timestamp, index }));
  await warehouse.write("events", rows, signal);
  await waitForApplied(http, "events", signal);
}

/** Every combination of values that look alike, for the value, a dimension and a filter operand. */
function deceptiveEvents(): Event[] {
  const values: unknown[] = [
    5,
    "5",
    5.5,
    "5.5",
    -0.25,
    0,
    "0",
    true,
    "true",
    false,
    "false",
    null,
    "null",
    "",
    [],
    "[]",
    [1],
    "[1]",
    {},
    "{}",
    { a: 1 },
    "2020",
    "2020-01-01",
    2020,
    1e-11,
    2e-11,
    0.1,
    0.10000000000001,
    9007199254740991,
    -7,
    "a\nb",
    "a\u0001b",
    "\ud800",
    'x"y',
    "é",
    undefined,
  ];
  return values.flatMap((value, first) =>
    values
      .filter((_, second) => (first + second) % 3 === 0)
      .map((other, second) => ({
        eventId: `${first}-${second}`,
        sessionId: "s",
        eventType: first % 2 === 0 ? "even" : "odd",
        eventCategory: "c",
        timestamp: 1431857100000 + first * 1_700_000,
        source: "s",
        version: "1",
        environment: "e",
        properties: { deep: { v: null, k: "" }, v: value, k: other },
        context: { deviceType: "", platform: "p", userAgent: "", ipAddress: "", location: { country: other } },
      })),
  );
}

/** The naive computation. */
function expected(events: readonly Event[], query: RecountQuery): unknown[] {
  const { definition, bucketMs, fromMs, toMs } = query;
  const read = (field: string): ((event: unknown) => FieldValue) => fieldReader(resolveFieldPath(field) ?? "");
  const { matches } = rawFilter(definition.filter);
  const groups = new Map<string, unknown[]>();
  for (const event of events) {
    if (event.timestamp < fromMs || event.timestamp >= toMs || !matches(event)) continue;
    const all = definition.dimensions.map(({ field }): DimensionValue => {
      const value = read(field)(event);
      return value === null || value === undefined ? null : String(value);
    });
    if (!query.filters.every(({ dimension, negate, values }) => values.includes(all[dimension] ?? null) !== negate)) continue;
    const start = bucketMs === Infinity ? fromMs : event.timestamp - (event.timestamp % bucketMs);
    const key = JSON.stringify([start, query.dimensions.map((index) => all[index])]);
    groups.set(key, [...(groups.get(key) ?? []), definition.value === undefined ? undefined : read(definition.value)(event)]);
  }
  return [...groups].map(([key, values]) => [
    ...(JSON.parse(key) as unknown[]),
    outputsOf(values, Math.min(bucketMs, toMs - fromMs)),
  ]);
}

function outputsOf(values: readonly unknown[], spanMs: number): Record<string, unknown> {
  const numbers = values.filter((value) => typeof value === "number").sort((a, b) => a - b);
  const keys = values.filter((value) => value !== null && value !== undefined).map(String);
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  const rank = (percent: number): number | null => numbers[Math.ceil((percent * numbers.length) / 100) - 1] ?? null;
  const total = numbers.reduce((sum, value) => sum + value, 0);
  return {
    count: values.length,
    rate: (values.length * 1000) / spanMs,
    sum: total,
    min: numbers[0] ?? null,
    max: numbers.at(-1) ?? null,
    mean: numbers.length === 0 ? null : total / numbers.length,
    distinct: counts.size,
    p50: rank(50),
    p75: rank(75),
    p90: rank(90),
    p95: rank(95),
    p99: rank(99),
    topK: [...counts]
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, 20)
      .map(([key, count]) => ({ key, count, error: 0 })),
  };
}

function sorted(rows: readonly unknown[]): unknown[] {
  return rows.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Sums of doubles may differ in the last bits. */
function rounded(rows: unknown[]): unknown {
  return JSON.parse(JSON.stringify(rows), (key, value: unknown) => {
    return (key === "sum" || key === "mean") && typeof value === "number" ? Number(value.toPrecision(12)) : value;
  });
}

const all = ["count", "rate", "sum", "min", "max", "mean", "distinct", "quantiles", "topK"] as const;
interface Case extends Omit<MetricDefinitionInput, "name"> {
  readonly keep?: readonly number[];
  readonly filters?: RecountQuery["filters"];
}

async function check(tenant: string, events: readonly Event[], { keep, filters = [], ...input }: Case): Promise<void> {
  const definition = metricDefinition.parse({ name: "m", ...input });
  const times = events.map((event) => event.timestamp);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  for (const [bucketMs, fromMs, toMs] of [
    [Infinity, first + 1, last],
    [HOUR_MS, 0, last + DAY_MS],
  ] as const) {
    const query = {
      tenant: tenant as TenantId,
      definition,
      fromMs,
      toMs,
      bucketMs,
      dimensions: keep ?? definition.dimensions.map((_, index) => index),
      filters,
    };
    const want = expected(events, query).map((row) => {
      const [start, dimensions, outputs] = row as [number, unknown, Record<string, unknown>];
      return [
        start,
        dimensions,
        Object.fromEntries(
          Object.keys(outputs)
            .filter((name) => outputNames(definition.aggregates).has(name))
            .map((name) => [name, outputs[name]]),
        ),
      ];
    });
    const got = (await recount(http, query)).map((row) => [row.startMs, row.dimensions, row.outputs]);
    assert.ok(want.length > 0 || definition.filter.all.length > 0, "a case without rows shows nothing");
    assert.deepEqual(rounded(sorted(got)), rounded(sorted(want)), JSON.stringify(input));
  }
}

function outputNames(aggregates: readonly string[]): Set<string> {
  return new Set(aggregates.flatMap((name) => (name === "quantiles" ? ["p50", "p75", "p90", "p95", "p99"] : [name])));
}

test("real traffic", async (t) => {
  const begin = performance.now();
  await check("web", web, { aggregates: ["count", "rate"] });
  await check("web", web, { aggregates: [...all], value: "properties.bytes", dimensions: ["eventType", "deviceType"] });
  await check("web", web, { aggregates: ["distinct", "topK"], value: "userId", dimensions: ["eventCategory"] });
  await check("web", web, {
    aggregates: ["topK", "count"],
    value: "properties.path",
    filter: { all: [{ field: "properties.status", op: "gte", value: 300 }] },
  });
  await check("web", web, {
    aggregates: ["sum"],
    value: "properties.bytes",
    filter: {
      all: [{ field: "properties.bytes", op: "lt", value: 1015 }],
      any: [
        { field: "eventType", value: "page_view" },
        { field: "referrer", op: "contains", value: "google" },
      ],
    },
  });
  await check("web", web, {
    aggregates: [...all],
    value: "properties.bytes",
    dimensions: ["eventType", "deviceType"],
    keep: [1],
    filters: [{ dimension: 0, negate: true, values: ["page_view"] }],
  });
  await check("web", web, {
    aggregates: ["count", "distinct"],
    value: "referrer",
    dimensions: ["properties.status"],
    filter: { all: [{ field: "referrer", op: "exists" }] },
  });
  t.diagnostic(`14 recounts with their checks: ${Math.round(performance.now() - begin)} ms`);
});

test("events that deceive json_extract", async () => {
  for (const value of ["properties.v", "properties.deep.v", "properties.deep.k", "country"]) {
    await check("deceptive", deceptive, { aggregates: [...all], value, dimensions: ["properties.k", "eventType"] });
    await check("deceptive", deceptive, { aggregates: ["sum", "mean", "min", "max"], value });
  }
  await check("deceptive", deceptive, { aggregates: ["count"], dimensions: ["country", "properties.v"], keep: [0] });
  for (const field of ["properties.v", "country"]) {
    for (const value of [5, "5", true, "true", null, "", "[]", 2020, "2020", 0.1, 1e-11, "é", 'x"y', "a\nb", "a\u0001b"]) {
      await check("deceptive", deceptive, { aggregates: ["count"], filter: { all: [{ field, value }] } });
      await check("deceptive", deceptive, { aggregates: ["count"], filter: { any: [{ field, op: "ne", value }] } });
    }
    for (const op of ["gt", "gte", "lt", "lte"] as const) {
      for (const value of [5, 0.1, 1e-11, 0, -0.25])
        await check("deceptive", deceptive, { aggregates: ["count"], filter: { all: [{ field, op, value }] } });
    }
    for (const value of ["5", "t", "[", ""])
      await check("deceptive", deceptive, { aggregates: ["count"], filter: { all: [{ field, op: "contains", value }] } });
    await check("deceptive", deceptive, { aggregates: ["count"], filter: { all: [{ field, op: "exists" }] } });
    await check("deceptive", deceptive, {
      aggregates: ["count"],
      filter: { all: [{ field, op: "in", value: ["5", 2020, false, "x"] }] },
    });
  }
  await check("deceptive", deceptive, {
    aggregates: ["count", "distinct"],
    value: "deviceType",
    filter: { all: [{ field: "userId", op: "ne", value: "u" }] },
  });
});
