/** The small size of the micro benches: each piece still does what its check says. Their figures mean nothing at this size. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { micro } from "../../bench/micro/micro.ts";
import { check } from "../../bench/micro/part.ts";
import { path } from "../../bench/micro/path.ts";

const small = { size: "small", flags: new Set<string>() } as const;

test("micro: every piece gives a right result and a figure", async () => {
  const report = await micro(small, () => undefined);
  const [nsPerEvent] = report.results;
  const pieces = Object.entries(nsPerEvent?.figures ?? {});
  assert.ok(pieces.length >= 20, `only ${pieces.length} pieces`);
  for (const [name, ns] of pieces) assert.ok(ns > 0, `${name}: ${ns}`);
});

test("path: every stage of an event's path takes time, and they add up", async () => {
  const report = await path(small, () => undefined);
  const { total = 0, ...stages } = report.results[0]?.figures ?? {};
  assert.deepEqual(Object.keys(stages), ["split", "handOff", "read", "apply", "append", "commit", "outcome"]);
  const sum = Object.values(stages).reduce((left, right) => left + right, 0);
  assert.ok(Math.abs(sum - total) < 1);
  assert.equal(report.answersHash, "5c0536ffb08dd7d6");
});

test("a wrong result ends a bench", () => {
  assert.throws(() => check(false, "3 of 4 events"), /wrong result: 3 of 4 events/);
});
