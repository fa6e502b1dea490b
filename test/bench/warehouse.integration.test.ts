/** The small size of the warehouse bench, on a real QuestDB. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { warehouse } from "../../bench/load/warehouse.ts";

test("warehouse: every event is one row, also of those that came while QuestDB was away", { timeout: 240_000 }, async () => {
  const report = await warehouse({ size: "small", flags: new Set<string>() }, () => undefined);
  assert.deepEqual(
    report.results.map(({ name }) => name),
    ["2000/s", "away", "without warehouse"],
  );
  assert.ok((report.results[0]?.figures["visibleP50Ms"] ?? 0) > 0);
  assert.ok((report.results[1]?.figures["rowsPerSecond"] ?? 0) > 0);
});
