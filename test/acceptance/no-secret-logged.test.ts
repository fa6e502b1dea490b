/**
 * At the most talkative level the log of a whole scenario holds no key and no payload, wherever a client put them; neither do
 * answers to errors, the metrics, the audit log or the files of the data directory.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { createLog } from "../../server/log.ts";
import { TestSocket } from "../server/gateway-fixture.ts";
import { startRealServer } from "../support/real-server.ts";
import { event } from "../support/two-tenants.ts";

const PAYLOAD = "payload-that-nobody-may-log";

test("no key and no payload is logged, answered or stored", async (t) => {
  const lines: string[] = [];
  const log = createLog({ level: "trace", destination: { write: (line) => void lines.push(line) } });
  const real = await startRealServer({ hostThreads: 0, partitions: 1, trustedProxies: "127.0.0.1" }, undefined, log);
  let running = real;
  t.after(() => running.close());
  const key = await real.newKey("shop");
  const wrong = `weir_shop_${"wrong".repeat(7).slice(0, 32)}`;
  const secrets = [key.slice(-32), wrong.slice(-32), PAYLOAD];
  const bodies: string[] = [];
  type Init = Omit<RequestInit, "headers"> & { readonly headers?: Readonly<Record<string, string>> };
  const ask = async (path: string, init: Init = {}, given = key) => {
    const headers = { Authorization: `Bearer ${given}`, "Content-Type": "application/json", ...init.headers };
    const response = await fetch(real.url + path, { ...init, headers });
    // An answer to a good request may say again what it was asked.
    if (!response.ok) bodies.push(await response.text());
    return response.status;
  };
  const post = (path: string, body: unknown) =>
    ask(path, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });

  await ask("/v1/metrics-catalog", {}, wrong);
  await ask("/v1/metrics-catalog", { headers: { Authorization: `Basic ${key}` } });
  await ask("/v1/metrics-catalog", { headers: { Authorization: `Bearer ${key} ${key}` } });
  assert.equal(await ask(`/v1/metrics-catalog?key=${key}`), 400);
  assert.equal(await ask(`/v1/realtime?names=${wrong}`), 400);
  await ask(`/${key}`);
  await ask(`/v1/sessions/${key}`);
  await ask("/v1/metrics-catalog", { headers: { "X-Forwarded-For": key, Origin: key, "X-Request-Id": key } });
  const good = { ...event("e1", "s1", "view"), properties: { note: PAYLOAD } };
  assert.equal(await post("/v1/events", [good, { ...good, eventId: "e2", timestamp: PAYLOAD }]), 200);
  await post("/v1/events", `{"broken": "${PAYLOAD}`);
  await post("/v1/query", `{"metrics": "${PAYLOAD}`);
  await post("/v1/query", { metrics: [PAYLOAD], timeRange: { last: "1h" } });
  await post("/v1/exports", { timeRange: { last: "1h" }, format: "ndjson" });
  await post("/v1/metrics-catalog", { name: key, aggregates: [key] });
  for (let guess = 0; guess < 30; guess++) {
    await ask("/v1/metrics-catalog", { headers: { "X-Forwarded-For": "198.51.100.1" } }, `${wrong.slice(0, -2)}${10 + guess}`);
  }

  const stream = `${real.url.replace("http", "ws")}/v1/stream`;
  const socket = new TestSocket(stream, undefined);
  await socket.opened;
  await socket.ask({ t: "hello", key, client: PAYLOAD });
  await socket.ask({ t: "hello", key: wrong }).catch(() => undefined);
  const second = new TestSocket(stream, key);
  await second.opened;
  await second.ask({ t: "pub", seq: 1, events: [{ ...good, eventId: "e3" }] });
  await second.ask({ t: PAYLOAD });
  await second.ask({ t: "sub", id: 1, channel: PAYLOAD });
  second.sendRaw(Buffer.from([0xc1, ...Buffer.from(key)]));
  await second.next();
  const refused = new WebSocket(`${stream}?token=${key}`);
  refused.on("error", () => undefined);
  await once(refused, "unexpected-response");
  for (const each of [socket, second, refused]) each.terminate();

  running = await real.restart();
  const metrics = await (await fetch(`${running.url}/metrics`)).text();
  assert.ok(
    lines.some((line) => line.includes("locked out")),
    "the log was captured",
  );
  // Errors name what was wrong: a metric, a channel. A key they never say again.
  const answers = bodies.join("\n");
  for (const secret of secrets) {
    assert.ok(!lines.join("").includes(secret), `in the log: ${secret}`);
    assert.ok(!metrics.includes(secret), `in /metrics: ${secret}`);
    if (secret !== PAYLOAD) assert.ok(!answers.includes(secret), `in an answer: ${secret}`);
  }
  for (const file of filesOf(join(real.data, "control"))) {
    assert.ok(!readFileSync(file).includes(key.slice(-32)), `in ${file}`);
  }
});

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => statSync(path).isFile());
}
