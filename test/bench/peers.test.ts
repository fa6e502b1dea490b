/** The peers bench: whatever of the peers is installed gets the small size; what is not is named, with the package that has it. */
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { peers } from "../../bench/load/peers.ts";
import { findPeers, registry } from "../../bench/peers/registry.ts";
import { renderReport } from "../../bench/render.ts";

test("a machine without any peer: each is skipped with one line that says what is missing", async () => {
  // Nor a Java that was fetched for an earlier start.
  const env = { PATH: "", XDG_CACHE_HOME: join(tmpdir(), "weir-peers-no-such-folder") };
  const { found, skipped } = await findPeers(registry, { env, folders: [] });
  assert.deepEqual(found, []);
  assert.equal(skipped.length, registry.length);
  for (const [index, line] of skipped.entries()) {
    assert.ok(line.startsWith(`skipped ${registry[index]?.name}: no `), line);
    assert.match(line, /\((Debian|PyPI) package [\w.-]+[^)]*\)$/);
  }
});

test("what is installed counts what it is sent, and the report says what each makes durable", async () => {
  const report = await peers({ size: "small", flags: new Set() }, () => undefined);
  const [weir, naive] = report.results;
  assert.equal(weir?.name, "weir");
  assert.equal(naive?.name, "naive");
  for (const { figures, about } of report.results) {
    assert.ok((figures["eventsPerSecond"] ?? 0) > 0);
    assert.ok(about?.["durable"] !== undefined && about["aggregates"] !== undefined);
  }
  assert.equal(report.results.length - 2 + (report.notes?.length ?? 0), registry.length);
  assert.match(renderReport(report), /durable +aggregates/);
});
