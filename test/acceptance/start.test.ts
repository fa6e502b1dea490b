/**
 * How a server starts and ends: what keeps it from starting is a coded error and exit code 1, and harms nobody else; a missing
 * warehouse does not keep it; keys come and go beside it; an ordered end tells every socket.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect, type EventInput } from "../../client/index.ts";
import { createLog } from "../../server/log.ts";
import { runCli } from "../cli/run-cli.ts";
import { TestSocket } from "../server/gateway-fixture.ts";
import { eventually, startRealServer } from "../support/real-server.ts";
import { freePort, serve, ServerProcess, type Flags } from "../support/server-process.ts";

const small: Flags = { hostThreads: 0, partitions: 1, questdb: "off", logLevel: "error" };

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-start-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function running(t: TestContext, flags: Flags = {}, env?: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const server = await ServerProcess.create({ ...small, ...flags }, env);
  t.after(() => server.end());
  await server.start();
  return server;
}

/** The program ends by itself, with exit code 1 and this on stderr. */
async function failsToStart(t: TestContext, flags: Flags, message: RegExp, env?: NodeJS.ProcessEnv): Promise<void> {
  const run = serve({ ...small, ...flags }, env === undefined ? {} : { env });
  t.after(() => run.child.kill("SIGKILL"));
  assert.deepEqual(await run.exit, { code: 1, signal: null });
  assert.match(run.output.stderr, message);
  assert.equal(run.output.stdout, "");
}

function event(eventId: string): EventInput {
  const labels = { eventType: "click", eventCategory: "ui", source: "shop", version: "1", environment: "test" };
  return { eventId, sessionId: "visit", ...labels };
}

/** Publishes with a key and asks for what was counted. */
async function checkWorks(server: ServerProcess, key: string): Promise<void> {
  const client = connect({ url: server.url, key, retry: { giveUpAfterMs: 5_000 } });
  try {
    assert.equal((await client.track(event("one"))).success, true);
    const { data } = await client.query({ metrics: ["events.count"], timeRange: { last: "1h" } });
    assert.equal(data[0]?.["events.count"], 1);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

async function openSocket(t: TestContext, server: ServerProcess, key: string): Promise<TestSocket> {
  const socket = new TestSocket(`ws://127.0.0.1:${server.port}/v1/stream`, key);
  t.after(() => socket.terminate());
  await socket.opened;
  return socket;
}

test("a port in use, by a Weir or by another program: WEIR_START_PORT_IN_USE, and the data directory stays free", async (t) => {
  const weir = await running(t);
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  for (const port of [weir.port, (other.address() as AddressInfo).port]) {
    const data = join(temporaryFolder(t), "data");
    await failsToStart(t, { port, data }, /^WEIR_START_PORT_IN_USE: .*\n.*--port/m);
    const run = serve({ ...small, port: 0, data });
    t.after(() => run.child.kill("SIGKILL"));
    await eventually(() => run.output.stdout.includes("url "), "it starts on another port");
    // The start that failed had made a key and could not show it.
    await eventually(() => /weir_demo_\w+/.test(run.output.stdout), "it shows a first key");
  }
  assert.equal((await weir.ready())?.status, "ready");
});

test("another number of partitions than the data directory has: it keeps its own, and the log says so", async (t) => {
  const lines: string[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => void lines.push(line) } });
  const flags = { hostThreads: 0, partitions: 2 };
  const data = join(temporaryFolder(t), "data");
  const keeping = (): string[] => lines.filter((line) => line.includes("keeps its number of partitions"));
  const first = await startRealServer(flags, data, log);
  const saidAtFirst = keeping();
  const second = await first.restart({ partitions: 3 });
  t.after(() => second.close());
  assert.deepEqual(saidAtFirst, [], "a new one takes the setting");
  const [line] = keeping().map((text) => JSON.parse(text) as { partitions: number; setting: number });
  assert.deepEqual({ partitions: line?.partitions, setting: line?.setting }, { partitions: 2, setting: 3 });
});

test("as many partitions as the setting allows start in two threads, and count", { timeout: 120_000 }, async (t) => {
  const server = await running(t, { hostThreads: 2, partitions: 200 });
  await checkWorks(server, await server.newKey("shop"));
});

test("a data directory that a running server has: WEIR_START_DATA_IN_USE, and that server goes on", async (t) => {
  const server = await running(t);
  await failsToStart(t, { port: 0, data: server.data }, /^WEIR_START_DATA_IN_USE: .*\n.*--data/m);
  await checkWorks(server, await server.newKey("shop"));
});

test("a data directory of another format: WEIR_START_DATA_FORMAT, and it stays as it was", async (t) => {
  const data = join(temporaryFolder(t), "data");
  mkdirSync(data);
  const identity = JSON.stringify({ format: 99, partitions: 4, createdMs: 1, seedHex: "00".repeat(16) });
  writeFileSync(join(data, "weir.json"), identity);
  await failsToStart(t, { port: 0, data }, /^WEIR_START_DATA_FORMAT: /m);
  assert.equal(readFileSync(join(data, "weir.json"), "utf8"), identity);
  assert.ok(!existsSync(join(data, "hosts")));
});

test("a data directory that cannot be one: WEIR_START_DATA_UNUSABLE", async (t) => {
  const file = join(temporaryFolder(t), "file");
  writeFileSync(file, "");
  await failsToStart(t, { port: 0, data: file }, /^WEIR_START_DATA_UNUSABLE: /m);
});

test("a setting that is unknown or wrong: WEIR_CONFIG_INVALID with its name", async (t) => {
  const data = join(temporaryFolder(t), "data");
  const env = { PATH: process.env["PATH"] };
  await failsToStart(t, { port: 0, data }, /^WEIR_CONFIG_INVALID: .*\(WEIR_SPEED\)$/m, { ...env, WEIR_SPEED: "high" });
  await failsToStart(t, { port: 0, data }, /^WEIR_CONFIG_INVALID: .*\(snapshotEveryMs\)$/m, {
    ...env,
    WEIR_SNAPSHOT_EVERY_MS: "soon",
  });
  await failsToStart(t, { port: "many", data }, /^WEIR_CONFIG_INVALID: .*\(port\)$/m);
  await failsToStart(t, { port: 0, data, partitions: 0 }, /^WEIR_CONFIG_INVALID: .*\(partitions\)$/m);
  await failsToStart(t, { port: 0, data, questdb: "maybe" }, /^WEIR_CONFIG_INVALID: .*\(questdb\)$/m);
  assert.ok(!existsSync(data));
  const unknown = serve({ ...small, data, speed: 1 });
  assert.deepEqual(await unknown.exit, { code: 64, signal: null });
  assert.match(unknown.output.stderr, /unknown option '--speed'/);
});

test("without Java and without a way to get it, the server takes events and says that the warehouse is pending", async (t) => {
  const nothing = temporaryFolder(t);
  const env = { PATH: nothing, HOME: nothing };
  const server = await running(
    t,
    { questdb: "managed", questdbHttpPort: await freePort(), questdbPgPort: await freePort(), logLevel: "warn" },
    env,
  );
  const response = await fetch(`${server.url}/readyz`);
  const { status, warehouse } = (await response.json()) as { status: string; warehouse: string };
  assert.deepEqual([response.status, status, warehouse], [200, "degraded", "pending"]);
  await eventually(() => server.run.output.stderr.includes("WEIR_START_NO_JAVA"), "the reason in the log");
  const key = await server.newKey("shop");
  await checkWorks(server, key);
  const client = connect({ url: server.url, key });
  t.after(() => client.close());
  const raw = client.query({ metrics: ["events"], timeRange: { last: "1h" }, source: "raw" });
  await assert.rejects(raw, { code: "WEIR_WAREHOUSE_UNAVAILABLE" });
  assert.deepEqual(await server.stop("SIGTERM"), { code: 0, signal: null });
});

test("the first start shows the key of the tenant demo, once, and it works", async (t) => {
  const server = await running(t);
  const shown = /^key +(weir_demo_\S+)$/m;
  const [, key = ""] = shown.exec(server.run.output.stdout) ?? [];
  assert.equal(server.run.output.stdout.match(/weir_demo_/g)?.length, 1);
  assert.doesNotMatch(server.run.output.stderr, /weir_demo_/);
  await checkWorks(server, key);
  assert.deepEqual(await server.stop("SIGTERM"), { code: 0, signal: null });
  await server.start();
  await eventually(() => server.run.output.stdout.includes("url "), "the addresses are shown");
  assert.doesNotMatch(server.run.output.stdout + server.run.output.stderr, /weir_demo_/);
});

test("`weir keys create` beside a running server works at once, and `revoke` closes the key's sockets within a second", async (t) => {
  const server = await running(t);
  const { stdout } = await runCli([
    "keys",
    "create",
    "--data",
    server.data,
    "--tenant",
    "shop",
    "--scopes",
    "write,read",
    "--json",
  ]);
  const { key, keyId } = JSON.parse(stdout) as { key: string; keyId: string };
  await checkWorks(server, key);

  const other = await openSocket(t, server, await server.newKey("shop"));
  const revoked = await openSocket(t, server, key);
  assert.equal((await revoked.ask({ t: "ping" }))["t"], "pong");
  const { code } = await runCli(["keys", "revoke", keyId, "--data", server.data]);
  const revokedMs = performance.now();
  assert.equal(code, 0);
  assert.equal((await revoked.closed).code, 4401);
  assert.ok(performance.now() - revokedMs < 1_000);
  assert.equal((await other.ask({ t: "ping" }))["t"], "pong");
  const authorization = `Bearer ${key}`;
  const refused = await fetch(`${server.url}/v1/metrics-catalog`, { headers: { authorization } });
  assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [401, "WEIR_AUTH_KEY_UNKNOWN"]);
});

test("SIGTERM answers what is in flight, closes every socket with 1012, and ends with 0", async (t) => {
  const server = await running(t);
  const key = await server.newKey("shop");
  const sockets = await Promise.all([openSocket(t, server, key), openSocket(t, server, key), openSocket(t, server, key)]);
  const [first] = sockets;
  assert.ok(first !== undefined);
  assert.equal((await first.ask({ t: "sub", id: 1, channel: "events" }))["t"], "snap");
  const exit = server.stop("SIGTERM");
  for (const socket of sockets) assert.equal((await socket.closed).code, 1012);
  assert.deepEqual(await exit, { code: 0, signal: null });
  assert.ok(!existsSync(join(server.data, "LOCK")));
});
