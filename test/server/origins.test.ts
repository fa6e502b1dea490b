/** What browsers are told, and which pages may open a WebSocket: nothing unless a setting lists the page's origin. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket } from "ws";
import { Origins } from "../../server/origins.ts";
import { keys, startGateway } from "./gateway-fixture.ts";

const page = "https://app.example";
const preflight = (origin: string) => ({
  method: "OPTIONS",
  headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization" },
});

/** 101, or the status with which the upgrade was refused. */
async function upgradeStatus(port: number, origin: string | undefined, key = keys.read): Promise<number> {
  const headers = { Authorization: `Bearer ${key}`, ...(origin !== undefined && { Origin: origin }) };
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`, { headers });
  socket.on("error", () => undefined);
  const opened = once(socket, "upgrade").then(([response]) => (response as { statusCode: number }).statusCode);
  const refused = once(socket, "unexpected-response").then(([, response]) => (response as { statusCode: number }).statusCode);
  const status = await Promise.race([opened, refused]);
  socket.terminate();
  return status;
}

test("by default no page may read an answer or open a WebSocket; programs may", async (t) => {
  const { port, request } = await startGateway(t);
  const answer = await request("/v1/metrics-catalog", { key: keys.read, headers: { Origin: page } });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("access-control-allow-origin"), null);
  const asked = await request("/v1/events", preflight(page));
  assert.equal(asked.headers.get("access-control-allow-origin"), null);
  assert.equal(asked.headers.get("access-control-allow-headers"), null);
  assert.equal(await upgradeStatus(port, page), 403);
  assert.equal(await upgradeStatus(port, "null"), 403);
  assert.equal(await upgradeStatus(port, undefined), 101);
  assert.equal(await upgradeStatus(port, `http://127.0.0.1:${port}`), 101, "a page of the server itself");
});

test("a listed page is told so, another is not", async (t) => {
  const { port, request } = await startGateway(t, { config: { allowedOrigins: [page] } });
  for (const [path, status] of [
    ["/v1/metrics-catalog", 200],
    ["/v1/sessions/none", 404],
  ] as const) {
    const answer = await request(path, { key: keys.read, headers: { Origin: page } });
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get("access-control-allow-origin"), page);
    assert.equal(answer.headers.get("vary"), "Origin");
    assert.equal(answer.headers.get("access-control-allow-credentials"), null);
  }
  const asked = await request("/v1/events", preflight(page));
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get("access-control-allow-origin"), page);
  assert.match(asked.headers.get("access-control-allow-methods") ?? "", /POST/);
  assert.match(asked.headers.get("access-control-allow-headers") ?? "", /Authorization/);
  const other = await request("/v1/events", preflight("https://app.example.evil"));
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  assert.equal(other.headers.get("access-control-allow-methods"), null);
  assert.equal(await upgradeStatus(port, page), 101);
  assert.equal(await upgradeStatus(port, "https://app.example:8443"), 403);
});

test("`*` lets every page in", () => {
  assert.equal(new Origins(["*"]).answerHeaders(page)["Access-Control-Allow-Origin"], page);
});

test("every answer forbids storing and guessing of types", async (t) => {
  const { request } = await startGateway(t);
  for (const path of ["/healthz", "/metrics", "/nothing", "/v1/stream", "/v1/metrics-catalog"]) {
    const { headers } = await request(path);
    assert.equal(headers.get("x-content-type-options"), "nosniff", path);
    assert.equal(headers.get("cache-control"), "no-store", path);
    assert.equal(headers.get("strict-transport-security"), null, "means nothing without TLS");
  }
});

test("a key in a URL is refused, right or not, and told apart from a missing one", async (t) => {
  const { port, request, logLines } = await startGateway(t);
  const secret = `weir_acme_${"x".repeat(32)}`;
  for (const query of [`key=${keys.read}`, "access_token=abc", `names=${secret}`, `${secret}=1`, "Authorization=Bearer%20x"]) {
    const answer = await request(`/v1/realtime?${query}`, { key: keys.read });
    const text = await answer.text();
    assert.equal((JSON.parse(text) as { code: string }).code, "WEIR_AUTH_KEY_IN_URL", query);
    assert.equal(answer.status, 400);
    assert.ok(!text.includes(secret));
  }
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/stream?key=${keys.read}`);
  socket.on("error", () => undefined);
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, { statusCode: number }];
  assert.equal(response.statusCode, 400);
  socket.terminate();
  assert.doesNotMatch(logLines.join(""), /weir_acme/);
});
