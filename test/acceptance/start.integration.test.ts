/**
 * A QuestDB that cannot be reached when the server starts: events are taken all the same. An external one, by URL: their rows
 * flow when it appears on that address later, and again after it was away; when it has lost rows meanwhile, the safety tail
 * brings them back. A managed one that takes its time: the server can be ended meanwhile, in order.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { connect } from "../../client/index.ts";
import { openControl } from "../../storage/control.ts";
import { readDataDirectory } from "../../storage/data-directory.ts";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import { QuestDbServer } from "../../storage/questdb/server.ts";
import { serverOptions } from "../storage/questdb/support/managed-questdb.ts";
import { eventually } from "../support/real-server.ts";
import { freePort, ServerProcess } from "../support/server-process.ts";

test("rows flow once QuestDB appears, and again after it was away", { timeout: 240_000 }, async (t) => {
  const httpPort = await freePort();
  const root = mkdtempSync(join(tmpdir(), "weir-questdb-"));
  const server = await ServerProcess.create({
    hostThreads: 0,
    partitions: 4,
    questdb: `http://127.0.0.1:${httpPort}`,
    warehouseFlushMs: 100,
  });
  let questdb: QuestDbServer | undefined;
  t.after(async () => {
    await server.end();
    await questdb?.stop();
    rmSync(root, { recursive: true, force: true });
  });
  const ready = await server.start();
  assert.deepEqual([ready.status, ready.warehouse], ["degraded", "pending"]);
  const client = connect({ url: server.url, key: await server.newKey("shop") });
  t.after(() => client.close());

  let sent = 0;
  const send = async (): Promise<void> => {
    const labels = { eventType: "click", eventCategory: "ui", source: "shop", version: "1", environment: "test" };
    const events = Array.from({ length: 100 }, () => ({ eventId: `e-${sent++}`, sessionId: `s-${sent % 7}`, ...labels }));
    assert.equal((await client.publish(events)).failedEvents, 0);
  };
  const count = async (source: "live" | "raw" | "rollup"): Promise<unknown> => {
    // The next minute's pane may have begun.
    const timeRange = { from: Date.now() - 3_600_000, to: Date.now() + 60_000 };
    return (await client.query({ metrics: ["events.count"], timeRange, source })).data[0]?.["events.count"];
  };
  const startQuestDb = async (): Promise<void> => {
    questdb = new QuestDbServer({ ...(await serverOptions(root)), httpPort });
    await questdb.start();
    await eventually(async () => (await server.ready())?.warehouse === "ready", "the warehouse is ready");
    await eventually(async () => (await count("raw")) === sent && (await count("rollup")) === sent, `${sent} rows are there`);
  };

  await send();
  assert.equal(await count("live"), sent);
  await assert.rejects(count("raw"), { code: "WEIR_WAREHOUSE_UNAVAILABLE" });
  await startQuestDb();

  await questdb?.stop();
  await send();
  await eventually(async () => (await server.ready())?.warehouse === "pending", "the warehouse is away");
  assert.equal(await count("live"), sent);
  await startQuestDb();

  // As after a crash of its machine: rows that it had answered for are gone when it is back. They are sent again.
  const url = `http://127.0.0.1:${httpPort}`;
  const http = new QuestDbHttp({ url });
  const [[started] = []] = (await http.exec("SELECT pg_postmaster_start_time()")).rows;
  await eventually(() => rememberedStart(server.data) === started, "the start of this QuestDB is remembered");
  for (const table of ["events", "metric_panes", "sessions"]) await http.exec(`TRUNCATE TABLE ${table}`);
  // A WAL table takes it later than the answer says.
  await eventually(async () => (await count("raw")) === undefined, "the rows are gone");
  await http.close();
  await questdb?.stop();
  await startQuestDb();
});

function rememberedStart(data: string): string | undefined {
  const control = openControl(readDataDirectory(data).controlPath);
  const started = control.warehouseServer();
  void control.close();
  return started;
}

test("SIGTERM drains a server that waits for its QuestDB", { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weir-java-"));
  const slow = '#!/bin/sh\ncase "$1" in -version) echo \'openjdk version "17.0.1"\' >&2 ;; *) exec sleep 600 ;; esac\n';
  writeFileSync(join(folder, "java"), slow);
  chmodSync(join(folder, "java"), 0o755);
  const { jar } = await serverOptions(folder);
  const ports = { questdbHttpPort: await freePort(), questdbPgPort: await freePort() };
  const server = await ServerProcess.create(
    { hostThreads: 0, partitions: 1, questdb: "managed", questdbJar: jar, ...ports },
    { PATH: [folder, process.env["PATH"]].join(delimiter) },
  );
  t.after(async () => {
    await server.end();
    rmSync(folder, { recursive: true, force: true });
  });
  assert.equal((await server.start()).status, "degraded");
  const client = connect({ url: server.url, key: await server.newKey("shop") });
  t.after(() => client.close({ timeoutMs: 0 }));
  const labels = { eventType: "click", eventCategory: "ui", source: "shop", version: "1", environment: "test" };
  assert.equal((await client.publish([{ eventId: "e", sessionId: "s", ...labels }])).failedEvents, 0);
  assert.deepEqual(await server.stop("SIGTERM"), { code: 0, signal: null });
});
