/** The small size of the load benches, so that they cannot rot. Their figures mean nothing at this size; their checks do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fairness } from "../../bench/load/fairness.ts";
import { ingest, naiveIngest } from "../../bench/load/ingest.ts";
import { latency } from "../../bench/load/latency.ts";
import { overload } from "../../bench/load/overload.ts";
import { recovery } from "../../bench/load/recovery.ts";
import { renderReport } from "../../bench/render.ts";

const small = { size: "small", flags: new Set<string>() } as const;

test("the naive server counts what the load client sends, and the report says so", async () => {
  const report = await naiveIngest(small, () => undefined);
  const [naive] = report.results;
  assert.ok(naive !== undefined && (naive.figures["eventsPerSecond"] ?? 0) > 0);
  assert.ok((naive.figures["ackP99Ms"] ?? 0) >= (naive.figures["ackP50Ms"] ?? 0));
  // The answer follows from the seed alone: whoever runs the small size gets this one.
  assert.equal(report.answersHash, "0be807102e7c0fc9");
  assert.match(renderReport(report), /eventsPerSecond +[\d,.]+\n/);
});

test("ingest: Weir, with records and with maps, counts exactly what the naive server counts", async () => {
  const report = await ingest(small, () => undefined);
  assert.deepEqual(
    report.results.map(({ name }) => name),
    ["weir", "weir, maps", "naive"],
  );
  for (const { figures } of report.results) assert.ok((figures["eventsPerSecond"] ?? 0) > 0);
  assert.equal(report.answersHash, "0be807102e7c0fc9");
});

test("latency: events reach a subscriber", async () => {
  const report = await latency(small, () => undefined);
  assert.ok(report.results.length > 0);
});

test("fairness: two tenants send beside each other, and each event is answered", async () => {
  const report = await fairness(small, () => undefined);
  assert.equal(report.results.length, 3);
  for (const { figures } of report.results) assert.ok((figures["ackP99Ms"] ?? 0) >= (figures["ackP50Ms"] ?? 0));
});

test("overload: every frame is answered, also when all come at once", async () => {
  const report = await overload(small, () => undefined);
  assert.equal(report.results.length, 3);
  for (const { figures } of report.results) assert.ok((figures["eventsPerSecond"] ?? 0) > 0);
});

test("recovery: a killed server comes back with every event", async () => {
  const report = await recovery(small, () => undefined);
  const figures = report.results[0]?.figures ?? {};
  for (const step of ["openMs", "readMs", "applyMs", "collectMs"])
    assert.ok((figures[step] ?? 0) > 0, `${step}: ${figures[step]}`);
});
