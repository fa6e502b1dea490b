/** The small size of the soak bench, and what makes a run of it fail. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkGrowth, soak } from "../../bench/load/soak.ts";
import { parseMetrics } from "../../bench/metrics-page.ts";

test("soak: steady load is answered, and what memory does is measured", async () => {
  const report = await soak({ size: "small", flags: new Set<string>() }, () => undefined);
  const figures = report.results[0]?.figures ?? {};
  for (const name of ["hostHeapMiB", "hostExternalMiB", "mainHeapMiB", "rememberedIds", "serverCpuUsPerEventLast"]) {
    assert.ok((figures[name] ?? 0) > 0, `${name}: ${figures[name]}`);
  }
  for (const name of ["hostHeapMiBPerMinute", "ackP99MsFirst"]) assert.ok(Number.isFinite(figures[name]), name);
});

test("memory that grows more than it may ends a soak", () => {
  checkGrowth(1.9, 2);
  assert.throws(() => checkGrowth(2.1, 2), /memory grew by 2\.1 MiB a minute; 2 are allowed/);
});

test("a metrics page gives sums over labels", () => {
  const page = '# HELP a A\na{host="0"} 1\na{host="1"} 2.5\n\nb 4e3\nc_bucket{le="1"} 9\nc_sum 3\n';
  assert.deepEqual(
    [...parseMetrics(page)],
    [
      ["a", 3.5],
      ["b", 4_000],
      ["c_sum", 3],
    ],
  );
});
