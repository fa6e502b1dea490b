/** The managed process: starts, answers, is stopped, is started again, and never outlives its owner. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { QuestDbHttp } from "../../../storage/questdb/http.ts";
import { QuestDbServer } from "../../../storage/questdb/server.ts";
import { supervise } from "../../../storage/questdb/supervisor.ts";
import { serverOptions, silentLog } from "./support/managed-questdb.ts";

const root = mkdtempSync(join(tmpdir(), "weir-questdb-server-"));
const options = await serverOptions(root);

after(() => rmSync(root, { recursive: true, force: true }));

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain for: ${what}`);
    await sleep(50);
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}

test("it answers on loopback, keeps its password to its owner, and stops", async (t) => {
  const server = new QuestDbServer(options);
  const begin = performance.now();
  await server.start();
  t.diagnostic(`started in ${Math.round(performance.now() - begin)} ms`);
  const pid = server.pid ?? 0;
  const http = new QuestDbHttp({ url: server.url });
  assert.deepEqual((await http.exec("SELECT 1 AS one")).rows, [[1]]);
  await http.close();
  const { host, port, user, password } = server.pg;
  const client = new Client({ host, port, user, password, database: "qdb" });
  await client.connect();
  assert.deepEqual((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  await client.end();
  assert.equal(statSync(join(root, "conf/server.conf")).mode & 0o077, 0);
  assert.ok(server.pg.password.length > 20);
  await server.stop();
  assert.equal(lives(pid), false);
  assert.equal(existsSync(join(root, "questdb-process.json")), false);
});

test("a port that someone listens on is named in the error", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const server = new QuestDbServer({ ...options, httpPort: port });
  await assert.rejects(server.start(), (error: { code?: string; message: string }) => {
    return error.code === "WEIR_START_PORT_IN_USE" && error.message.includes(String(port));
  });
  assert.equal(server.pid, undefined);
  other.close();
});

test("a java that does not start is an error, not a wait", async () => {
  const server = new QuestDbServer({ ...options, jar: join(root, "nothing.jar") });
  await assert.rejects(server.start(), { code: "WEIR_QUESTDB_UNREACHABLE" });
  assert.equal(server.pid, undefined);
});

test("the supervisor starts it again after a crash and when it is stuck, on the same port, and stops it in the end", async () => {
  const server = new QuestDbServer({ ...options, stopTimeoutMs: 500 });
  const supervisor = supervise({
    server,
    log: silentLog,
    pauseMsMin: 10,
    pingEveryMs: 100,
    pingTimeoutMs: 500,
    missedPingsMax: 3,
  });
  const states: string[] = [];
  supervisor.onState((state) => states.push(state));
  await supervisor.firstStart;
  const { url, pid: firstPid } = server;
  await assert.rejects(new QuestDbServer(options).start(), { code: "WEIR_START_DATA_IN_USE" });
  server.kill();
  await until(() => supervisor.restarts === 1 && supervisor.state === "ready", "the second start");
  assert.equal(server.url, url);
  const secondPid = server.pid ?? 0;
  assert.notEqual(secondPid, firstPid);
  // A stuck process answers no ping; it is ended, although SIGTERM does not help.
  process.kill(secondPid, "SIGSTOP");
  await until(() => supervisor.restarts === 2 && supervisor.state === "ready", "the third start");
  assert.equal(lives(secondPid), false);
  const thirdPid = server.pid ?? 0;
  process.kill(thirdPid, "SIGSTOP");
  await supervisor.stop();
  assert.equal(lives(thirdPid), false);
  assert.deepEqual(states, ["ready", "pending", "ready", "pending", "ready", "stopped"]);
});

test("it ends when its owner is killed with -9", async () => {
  const owner = spawn(process.execPath, [fileURLToPath(new URL("support/questdb-owner.js", import.meta.url)), root], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(owner.stdout, "data")) as [Buffer];
  const pid = Number(line.toString().trim());
  assert.ok(lives(pid));
  owner.kill("SIGKILL");
  await until(() => !lives(pid), "java to end");
});
