/** What a QuestDB in trouble answers, played by a small HTTP server: a suspended table, a proxy's page, a slow statement. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { QuestDbHttp } from "../../../storage/questdb/http.ts";
import { waitForApplied, warehouseHealth } from "../../../storage/questdb/reads.ts";
import { QuestDbWarehouse } from "../../../storage/questdb/sender.ts";

let answer: { status: number; body: string } | undefined;
const seen: string[] = [];
const server = createServer((request, response) => {
  seen.push(`${request.headers.authorization ?? ""} ${request.method} ${decodeURIComponent(request.url ?? "")}`);
  if (answer === undefined) return;
  response.writeHead(answer.status, { "content-type": "application/json" });
  response.end(answer.body);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const http = new QuestDbHttp({ url, user: "admin", password: "quest" });
const { signal } = new AbortController();

after(async () => {
  await http.close();
  server.closeAllConnections();
  server.close();
});

test("a suspended table is seen and not waited for", async () => {
  const rows = [
    ["events", true, 3, 9, "disk full"],
    ["sessions", false, 5, 5, ""],
    ["someone_elses", true, 1, 2, ""],
  ];
  answer = { status: 200, body: JSON.stringify({ columns: [], dataset: rows }) };
  assert.deepEqual(await warehouseHealth(http), [
    { table: "events", suspended: true, lagTransactions: 6, error: "disk full" },
    { table: "sessions", suspended: false, lagTransactions: 0, error: undefined },
  ]);
  await assert.rejects(waitForApplied(http, "events", signal), { code: "WEIR_WAREHOUSE_UNAVAILABLE" });
  await waitForApplied(http, "sessions", signal);
  assert.match(seen[0] ?? "", /^Basic YWRtaW46cXVlc3Q= GET \/exec\?query=SELECT/);
});

test("waiting for rows ends with its signal", async () => {
  answer = { status: 200, body: JSON.stringify({ dataset: [["events", false, 3, 9, ""]] }) };
  const abort = new AbortController();
  const waiting = waitForApplied(http, "events", abort.signal);
  abort.abort(new Error("closing"));
  await assert.rejects(waiting, /closing|aborted/);
});

test("what is no answer of QuestDB is an error", async () => {
  answer = { status: 502, body: "<html>bad gateway</html>" };
  await assert.rejects(http.exec("SELECT 1"), { code: "WEIR_QUESTDB_UNREACHABLE" });
  answer = { status: 200, body: '{"dataset":[[1],' };
  await assert.rejects(http.exec("SELECT 1"), { code: "WEIR_QUERY_FAILED" });
  answer = { status: 401, body: "no" };
  await assert.rejects(http.exec("SELECT 1"), { code: "WEIR_QUERY_FAILED" });
});

test("a statement that takes too long ends at its deadline, or when its caller gives up", async () => {
  answer = undefined;
  const impatient = new QuestDbHttp({ url, timeoutMs: 50 });
  await assert.rejects(impatient.exec("SELECT 1"), { code: "WEIR_QUERY_TIMEOUT" });
  await impatient.close();
  const abort = new AbortController();
  const asked = http.exec("SELECT 1", abort.signal);
  abort.abort(new Error("gave up"));
  await assert.rejects(asked, /gave up/);
});

test("only a 400 is about the rows; everything else is worth another try", async () => {
  const warehouse = new QuestDbWarehouse({ url });
  const row = [1, "t", "s", null, "open", 2, 1, 1, "{}", 3];
  answer = { status: 400, body: JSON.stringify({ code: "invalid", message: "error in line 1: no" }) };
  await assert.rejects(warehouse.write("sessions", [row], signal), {
    code: "WEIR_QUESTDB_ROW_REFUSED",
    message: /error in line 1/,
  });
  for (const status of [401, 413, 421, 500, 503]) {
    answer = { status, body: "no" };
    await assert.rejects(warehouse.write("sessions", [row], signal), { code: "WEIR_QUESTDB_UNREACHABLE" });
  }
  answer = { status: 204, body: "" };
  seen.length = 0;
  const small = new QuestDbWarehouse({ url, rowsPerRequestMax: 2 });
  await small.write("sessions", [row, row, row, row, row], signal);
  assert.equal(seen.length, 3);
  await small.close();
  await warehouse.close();
});
