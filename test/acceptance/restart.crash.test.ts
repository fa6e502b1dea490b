/**
 * A restart changes nothing (promises 1, 2, 3, 4, 7, 9): a real stream goes into a real server process that is killed with
 * SIGKILL and ended with SIGTERM in mid-stream, again and again, and started anew on the same data while the client keeps
 * sending. In the end every answer equals that of a server which was never stopped, and the reference. Snapshots are frequent,
 * and asked for right before a kill, so that kills hit them half-way.
 *
 *   frames acked   0 ---- snapshot ---- snapshot, kill ---- ... ---- snapshot, end ---- ... ---- 100
 */
import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { connect, type ChannelRow, type Subscription, type WeirClient } from "../../client/index.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { startQuestDb, type ManagedQuestDb } from "../storage/questdb/support/managed-questdb.ts";
import { ask, checkCounts, checkNumbers, checkSessionViews, checkStored, metricsOf } from "../support/real-checks.ts";
import { webEvents } from "../support/real-events.ts";
import { eventually, settles } from "../support/real-server.ts";
import { ServerProcess, type Flags } from "../support/server-process.ts";

const real = webEvents();
const tenant = "restart";
const FRAME_EVENTS = 100;
const FRAMES_OUTSTANDING_MAX = 4;
const flags: Flags = {
  snapshotEveryMs: 500,
  paneMinuteRetentionMs: 40 * DAY_MS,
  paneRetentionMs: 50 * DAY_MS,
};

/** What happens once so many frames are acknowledged. */
interface Moment {
  readonly frame: number;
  readonly happens: "snapshot" | "SIGKILL" | "SIGTERM";
}

interface Subject {
  readonly server: ServerProcess;
  readonly client: WeirClient;
}

async function startSubject(t: TestContext, layout: Flags): Promise<Subject> {
  const server = await ServerProcess.create({ ...flags, ...layout });
  t.after(() => server.end());
  const key = await server.newKey(tenant);
  await server.start();
  const client = connect({ url: server.url, key, batchEvents: FRAME_EVENTS, complete: false, retry: { delayMsMax: 200 } });
  t.after(() => client.close({ timeoutMs: 0 }));
  for (const metric of metricsOf(real)) await client.defineMetric(metric);
  return { server, client };
}

/** Four kills and one ordered end, each in its fifth of the stream, at frames that follow from the seed. */
function momentsOf(seed: number): Moment[] {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return (["SIGKILL", "SIGKILL", "SIGTERM", "SIGKILL", "SIGKILL"] as const).flatMap((happens, fifth) => {
    const frame = fifth * 18 + 8 + random(8);
    return [
      { frame: frame - 2 - random(6), happens: "snapshot" },
      { frame: frame - random(2), happens: "snapshot" },
      { frame, happens },
    ] satisfies Moment[];
  });
}

/** Sends every event once and lets the moments happen meanwhile. Every frame in flight then is sent again by the client. */
async function stream({ server, client }: Subject, moments: readonly Moment[]): Promise<void> {
  const ahead = [...moments];
  const frames = { acked: 0, outstanding: new Set<Promise<void>>() };
  let restarting = Promise.resolve();
  let isDown = false;

  async function restart(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const ackedBefore = frames.acked;
    assert.ok(ackedBefore < real.events.length / FRAME_EVENTS, "it ends in mid-stream");
    const exit = await server.stop(signal);
    assert.deepEqual(exit, signal === "SIGTERM" ? { code: 0, signal: null } : { code: null, signal });
    await server.start();
    isDown = false;
    const { ledger } = await client.deadLetters({ limit: 1 });
    assert.ok(ledger.accepted >= ackedBefore * FRAME_EVENTS, `${ledger.accepted} accepted, ${ackedBefore} frames acked before`);
    assert.equal(ledger.imbalance, 0);
  }

  function acked(): void {
    frames.acked++;
    while (!isDown && frames.acked >= (ahead[0]?.frame ?? Number.POSITIVE_INFINITY)) {
      const happens = ahead.shift()?.happens;
      if (happens === "snapshot") {
        // To list dead letters snapshots first. It may be cut short by what happens next: that is the point.
        client.deadLetters({ limit: 1 }).catch(() => undefined);
      } else if (happens !== undefined) {
        isDown = true;
        restarting = restarting.then(() => restart(happens));
      }
    }
  }

  for (let at = 0; at < real.events.length; at += FRAME_EVENTS) {
    while (frames.outstanding.size >= FRAMES_OUTSTANDING_MAX) await Promise.race(frames.outstanding);
    const batch = real.events.slice(at, at + FRAME_EVENTS);
    const sent = client.publish(batch).then(({ failedEvents }) => {
      assert.equal(failedEvents, 0);
      frames.outstanding.delete(sent);
      acked();
    });
    frames.outstanding.add(sent);
  }
  await Promise.all(frames.outstanding);
  await restarting;
  assert.deepEqual(ahead, [], "everything has happened");
}

/** All that can be asked of live panes and sessions, without what is of the moment (ids of queries, times taken). */
async function answersOf(client: WeirClient): Promise<Record<string, unknown>> {
  const dimensions = ["eventType", real.dimension];
  const numbers = ["count", "sum", "min", "max", "mean", "p50", "p75", "p90", "p95", "p99"].map((output) => `numbers.${output}`);
  const distinct = ["events", "active_users", "active_sessions"];
  const answers: Record<string, unknown> = {};
  for (const granularity of ["1m", "1h", "1d", "all"]) {
    answers[`counts by ${granularity}`] = await ask(client, real, "live", { metrics: ["by_type"], dimensions, granularity });
    answers[`numbers by ${granularity}`] = await ask(client, real, "live", {
      metrics: numbers,
      dimensions: ["eventType"],
      granularity,
    });
    answers[`users and sessions by ${granularity}`] = await ask(client, real, "live", { metrics: distinct, granularity });
  }
  const sampled = real.sessions.filter((_, index) => index % 25 === 0);
  answers["sessions"] = await Promise.all(sampled.map(([sessionId]) => client.session(sessionId)));
  const { deadLetters, ledger } = await client.deadLetters();
  // How many duplicates there were depends on which acks a kill swallowed.
  const { accepted, late, invalid, imbalance } = ledger;
  return { ...answers, deadLetters, ledger: { accepted, late, invalid, imbalance } };
}

/** The rows of a subscription are those that a query of its window gives. */
async function checkSubscription(client: WeirClient, subscription: Subscription, unlikeEpoch: string | undefined): Promise<void> {
  await eventually(async () => {
    const { window, epoch } = subscription;
    if (window === undefined || epoch === unlikeEpoch) return false;
    const [row] = (await client.query({ metrics: ["events.count"], timeRange: window, source: "live" })).data;
    const rows: ChannelRow[] = [...subscription.rows.values()];
    return rows.length === 1 && rows[0]?.["count"] === row?.["events.count"] && Number(rows[0]?.["count"]) > 0;
  }, "the subscriber's rows equal the query");
}

const layouts = [
  { hostThreads: 0, partitions: 4, seed: 1 },
  { hostThreads: 2, partitions: 4, seed: 2 },
] as const;

describe("kills in mid-stream", () => {
  for (const { seed, ...layout } of layouts) {
    test(`${layout.hostThreads} host threads, ${layout.partitions} partitions`, { timeout: 120_000 }, async (t) => {
      const steady = await startSubject(t, layout);
      const killed = await startSubject(t, layout);
      const subscription = killed.client.subscribe("events@24h");
      await subscription.ready;
      const epochs = new Set([subscription.epoch]);

      await stream(steady, []);
      await stream(killed, momentsOf(seed));
      const expected = await answersOf(steady.client);
      assert.deepEqual(expected["ledger"], { accepted: real.expected.total, late: 0, invalid: 0, imbalance: 0 });
      assert.deepEqual(await answersOf(killed.client), expected);
      await checkCounts(killed.client, real, "live");
      await checkNumbers(killed.client, real, "live");
      await checkSessionViews(killed.client, real);
      await checkSubscription(killed.client, subscription, undefined);

      // Once more in peace, and with other numbers of threads: partitions move from journal to journal.
      const moves = layout.hostThreads === 0 ? [0] : [2, 1, 2];
      for (const hostThreads of moves) {
        const { epoch } = subscription;
        epochs.add(epoch);
        assert.deepEqual(await killed.server.stop("SIGTERM"), { code: 0, signal: null });
        await killed.server.start({ hostThreads });
        assert.deepEqual(await answersOf(killed.client), expected, `after a restart with ${hostThreads} threads`);
        await checkSubscription(killed.client, subscription, epoch);
        assert.ok(!epochs.has(subscription.epoch), "a restart is a new epoch");
      }

      // Ids are remembered over all of that, and a kill right after a quiet time loses nothing either.
      const { ledger: before } = await killed.client.deadLetters({ limit: 1 });
      await stream(killed, []);
      await killed.server.stop("SIGKILL");
      await killed.server.start();
      const { ledger } = await killed.client.deadLetters({ limit: 1 });
      assert.equal(ledger.duplicate - before.duplicate, real.expected.total);
      assert.deepEqual(await answersOf(killed.client), expected);
    });
  }
});

describe("kills in mid-stream, with a warehouse", () => {
  let questdb: ManagedQuestDb;
  before(async () => {
    questdb = await startQuestDb();
  });
  after(() => questdb.close());

  test("raw rows, metric rows and session rows are exact", { timeout: 180_000 }, async (t) => {
    const subject = await startSubject(t, { hostThreads: 2, partitions: 4, questdb: questdb.server.url, warehouseFlushMs: 100 });
    await stream(subject, momentsOf(3));
    const { client, server } = subject;
    // While the writer is at work.
    await server.stop("SIGKILL");
    await server.start();
    await eventually(async () => (await server.ready())?.warehouse === "ready", "the warehouse is there");
    await checkCounts(client, real, "live");
    await checkNumbers(client, real, "live");
    await settles(() => checkStored(client, questdb.http, tenant, real));
    const { rows } = await questdb.http.exec(`SELECT count(), count_distinct(event_id) FROM events WHERE tenant = '${tenant}'`);
    assert.deepEqual(rows, [[real.expected.total, real.expected.total]], "every event once, none else");
  });
});
