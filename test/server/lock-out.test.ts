/** Who guesses keys is locked out for a while: over HTTP, in the upgrade and in `hello`; nobody else is. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { test, type TestContext } from "node:test";
import { decode, encode } from "msgpackr";
import { WebSocket } from "ws";
import { LockOut } from "../../server/lock-out.ts";
import { keys, startGateway, until, type Fixture } from "./gateway-fixture.ts";

const limits = { wrongKeysMax: 3, wrongKeyWindowMs: 1_000, lockOutMs: 5_000, lockOutAddressesMax: 4 };

test("different wrong keys within the window lock out; the same one again and again does not", () => {
  const lockOut = new LockOut(limits);
  for (let count = 0; count < 100; count++) assert.equal(lockOut.wrongKey("a", "stale", 0), false);
  assert.equal(lockOut.wrongKey("a", "k1", 0), false);
  assert.equal(lockOut.wrongKey("a", "k2", 0), false);
  lockOut.check("a", 0);
  assert.equal(lockOut.wrongKey("a", "k3", 999), true);
  assert.throws(() => lockOut.check("a", 1_000), { code: "WEIR_AUTH_LOCKED_OUT", retryAfterMs: 4_999 });
  assert.equal(lockOut.wrongKey("a", "k4", 1_000), false, "locked once, not with every further guess");
  lockOut.check("b", 1_000);
  lockOut.check("a", 5_999);
  assert.equal(lockOut.wrongKey("a", "k5", 5_999), false, "it begins anew");
});

test("a window that is over counts for nothing", () => {
  const lockOut = new LockOut(limits);
  for (const keyId of ["k1", "k2", "k3"]) lockOut.wrongKey("a", keyId, 0);
  assert.equal(lockOut.wrongKey("a", "k4", 1_000), false);
  lockOut.check("a", 1_000);
});

test("the table is bounded: the oldest entry is forgotten", () => {
  const lockOut = new LockOut(limits);
  for (let address = 0; address < 1_000; address++) {
    for (let key = 0; key < 5; key++) lockOut.wrongKey(`a${address}`, `k${key}`, 0);
    assert.ok(lockOut.addresses <= limits.lockOutAddressesMax);
  }
  assert.throws(() => lockOut.check("a999", 0));
  lockOut.check("a0", 0);
});

/** Loopback addresses are never locked out, so these clients stand behind a proxy on the loopback interface. */
function startBehindProxy(t: TestContext): Promise<Fixture> {
  return startGateway(t, {
    limits: { ...limits, wrongKeyWindowMs: 60_000, lockOutMs: 60_000 },
    config: { trustedProxies: ["127.0.0.1"] },
  });
}

const asking = (from: string, key: string) => ({ key, headers: { "X-Forwarded-For": from } });

async function lockOutByHttp({ request }: Fixture, from: string): Promise<void> {
  for (let guess = 0; guess < 4; guess++) {
    const { status } = await request("/v1/metrics-catalog", asking(from, `weir_acme_guess${guess}`));
    assert.equal(status, 401);
  }
}

test("over HTTP: 429 with Retry-After, for right keys too, and for that address only", async (t) => {
  const fixture = await startBehindProxy(t);
  const { request, control, logLines, metricsText } = fixture;
  await lockOutByHttp(fixture, "198.51.100.1");
  for (const key of ["weir_acme_guess9", keys.read]) {
    const answer = await request("/v1/metrics-catalog", asking("198.51.100.1", key));
    const { code, retryable } = (await answer.json()) as { code: string; retryable: boolean };
    assert.deepEqual([answer.status, code, retryable], [429, "WEIR_AUTH_LOCKED_OUT", true]);
    const seconds = Number(answer.headers.get("retry-after"));
    assert.ok(seconds > 1 && seconds <= 60, `${seconds} s`);
  }
  assert.equal((await request("/v1/metrics-catalog", asking("198.51.100.2", keys.read))).status, 200);
  assert.equal((await request("/v1/metrics-catalog", { key: keys.read })).status, 200);
  assert.equal((await request("/healthz", { headers: { "X-Forwarded-For": "198.51.100.1" } })).status, 200);
  const text = await metricsText();
  assert.match(text, /weir_lock_outs_total 1\n/);
  assert.match(text, /weir_refusals_total\{code="WEIR_AUTH_LOCKED_OUT"\} 2\n/);
  const [entry, ...more] = control.recorded;
  assert.equal(more.length, 0);
  const { log, action, remoteAddress, detail } = entry ?? {};
  assert.deepEqual([log, action, remoteAddress, detail?.["claimedTenant"]], ["-server", "lock-out", "198.51.100.1", "acme"]);
  assert.match(String(detail?.["keyId"]), /^[0-9a-f]{16}$/);
  const locked = logLines.filter((line) => line.includes("locked out"));
  assert.equal(locked.length, 1);
  assert.doesNotMatch(logLines.join("") + JSON.stringify(control.recorded), /weir_acme_/);
});

test("an address that another trusted header makes up is not locked out for it", async (t) => {
  const fixture = await startBehindProxy(t);
  await lockOutByHttp(fixture, "203.0.113.5, 198.51.100.1");
  assert.equal((await fixture.request("/v1/metrics-catalog", asking("203.0.113.5", keys.read))).status, 200);
  assert.equal((await fixture.request("/v1/metrics-catalog", asking("198.51.100.1", keys.read))).status, 429);
});

test("a line that a client adds before the proxy's does not hide it", async (t) => {
  const fixture = await startBehindProxy(t);
  const statusOf = (guess: number) =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = { Authorization: `Bearer weir_acme_${guess}`, "X-Forwarded-For": [`203.0.113.${guess}`, "198.51.100.1"] };
      const sent = httpRequest({ port: fixture.port, path: "/v1/metrics-catalog", headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.on("error", reject).end();
    });
  const statuses: (number | undefined)[] = [];
  for (let guess = 0; guess < 5; guess++) statuses.push(await statusOf(guess));
  assert.deepEqual(statuses, [401, 401, 401, 401, 429]);
});

test("without a setting a forwarded address is not believed, and the loopback interface is not locked out", async (t) => {
  const fixture = await startGateway(t, { limits });
  await lockOutByHttp(fixture, "198.51.100.1");
  assert.equal((await fixture.request("/v1/metrics-catalog", asking("198.51.100.1", keys.read))).status, 200);
});

test("on the WebSocket: guesses in `hello` count, an upgrade is refused, an open connection goes on", async (t) => {
  const { port, request } = await startBehindProxy(t);
  const open = (from: string, key?: string) => {
    const headers = { "X-Forwarded-For": from, ...(key !== undefined && { Authorization: `Bearer ${key}` }) };
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`, { headers });
    socket.on("error", () => undefined);
    t.after(() => socket.terminate());
    return socket;
  };
  const good = open("198.51.100.1", keys.read);
  await once(good, "open");
  for (let guess = 0; guess < 4; guess++) {
    const socket = open("198.51.100.1");
    await once(socket, "open");
    socket.send(encode({ t: "hello", key: `weir_acme_guess${guess}` }));
    assert.equal((await once(socket, "close"))[0], 4401);
  }
  const late = open("198.51.100.1");
  await once(late, "open");
  const closed = once(late, "close");
  late.send(encode({ t: "hello", key: keys.read }));
  const [data] = (await once(late, "message")) as [Buffer];
  const { code, retryable, retryAfterMs } = decode(data) as { code: string; retryable: boolean; retryAfterMs: number };
  assert.deepEqual([code, retryable], ["WEIR_AUTH_LOCKED_OUT", true]);
  assert.ok(retryAfterMs > 0 && retryAfterMs <= 60_000);
  assert.equal((await closed)[0], 4429);
  const refused = open("198.51.100.1", keys.read);
  const [, response] = (await once(refused, "unexpected-response")) as [
    unknown,
    { statusCode: number; headers: Record<string, string> },
  ];
  assert.equal(response.statusCode, 429);
  assert.ok(Number(response.headers["retry-after"]) > 1);
  const pong = once(good, "message");
  good.send(encode({ t: "ping", id: 1 }));
  assert.equal((decode((await pong)[0] as Buffer) as { t: string }).t, "pong");
  await until(async () => (await request("/v1/metrics-catalog", asking("198.51.100.9", keys.read))).status === 200);
});
