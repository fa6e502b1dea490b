/** The small size of the benches of state and of readers, so that they cannot rot. Their figures mean nothing at this size. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fanout } from "../../bench/load/fanout.ts";
import { hostile } from "../../bench/load/hostile.ts";
import { query } from "../../bench/load/query.ts";
import { scale } from "../../bench/load/scale.ts";
import { memory } from "../../bench/micro/memory.ts";

const small = { size: "small", flags: new Set<string>() } as const;

test("memory: every part of the state is filled, checked and weighed", async () => {
  const { results } = await memory(small, () => undefined);
  assert.equal(results.length, 9);
  // So few of them may vanish in the noise of a heap: that they are all there is checked where they are weighed.
  for (const { name, figures } of results) assert.ok(Number.isFinite(figures["bytesEach"]), name);
});

test("fanout: every subscriber ends with the number that was sent", async () => {
  const { results } = await fanout(small, () => undefined);
  assert.equal(results.length, 1);
  for (const { figures } of results) assert.ok((figures["fromCommitP99Ms"] ?? 0) >= (figures["fromCommitP50Ms"] ?? 1));
});

test("scale: every event is counted, in the server and in the actors alone", async () => {
  for (const flags of [[], ["micro"]]) {
    const { results } = await scale({ size: "small", flags: new Set(flags) }, () => undefined);
    assert.equal(results.length, 1);
    for (const { figures } of results) assert.ok((figures["cpuUsPerEvent"] ?? 0) > 0);
  }
});

test("hostile: a storm and shapes made to collide are answered, and both tenants counted exactly", async () => {
  const { results } = await hostile(small, () => undefined);
  assert.equal(results.length, 2);
  for (const { figures } of results) assert.ok((figures["hostileEventsPerSecond"] ?? 0) > 0);
});

test("query: every kind of question is answered rightly, alone and beside ingest", async () => {
  const { results } = await query(small, () => undefined);
  assert.equal(results.length, 4);
  assert.ok((results[0]?.figures["serverCpuUsPerQuestion"] ?? 0) > 0);
});
