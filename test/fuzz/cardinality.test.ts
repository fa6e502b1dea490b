/**
 * Names without end: 20,000 series of one metric, 100,000 event types, as many users, sources and property keys. Series past the
 * bound go to `__other__` and are counted, every event is, and once the tables are full, more names take no more memory.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { defaultMetrics } from "../../protocol/metric-definition.ts";
import { goodFields, type Fields } from "./corpus/event-bytes.ts";
import { FuzzTarget } from "./fuzz-target.ts";

const MIB = 1024 * 1024;
const SERIES_MAX = 1_000;
const BATCH = 1_000;
const timeRange = { last: "1h" };

let target: FuzzTarget;
before(async () => {
  target = await FuzzTarget.start();
  await target.checkNeighbour();
});
after(() => target.close());

async function publish(from: number, to: number, change: (index: number) => Fields): Promise<void> {
  for (let first = from; first < to; first += BATCH) {
    // All of one session, so of one partition: series are bounded for each of those.
    const events = Array.from({ length: BATCH }, (_, at) => ({ ...goodFields(), ...change(first + at) }));
    const { successfulEvents, results } = await target.admin.publish(events as never);
    assert.deepEqual([successfulEvents, results], [BATCH, []]);
  }
}

async function heapBytes(): Promise<number> {
  // What changed is kept until it is in a snapshot; asking for the ledger takes one.
  await target.checkLedger();
  const { heap, external } = await target.memory();
  return heap + external;
}

async function gauge(name: string): Promise<number> {
  return Number(new RegExp(`^${name}\\{host="0"\\} (\\d+)$`, "m").exec(await target.metricsText())?.[1]);
}

test("20,000 series: the first ones have their rows, the others one together, and all are counted", async () => {
  const dimensions = [{ name: "k", field: "properties.k" }];
  await target.admin.defineMetric({ name: "wide", aggregates: ["count"], dimensions, seriesMax: SERIES_MAX });
  await publish(0, 10_000, (index) => ({ properties: { k: `k-${index}` } }));
  const heapFull = await heapBytes();
  await publish(10_000, 20_000, (index) => ({ properties: { k: `k-${index}` } }));
  const { data } = await target.admin.query({ metrics: ["wide.count"], dimensions: ["k"], timeRange });
  const counts = new Map(data.map((row) => [row["k"], row["wide.count"]]));
  assert.equal(counts.size, SERIES_MAX + 1);
  assert.equal(counts.get("__other__"), 20_000 - SERIES_MAX);
  assert.ok(data.every((row) => row["k"] === "__other__" || row["wide.count"] === 1));
  assert.ok((await heapBytes()) < heapFull + 12 * MIB, "more series take no more memory");
  await target.checkNeighbour();
});

test("100,000 event types, users, sources and property keys", async () => {
  const change = (index: number): Fields => ({
    eventType: `type-${index}`,
    userId: `user-${index}`,
    source: `source-${index}`,
    properties: { [`key-${index}`]: `value-${index}` },
  });
  await publish(0, 60_000, change);
  const heapFull = await heapBytes();
  await publish(60_000, 100_000, change);
  const ledger = await target.checkLedger();
  assert.deepEqual([ledger.accepted, ledger.received], [120_000, 120_000]);
  assert.ok((await heapBytes()) < heapFull + 12 * MIB, "more names take no more memory");
  const { data } = await target.admin.query({ metrics: ["events.count"], timeRange });
  assert.equal(data[0]?.["events.count"], 120_000);
  // What belongs to a name of its own is at most so much, whatever was sent.
  const seriesMax = defaultMetrics.reduce((sum, { seriesMax: most, dimensions }) => sum + (dimensions.length > 0 ? most : 1), 0);
  assert.ok((await gauge("weir_series_panes")) < (seriesMax + SERIES_MAX) * 200, "panes are bounded");
  assert.ok((await gauge("weir_overflowed_events")) > 20_000 - SERIES_MAX, "what went to `__other__` is counted");
  await target.checkNeighbour();
});
