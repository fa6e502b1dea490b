/** Which requests become a WebSocket: what RFC 6455 asks of them, and whose pages may open one. */
import assert from "node:assert/strict";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { keys, startGateway } from "./gateway-fixture.ts";

const good = {
  Host: "weir.example",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

interface Answer {
  readonly status: number | undefined;
  readonly version: unknown;
  readonly code?: unknown;
  readonly path?: unknown;
}

function upgrade(port: number, change: Record<string, string | undefined> = {}): Promise<Answer> {
  const headers = Object.fromEntries(
    Object.entries({ ...good, ...change }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, path: "/v1/stream", headers });
    request.on("error", reject);
    request.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, version: undefined });
    });
    request.on("response", (response) => void refusalOf(response).then(resolve, reject));
    request.end();
  });
}

async function refusalOf(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const { code, path } = JSON.parse(Buffer.concat(chunks).toString()) as { code: string; path: string };
  return { status: response.statusCode, version: response.headers["sec-websocket-version"], code, path };
}

test("an upgrade that is none is refused with the header that is wrong, and told the version", async (t) => {
  const { port } = await startGateway(t);
  assert.equal((await upgrade(port)).status, 101);
  assert.equal((await upgrade(port, { Upgrade: "WebSocket", Connection: "keep-alive, upgrade" })).status, 101);
  for (const [name, value] of [
    ["Upgrade", "h2c"],
    ["Connection", "keep-alive"],
    ["Sec-WebSocket-Version", "8"],
    ["Sec-WebSocket-Version", undefined],
    ["Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!!!"],
    ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZR=="],
    ["Content-Length", "4"],
  ] as const) {
    const path = name.toLowerCase();
    const expected = { status: 400, version: "13", code: "WEIR_FRAME_FIELD_INVALID", path };
    assert.deepEqual(await upgrade(port, { [name]: value }), expected, `${name}: ${value}`);
  }
});

test("pages of other origins are refused unless the setting names them", async (t) => {
  const refused = { status: 403, version: "13", code: "WEIR_ORIGIN_REFUSED", path: "origin" };
  const strict = await startGateway(t);
  for (const origin of ["https://evil.example", "null", "https://weir.example.evil.example", "weir.example", "https://"]) {
    assert.deepEqual(await upgrade(strict.port, { Origin: origin }), refused, origin);
  }
  for (const origin of ["https://weir.example", "http://weir.example", "https://WEIR.example"]) {
    assert.equal((await upgrade(strict.port, { Origin: origin })).status, 101, origin);
  }
  const named = await startGateway(t, { allowedOrigins: ["https://dash.example"] });
  assert.equal((await upgrade(named.port, { Origin: "https://dash.example" })).status, 101);
  assert.deepEqual(await upgrade(named.port, { Origin: "http://dash.example" }), refused);
  assert.deepEqual(await upgrade(named.port, { Origin: "https://dash.example:8443" }), refused);
  const open = await startGateway(t, { allowedOrigins: ["*"] });
  assert.equal((await upgrade(open.port, { Origin: "null" })).status, 101);
});

test("what stands behind a refused request in the same segment is not answered", async (t) => {
  const { port } = await startGateway(t);
  const next = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
  const key = `Authorization: Bearer ${keys.write}\r\n`;
  for (const head of [
    `POST /v1/events HTTP/1.1\r\nHost: a\r\n${key}Content-Length: 0\r\nContent-Length: 40\r\n\r\n`,
    "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST /v1/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n",
  ]) {
    for (const [behind, answers] of [["", 1] as const, [next, 0] as const]) {
      const socket = connectTcp(port, "127.0.0.1");
      socket.write(head + behind);
      let text = "";
      socket.on("error", () => undefined);
      for await (const chunk of socket) text += String(chunk);
      assert.equal(text.match(/^HTTP\/1\.1 400 /gm)?.length ?? 0, answers, `${head}: ${text}`);
      assert.doesNotMatch(text, /^HTTP\/1\.1 200 /m);
    }
  }
});
