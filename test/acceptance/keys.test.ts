/** `weir keys` beside a running server: what an operator does there holds at once, also on open sockets, and is in the audit log. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { runCli } from "../cli/run-cli.ts";
import { TestSocket } from "../server/gateway-fixture.ts";
import { eventually, startRealServer, type RealServer } from "../support/real-server.ts";

let real: RealServer;

before(async () => {
  real = await startRealServer({ hostThreads: 0, partitions: 1 });
});
after(() => real.close());

interface KeyAnswer {
  readonly key: string;
  readonly keyId: string;
  readonly expires?: string;
  readonly replaced?: { readonly keyId: string };
}

async function keysCommand(...args: readonly string[]): Promise<KeyAnswer> {
  const { code, stdout, stderr } = await runCli(["keys", ...args, "--data", real.data, "--json"]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as KeyAnswer;
}

async function open(key: string): Promise<TestSocket> {
  const socket = new TestSocket(`${real.url.replace("http", "ws")}/v1/stream`, key);
  await socket.opened;
  assert.equal((await socket.ask({ t: "hello" }))["t"], "hello");
  return socket;
}

interface Entry {
  readonly action: string;
  readonly by: string;
  readonly detail: { readonly keyId?: string };
}

/** Of the one log that the command shows. The server adds expiries in its own time. */
function byOperator(stdout: string): readonly Entry[] {
  const [log] = (JSON.parse(stdout) as { logs: { entries: Entry[] }[] }).logs;
  return (log?.entries ?? []).filter(({ by }) => by.startsWith("operator:"));
}

const statusOf = async (key: string) =>
  (await fetch(`${real.url}/v1/metrics-catalog`, { headers: { Authorization: `Bearer ${key}` } })).status;

test("revoked, and rotated without overlap: the open sockets close with 4401, those of other keys stay", async () => {
  const [revoked, rotated, kept] = await Promise.all([
    keysCommand("create", "--tenant", "shop"),
    keysCommand("create", "--tenant", "shop", "--expires", "1d"),
    keysCommand("create", "--tenant", "shop", "--scopes", "admin"),
  ]);
  const sockets = await Promise.all([revoked, rotated, kept].map(({ key }) => open(key)));
  const [revokedSocket, rotatedSocket, keptSocket] = sockets as [TestSocket, TestSocket, TestSocket];

  await keysCommand("revoke", revoked.keyId);
  assert.equal((await revokedSocket.closed).code, 4401);
  assert.equal(await statusOf(revoked.key), 401);

  const overlapping = await keysCommand("rotate", rotated.keyId, "--overlap", "1h");
  assert.equal(overlapping.replaced?.keyId, rotated.keyId);
  assert.ok(overlapping.expires !== undefined, "the lifetime of the old key");
  assert.deepEqual([await statusOf(rotated.key), await statusOf(overlapping.key)], [200, 200]);
  const successor = await open(overlapping.key);
  const next = await keysCommand("rotate", overlapping.keyId, "--overlap", "0s");
  assert.equal((await successor.closed).code, 4401);
  assert.deepEqual([await statusOf(overlapping.key), await statusOf(next.key)], [401, 200]);
  const repeated = await runCli(["keys", "rotate", rotated.keyId, "--data", real.data]);
  assert.match(repeated.stderr, /^WEIR_KEY_REPLACED: /);

  assert.equal((await rotatedSocket.ask({ t: "ping", id: 1 }))["t"], "pong", "its overlap is not over");
  assert.equal((await keptSocket.ask({ t: "ping", id: 1 }))["t"], "pong");

  const log = await runCli(["audit-log", "--data", real.data, "--tenant", "shop", "--json"]);
  const changes = byOperator(log.stdout);
  assert.deepEqual(
    changes.map(({ action }) => action),
    ["key.rotate", "key.rotate", "key.revoke", "key.create", "key.create", "key.create"],
  );
  const asked = await runCli(["audit-log", "--url", real.url, "--json"], { env: { WEIR_KEY: kept.key } });
  assert.deepEqual(byOperator(asked.stdout), changes);
  assert.ok(!`${log.stdout}${asked.stdout}`.includes(kept.key));
  for (const socket of sockets) socket.terminate();
});

test("a key that expires while its socket is open ends it, and the audit log says so", async () => {
  const { key, keyId } = await keysCommand("create", "--tenant", "shop", "--expires", "3s");
  const socket = await open(key).catch(() => undefined);
  // A machine that takes 3 s to get here finds the key expired already: then only the log is looked at.
  if (socket !== undefined) assert.equal((await socket.closed).code, 4401);
  const admin = await real.newKey("shop");
  await eventually(async () => {
    const response = await fetch(`${real.url}/v1/audit-log`, { headers: { Authorization: `Bearer ${admin}` } });
    const { entries } = (await response.json()) as { entries: Entry[] };
    return entries.some(({ action, detail }) => action === "key.expire" && detail.keyId === keyId);
  }, "the expiry is noted");
});
