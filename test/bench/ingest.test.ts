/**
 * The small size of the ingest benches. Their figures mean nothing at this size; their checks do: the answers follow from the seed
 * alone, so whoever runs the small size gets these hashes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ingestBatches } from "../../bench/load/ingest-batches.ts";
import { ingest, naiveIngest } from "../../bench/load/ingest.ts";
import { renderReport } from "../../bench/render.ts";

const small = { size: "small", flags: new Set<string>() } as const;

test("the naive server counts what the load client sends, and the report says so", async () => {
  const report = await naiveIngest(small, () => undefined);
  const [naive] = report.results;
  assert.ok(naive !== undefined && (naive.figures["eventsPerSecond"] ?? 0) > 0);
  assert.ok((naive.figures["ackP99Ms"] ?? 0) >= (naive.figures["ackP50Ms"] ?? 0));
  assert.equal(report.answersHash, "84d373dccca096c7");
  assert.match(renderReport(report), /eventsPerSecond +[\d,.]+\n/);
});

test("ingest: Weir, with records and with maps, counts exactly what the naive server counts", async () => {
  const report = await ingest(small, () => undefined);
  assert.deepEqual(
    report.results.map(({ name }) => name),
    ["weir", "weir, maps", "naive"],
  );
  for (const { figures } of report.results) {
    for (const figure of ["eventsPerSecond", "at10AckP99Ms", "at50AckP99Ms", "at80AckP99Ms"])
      assert.ok((figures[figure] ?? 0) > 0);
  }
  for (const { points } of report.plots ?? []) assert.ok(points.length >= 3);
  assert.equal(report.answersHash, "84d373dccca096c7");
});

test("ingest-batches: every batch size counts the same", async () => {
  const report = await ingestBatches(small, () => undefined);
  assert.deepEqual(
    report.results.map(({ name }) => name),
    ["weir, 1", "naive, 1", "weir, 1000", "naive, 1000"],
  );
  assert.deepEqual(
    Object.keys(report.ratios).filter((name) => name.startsWith("eventsPerSecond")),
    ["eventsPerSecond: weir, 1 / naive, 1", "eventsPerSecond: weir, 1000 / naive, 1000"],
  );
  for (const { points } of report.plots ?? []) assert.equal(points.length, 4);
  assert.equal(report.answersHash, "997fca945a4ad64e");
});
