/**
 * Real events, exact answers (promises 2, 6, 7, 10): both real streams, through a real socket, into a real server with a real
 * QuestDB, for 1 and 4 partitions, inline and threaded, in order and shuffled inside the lateness horizon, every batch sent
 * twice. Live panes, metric rows and a recount of raw rows must give the reference answers, which were computed elsewhere:
 * exact metrics exactly, sketches within their stated bound.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { connect, type WeirClient } from "../../client/index.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { startQuestDb } from "../storage/questdb/support/managed-questdb.ts";
import { checkCounts, checkNumbers, checkSessionViews, checkStored, metricsOf } from "../support/real-checks.ts";
import { retailEvents, shuffled, webEvents, type RealEvents } from "../support/real-events.ts";
import { eventually, settles, startRealServer, type RealServer } from "../support/real-server.ts";

let questdb: Awaited<ReturnType<typeof startQuestDb>>;
before(async () => {
  questdb = await startQuestDb();
});
after(() => questdb.close());

const layouts = [
  { partitions: 1, hostThreads: 0, order: "in order" },
  { partitions: 4, hostThreads: 0, order: "shuffled" },
  { partitions: 1, hostThreads: 1, order: "shuffled" },
  { partitions: 4, hostThreads: 2, order: "in order" },
  { partitions: 4, hostThreads: 2, order: "shuffled" },
] as const;

for (const load of [webEvents, retailEvents]) {
  const real = load();
  describe(real.name, () => {
    for (const [index, layout] of layouts.entries()) {
      const { partitions, hostThreads, order } = layout;
      const name = `${partitions} partitions, ${hostThreads === 0 ? "inline" : `${hostThreads} threads`}, ${order}`;
      test(name, async () => {
        const tenant = `t${index}-${real.dimension.toLowerCase()}`;
        const server = await startRealServer({
          partitions,
          hostThreads,
          questdb: questdb.server.url,
          paneMinuteRetentionMs: 40 * DAY_MS,
          paneRetentionMs: 50 * DAY_MS,
          snapshotEveryMs: 1_000,
          warehouseFlushMs: 200,
        });
        try {
          await run(server, tenant, real, order === "shuffled");
        } finally {
          await server.close();
        }
      });
    }
  });
}

async function run(server: RealServer, tenant: string, real: RealEvents, shuffle: boolean): Promise<void> {
  const client = connect({ url: server.url, key: await server.newKey(tenant), batchEvents: 500 });
  try {
    for (const metric of metricsOf(real)) await client.defineMetric(metric);
    const events = shuffle ? shuffled(real.events, 6 * DAY_MS, 42) : real.events;
    await sendTwice(client, events);
    await checkCounts(client, real, "live");
    await checkNumbers(client, real, "live");
    await checkSessionViews(client, real);
    await server.server.flushWarehouse();
    await settles(() => checkStored(client, questdb.http, tenant, real));
    await checkExport(client, real);
    const { ledger } = await client.deadLetters();
    const { received, accepted, duplicate } = ledger;
    assert.deepEqual(
      { received, accepted, duplicate },
      { received: 2 * events.length, accepted: events.length, duplicate: events.length },
    );
  } finally {
    await client.close();
  }
}

/** A job in the pool writes every accepted event, once. */
async function checkExport(client: WeirClient, real: RealEvents): Promise<void> {
  const to = Date.parse(real.expected.lastTimestamp) + 1;
  const { id } = await client.startExport({ from: real.expected.firstTimestamp, to });
  await eventually(async () => (await client.exportStatus(id)).status !== "running", "the export");
  const { status, rows, file } = await client.exportStatus(id);
  assert.deepEqual({ status, rows }, { status: "done", rows: real.expected.total });
  const lines = readFileSync(file ?? "", "utf8")
    .trim()
    .split("\n");
  const ids = lines.map((line) => (JSON.parse(line) as { eventId: string }).eventId);
  assert.deepEqual(ids.toSorted(), real.events.map(({ eventId }) => eventId).toSorted());
}

/** Every batch goes out twice, right after each other: the second must change nothing. */
async function sendTwice(client: WeirClient, events: RealEvents["events"]): Promise<void> {
  for (let at = 0; at < events.length; at += 1_000) {
    const batch = events.slice(at, at + 1_000);
    await client.room();
    const [first, second] = await Promise.all([client.publish(batch), client.publish(batch)]);
    assert.equal(first.failedEvents, 0);
    assert.equal(second.failedEvents, 0);
  }
}
