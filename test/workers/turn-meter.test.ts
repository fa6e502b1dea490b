import assert from "node:assert/strict";
import { test } from "node:test";
import type { TenantId } from "../../protocol/ids.ts";
import { TurnMeter } from "../../workers/turn-meter.ts";

const noisy = "noisy" as TenantId;
const quiet = "quiet" as TenantId;

test("time is the tenant's whose work began last, and nobody's after a rest", () => {
  let nowMs = 100;
  const meter = new TurnMeter(() => nowMs);
  nowMs += 1;
  meter.work(noisy);
  nowMs += 2;
  meter.work(noisy);
  nowMs += 4;
  meter.work(quiet);
  nowMs += 8;
  meter.rest();
  nowMs += 16;
  meter.rest();
  meter.work(noisy);
  nowMs += 32;
  meter.rest();
  assert.equal(meter.of(noisy), 2 + 4 + 32);
  assert.equal(meter.of(quiet), 8);
});

test("the clock is read where tenants change", () => {
  let reads = 0;
  const meter = new TurnMeter(() => reads++);
  for (let frame = 0; frame < 100; frame++) meter.work(noisy);
  for (let frame = 0; frame < 100; frame++) meter.work(quiet);
  meter.rest();
  assert.equal(reads, 3);
});
