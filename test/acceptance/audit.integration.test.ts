/**
 * The audit against a real QuestDB (promise 4): raw rows and metric rows equal the ledger, rows that a TTL has dropped are told
 * apart from rows that are missing, and missing ones are named; beside the running server and on its directory after it.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { AuditReport } from "../../protocol/audit-report.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { runCli } from "../cli/run-cli.ts";
import { startQuestDb, type ManagedQuestDb } from "../storage/questdb/support/managed-questdb.ts";
import { FIRST_MS, LAST_MS, mixedBodies, send } from "../support/mixed-events.ts";
import { eventually } from "../support/real-server.ts";
import { ServerProcess } from "../support/server-process.ts";
import { wireEvent } from "../workers/frame-fixture.ts";

const { bodies, counts } = mixedBodies("a");
let questdb: ManagedQuestDb;
let server: ServerProcess;
let key: string;

before(async () => {
  questdb = await startQuestDb();
  server = await ServerProcess.create({ hostThreads: 2, partitions: 4, questdb: questdb.server.url, warehouseFlushMs: 100 });
  key = await server.newKey("shop");
  await server.start();
  await eventually(async () => (await server.ready())?.warehouse === "ready", "the warehouse is there");
});

after(async () => {
  await server.end();
  await questdb.close();
});

async function audit(expectedCode: number): Promise<AuditReport> {
  const { code, stdout, stderr } = await runCli(["audit", "--json"], { env: { WEIR_URL: server.url, WEIR_KEY: key } });
  assert.equal(code, expectedCode, stdout + stderr);
  return JSON.parse(stdout) as AuditReport;
}

function sum(report: AuditReport, figure: "rawRows" | "accepted"): number {
  return report.figures.reduce((total, each) => total + Number(each[figure]), 0);
}

function states({ checks }: AuditReport, sumName: string): string[] {
  return [...new Set(checks.filter((each) => each.sum === sumName).map(({ state }) => state))];
}

function dayOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

async function dropDay(table: string, timeMs: number): Promise<void> {
  const before = await questdb.http.exec(`SELECT count() FROM ${table} WHERE ts IN '${dayOf(timeMs)}'`);
  assert.ok(Number(before.rows[0]?.[0]) > 0, `${table} has rows of ${dayOf(timeMs)}`);
  await questdb.http.exec(`ALTER TABLE ${table} DROP PARTITION LIST '${dayOf(timeMs)}'`);
  await eventually(async () => {
    const { rows } = await questdb.http.exec(`SELECT count() FROM ${table} WHERE ts IN '${dayOf(timeMs)}'`);
    return rows[0]?.[0] === 0;
  }, "the rows are gone");
}

test("every accepted event is one raw row, and in the metric rows", { timeout: 120_000 }, async () => {
  await send(server.url, key, bodies);
  const report = await audit(0);
  assert.equal(report.result, "balanced");
  assert.equal(sum(report, "rawRows"), counts["accepted"]);
  assert.ok(
    report.checks.every(({ state }) => state === "holds"),
    JSON.stringify(report.checks),
  );
});

test("while events come in, the rows are those of the cut", { timeout: 120_000 }, async () => {
  let sending = true;
  let sent = 0;
  const stream = (async () => {
    while (sending) {
      const events = Array.from({ length: 5 }, (_, index) =>
        wireEvent({ id: `more-${sent}-${index}`, sessionId: `s${index}`, timeMs: LAST_MS }),
      );
      await send(server.url, key, [JSON.stringify(events)]);
      sent++;
    }
  })();
  await eventually(() => sent > 3, "events are on their way");
  const report = await audit(0);
  sending = false;
  await stream;
  assert.deepEqual(states(report, "raw-rows"), ["holds"]);
  assert.equal(sum(report, "rawRows"), sum(report, "accepted"));
});

test("rows that a TTL has dropped are no imbalance", { timeout: 120_000 }, async () => {
  await questdb.http.exec("ALTER TABLE events SET TTL 3 DAYS");
  // It is applied with the next rows.
  const one = [wireEvent({ id: "after the TTL", sessionId: "s1", timeMs: LAST_MS })];
  await send(server.url, key, [JSON.stringify(one)]);
  await eventually(async () => {
    const { rows } = await questdb.http.exec(`SELECT count() FROM events WHERE ts < '${dayOf(LAST_MS - 4 * DAY_MS)}'`);
    return rows[0]?.[0] === 0;
  }, "old rows have expired");
  const report = await audit(0);
  assert.ok(sum(report, "rawRows") < sum(report, "accepted"));
  assert.deepEqual(states(report, "raw-rows"), ["holds"]);
  assert.match(String(report.checks.find((each) => each.sum === "raw-rows")?.note), /events are older than 3 DAY$/);
});

test("rows that are missing are named, beside the server and offline", { timeout: 120_000 }, async () => {
  await dropDay("metric_panes", FIRST_MS + 11 * DAY_MS);
  const panes = await audit(1);
  assert.deepEqual([states(panes, "metric-rows"), states(panes, "raw-rows")], [["broken"], ["holds"]]);
  await dropDay("events", FIRST_MS + 11 * DAY_MS);
  const rows = await audit(1);
  assert.ok(states(rows, "raw-rows").includes("broken"));
  assert.deepEqual([states(rows, "panes"), states(rows, "live-panes")], [["holds"], ["holds"]]);

  assert.deepEqual(await server.stop("SIGTERM"), { code: 0, signal: null });
  const offline = await runCli(["audit", "--data", server.data, "--questdb", questdb.server.url]);
  assert.equal(offline.code, 1, offline.stdout + offline.stderr);
  assert.match(offline.stdout, /^✗ raw-rows, shop, partition \d: /m);
  const alone = await runCli(["audit", "--data", server.data]);
  assert.equal(alone.code, 0, alone.stdout + alone.stderr);
});
