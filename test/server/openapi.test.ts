/** The OpenAPI document, the routes that are served, and the table in `docs/protocol.md` name the same things. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isErrorCode } from "../../protocol/error-codes.ts";
import { projectRoot } from "../support/project.ts";
import { startGateway } from "./gateway-fixture.ts";

/** `GET /v1/sessions/{}`: how a route is named does not matter, nor what its parameter is called. */
function normal(method: string, path: string): string {
  const named = path.replace(/\?.*$/, "").replace(/\{[^}]*\}$|(?<=\/)[A-Z]+$/, "{}");
  return `${method.toUpperCase()} ${named}`;
}

test("every documented route is described with its scope, and every described one is documented", async (t) => {
  const { request } = await startGateway(t);
  const api = (await (await request("/openapi.json")).json()) as {
    openapi: string;
    paths: Record<string, Record<string, { security: { key: string[] }[]; responses: Record<string, { description: string }> }>>;
  };
  assert.equal(api.openapi, "3.1.0");
  const described = new Map<string, string>();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, { security }] of Object.entries(operations)) {
      described.set(normal(method, path), security[0]?.key[0] ?? "none");
    }
  }
  const text = readFileSync(join(projectRoot, "docs/protocol.md"), "utf8");
  const documented = new Map<string, string>();
  for (const [, method = "", path = "", scope = ""] of text.matchAll(/^\| `(GET|POST|DELETE) ([^ `]+)` \| (\w+) \|/gm)) {
    documented.set(normal(method, path), scope);
  }
  assert.ok(documented.size > 10);
  assert.deepEqual(described, documented);
});

test("schemas and errors are there", async (t) => {
  const { gateway, request } = await startGateway(t);
  const text = await (await request("/openapi.json")).text();
  const api = JSON.parse(text) as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: { properties?: object } }> } }>>;
  };
  const query = api.paths["/v1/query"]?.["post"]?.requestBody?.content["application/json"]?.schema.properties ?? {};
  assert.deepEqual(Object.keys(query), ["metrics", "dimensions", "filters", "timeRange", "granularity", "source", "cacheTTL"]);
  for (const route of gateway.routes) for (const code of route.errors) assert.ok(isErrorCode(code) && text.includes(code), code);
});
