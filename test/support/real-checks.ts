/**
 * What must hold of a server that got one of the real event streams: its answers equal the reference answers, which were
 * computed elsewhere. Exact metrics exactly, sketches within their stated bound.
 */
import assert from "node:assert/strict";
import type { QueryRow, WeirClient } from "../../client/index.ts";
import type { MetricDefinitionInput } from "../../protocol/metric-definition.ts";
import type { QuestDbHttp } from "../../storage/questdb/http.ts";
import type { RealEvents } from "./real-events.ts";

export type Source = "live" | "rollup" | "raw";
/** One standard error of HLL p=12 is 1.63%; a distinct count further off than this is wrong, not unlucky. */
const DISTINCT_ERROR_MAX = 4 * 0.0163;
const QUANTILE_ERROR_MAX = 0.01;

export function metricsOf(real: RealEvents): MetricDefinitionInput[] {
  return [
    { name: "by_type", aggregates: ["count"], dimensions: ["eventType", real.dimension] },
    {
      name: "numbers",
      value: `properties.${real.value}`,
      aggregates: ["count", "sum", "min", "max", "mean", "quantiles"],
      dimensions: ["eventType"],
    },
    { name: "tops", value: `properties.${real.top}`, aggregates: ["topK"] },
  ];
}

export async function ask(client: WeirClient, real: RealEvents, source: Source, request: object): Promise<readonly QueryRow[]> {
  const { data, metadata } = await client.query({
    timeRange: { from: real.expected.firstTimestamp, to: Date.parse(real.expected.lastTimestamp) + 1 },
    source,
    ...request,
  } as Parameters<WeirClient["query"]>[0]);
  assert.equal(metadata.dataSource, source);
  assert.equal(metadata.truncated, false);
  return data;
}

export async function checkCounts(client: WeirClient, real: RealEvents, source: Source): Promise<void> {
  const dimensions = ["eventType", real.dimension];
  for (const [granularity, buckets] of [
    ["1m", real.minutes],
    ["1h", real.hours],
  ] as const) {
    const rows = await ask(client, real, source, { metrics: ["by_type"], dimensions, granularity });
    const found = rows.map((row) => [row["time"], row["eventType"], row[real.dimension], row["by_type"]].join("|"));
    const expected = buckets.map(([start, type, value, count]) => [new Date(start).toISOString(), type, value, count].join("|"));
    assert.deepEqual(found.toSorted(), expected.toSorted(), `${source} counts by ${granularity}`);
  }
  const days = await ask(client, real, source, { metrics: ["events", "active_users", "active_sessions"], granularity: "1d" });
  const tolerance = source === "raw" ? 0 : DISTINCT_ERROR_MAX;
  for (const { day, events, users, sessions } of real.expected.perDay) {
    const row = days.find(({ time }) => String(time).startsWith(day));
    assert.equal(row?.["events"], events, `${source} events on ${day}`);
    assertClose(row?.["active_users"], users, tolerance, `${source} users on ${day}`);
    assertClose(row?.["active_sessions"], sessions, tolerance, `${source} sessions on ${day}`);
  }
}

export async function checkNumbers(client: WeirClient, real: RealEvents, source: Source): Promise<void> {
  const outputs = ["count", "sum", "min", "max", "mean", "p50", "p95", "p99"].map((output) => `numbers.${output}`);
  const all = await ask(client, real, source, { metrics: outputs });
  const byType = await ask(client, real, source, { metrics: outputs, dimensions: ["eventType"] });
  const { all: reference, ...types } = real.expected.numeric[real.value] ?? {};
  const pairs = [
    [all[0], reference] as const,
    ...Object.entries(types).map(([type, each]) => [byType.find((row) => row["eventType"] === type), each] as const),
  ];
  for (const [row, expected] of pairs) {
    assert.ok(row !== undefined && expected !== undefined);
    assert.equal(row["numbers.count"], expected.count);
    assert.equal(row["numbers.min"], expected.min + 0);
    assert.equal(row["numbers.max"], expected.max + 0);
    // The reference is a decimal with two places.
    assert.ok(
      Math.abs(Number(row["numbers.sum"]) - expected.sum) < 0.005,
      `${source} sum ${String(row["numbers.sum"])} of ${expected.sum}`,
    );
    assert.ok(Math.abs(Number(row["numbers.mean"]) - expected.sum / expected.count) < 0.005);
    for (const quantile of ["p50", "p95", "p99"] as const) {
      const tolerance = source === "raw" ? 1e-12 : QUANTILE_ERROR_MAX;
      assertClose(row[`numbers.${quantile}`], expected.disc[quantile], tolerance, `${source} ${quantile}`);
    }
  }
  const [top] = await ask(client, real, source, { metrics: ["tops"] });
  assert.ok(top !== undefined);
  const counts = new Map((top["tops"] as { key: string; count: number; error: number }[]).map((entry) => [entry.key, entry]));
  for (const [key, count] of real.expected.top[real.top]?.byCount.slice(0, 10) ?? []) {
    const entry = counts.get(key);
    assert.ok(entry !== undefined, `${source} top list has ${key}`);
    assert.ok(
      entry.count >= count && entry.count - entry.error <= count,
      `${source} ${key}: ${entry.count} - ${entry.error} of ${count}`,
    );
  }
}

export async function checkSessionViews(client: WeirClient, real: RealEvents): Promise<void> {
  for (const [sessionId, start, durationMs, events] of real.sessions.filter((_, index) => index % 25 === 0)) {
    const view = await client.session(sessionId);
    assert.deepEqual(
      { start: view.firstEventTimeMs, durationMs: view.durationMs, events: view.events },
      { start: Date.parse(start), durationMs, events },
    );
  }
}

/** Of everything that is stored. Rows come one request after the other, metric by metric: it may have to be asked again. */
export async function checkStored(client: WeirClient, questdb: QuestDbHttp, tenant: string, real: RealEvents): Promise<void> {
  for (const source of ["rollup", "raw"] as const) {
    await checkCounts(client, real, source);
    await checkNumbers(client, real, source);
  }
  await checkSessionRows(questdb, tenant, real);
}

async function checkSessionRows(questdb: QuestDbHttp, tenant: string, real: RealEvents): Promise<void> {
  const { rows } = await questdb.exec(
    `SELECT session_id, ts::long / 1000, duration_ms, events FROM sessions WHERE tenant = '${tenant}' AND state != 'superseded'`,
  );
  const found = rows.map((row) => row.join("|")).toSorted();
  const expected = real.sessions.map(([id, start, durationMs, events]) => [id, Date.parse(start), durationMs, events].join("|"));
  assert.deepEqual(found, expected.toSorted());
}

function assertClose(actual: unknown, expected: number, tolerance: number, what: string): void {
  const difference = Math.abs(Number(actual) - expected);
  assert.ok(difference <= tolerance * Math.abs(expected), `${what}: ${String(actual)} is not ${expected} within ${tolerance}`);
}
