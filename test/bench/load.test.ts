/** The small size of the other load benches, so that they cannot rot. Their figures mean nothing at this size; their checks do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fairness } from "../../bench/load/fairness.ts";
import { latency } from "../../bench/load/latency.ts";
import { overload } from "../../bench/load/overload.ts";
import { recovery } from "../../bench/load/recovery.ts";

const small = { size: "small", flags: new Set<string>() } as const;

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
