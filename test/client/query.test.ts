import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { connect } from "../../client/index.ts";
import { FakeServer } from "./fake-server.ts";

async function withServer(action: (server: FakeServer) => Promise<void>): Promise<void> {
  const server = await FakeServer.start();
  try {
    await action(server);
  } finally {
    await server.stop();
  }
}

test("questions go to their routes with the key in the header", () =>
  withServer(async (server) => {
    const calls: unknown[] = [];
    const answer = (body: unknown) => (sent: unknown, request: IncomingMessage) => {
      calls.push([request.url, request.headers.authorization, sent]);
      return { status: 200, body };
    };
    server.routes.set("POST /v1/query", answer({ data: [{ events: 1 }], metadata: { totalRows: 1 } }));
    server.routes.set("GET /v1/realtime", answer({ metrics: [] }));
    server.routes.set("GET /v1/metrics-catalog", answer({ metrics: [{ name: "events" }] }));
    server.routes.set("DELETE /v1/metrics-catalog/a%2Fb", () => ({ status: 204 }));
    const client = connect({ url: `${server.url}/`, key: "weir_demo_good" });
    const request = { metrics: ["events"], timeRange: { last: "1h" } };
    assert.deepEqual((await client.query(request)).data, [{ events: 1 }]);
    await client.realtime(["a", "b.sum"], "1h");
    assert.deepEqual(await client.catalog(), [{ name: "events" }]);
    await client.removeMetric("a/b");
    assert.deepEqual(calls, [
      ["/v1/query", "Bearer weir_demo_good", request],
      ["/v1/realtime?names=a%2Cb.sum&window=1h", "Bearer weir_demo_good", undefined],
      ["/v1/metrics-catalog", "Bearer weir_demo_good", undefined],
    ]);
  }));

test("a problem becomes an error with code, path and retryable, and so does a page that is none", () =>
  withServer(async (server) => {
    const client = connect({ url: server.url, key: "weir_demo_good" });
    server.routes.set("GET /v1/sessions/x", () => ({
      status: 404,
      body: { code: "WEIR_SESSION_UNKNOWN", detail: "No session.", path: "id", retryable: false, requestId: "r1" },
    }));
    await assert.rejects(client.session("x"), {
      name: "ServerError",
      code: "WEIR_SESSION_UNKNOWN",
      message: "No session.",
      path: "id",
      retryable: false,
      status: 404,
      requestId: "r1",
    });
    server.routes.set("GET /v1/sessions/y", () => ({ status: 503, body: "oops" }));
    await assert.rejects(client.session("y"), { code: "WEIR_INTERNAL", retryable: true, status: 503 });
  }));

test("no answer is WEIR_CLIENT_UNREACHABLE; an address that is none is refused at once", async () => {
  const client = connect({ url: "http://127.0.0.1:9", key: "k" });
  await assert.rejects(client.catalog(), { code: "WEIR_CLIENT_UNREACHABLE" });
  assert.throws(() => connect({ url: "localhost:80", key: "k" }), { code: "WEIR_CONFIG_INVALID" });
});
