import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { FakeServer } from "../client/fake-server.ts";
import { runCli, type CliResult } from "./run-cli.ts";

let folder: string;
let server: FakeServer;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-cli-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(() => server.stop());

function weir(args: readonly string[], stdin?: string): Promise<CliResult> {
  return runCli(args, { env: { WEIR_URL: server.url, WEIR_KEY: "weir_demo_good" }, ...(stdin !== undefined && { stdin }) });
}

function ndjson(count: number, more: Record<string, unknown> = {}): string {
  const line = (at: number) => JSON.stringify({ eventId: `e${at}`, timestamp: "2015-05-17T10:05:00.000Z", ...more });
  return `${Array.from({ length: count }, (_, at) => line(at)).join("\n")}\n`;
}

test("help has examples and exit codes for every command", async () => {
  const { code, stdout } = await weir(["--help"]);
  assert.equal(code, 0);
  for (const command of ["serve", "send", "watch", "query", "keys", "metrics", "sessions", "dead-letters", "audit"]) {
    assert.match(stdout, new RegExp(`^  ${command}`, "m"));
  }
  const help = await weir(["serve", "--help"]);
  assert.match(help.stdout, /--questdb-http-port/);
  assert.match(help.stdout, /WEIR_SNAPSHOT_EVERY_MS/);
  assert.match(help.stdout, /Exit codes/);
});

test("wrong usage is 64", async () => {
  const results = await Promise.all([
    weir(["send"]),
    weir(["nonsense"]),
    weir(["send", "x", "--rate", "many"]),
    weir(["query", "--metrics", "a"]),
    weir(["audit"].concat("--data", "x", "--url", "y")),
  ]);
  assert.deepEqual(
    results.map(({ code }) => code),
    [64, 64, 64, 64, 64],
  );
  assert.match(results[3]?.stderr ?? "", /--last/);
});

test("send streams gzip and plain files, batched and shifted by whole days", async () => {
  const packed = join(folder, "a.ndjson.gz");
  writeFileSync(packed, gzipSync(ndjson(25)));
  const { code, stdout, stderr } = await weir(["send", packed, "--batch", "10", "--shift-days", "auto", "--json"]);
  assert.equal(code, 0, stderr);
  const summary = JSON.parse(stdout) as Record<string, unknown>;
  const { sent, accepted, duplicates, failed, badLines } = summary;
  assert.deepEqual(
    { sent, accepted, duplicates, failed, badLines },
    { sent: 25, accepted: 25, duplicates: 0, failed: {}, badLines: 0 },
  );
  assert.deepEqual(
    server.frames.map((frame) => frame.events.length),
    [10, 10, 5],
  );
  const shifted = Number(server.frames[0]?.events[0]?.["timestamp"]);
  assert.ok(shifted <= Date.now() && shifted > Date.now() - 86_400_000);
  assert.equal(shifted % 86_400_000, Date.parse("2015-05-17T10:05:00.000Z") % 86_400_000);
});

test("send goes on past bad lines and failed events, counts them, and ends with 2", async () => {
  const input = `${ndjson(2)}{broken\n[1]\n\n${ndjson(3)}{"eventId":"x","eventType":"bad"}\n{"eventType":"none"}\n`;
  const { code, stdout, stderr } = await weir(["send", "-"], input);
  assert.equal(code, 2);
  assert.match(stderr, /WEIR_FILE_INVALID: .*\(-:3\)/);
  assert.match(stderr, /WEIR_FILE_INVALID: not a JSON object \(-:4\)/);
  assert.match(stdout, /^sent +7$/m);
  assert.match(stdout, /^accepted +4$/m);
  assert.match(stdout, /^duplicates +2$/m);
  assert.match(stdout, /^failed +1 WEIR_EVENT_FIELD_TYPE$/m);
  assert.match(stdout, /^bad lines +2$/m);
  const last = server.frames.at(-1)?.events.at(-1);
  assert.deepEqual(last, { eventType: "none" }, "no id is made up for a line of a file");
});

test("send holds a rate", async () => {
  const { stdout } = await weir(["send", "-", "--rate", "100/s", "--batch", "10", "--json"], ndjson(40));
  const { seconds, accepted } = JSON.parse(stdout) as { seconds: number; accepted: number };
  assert.equal(accepted, 40);
  assert.ok(seconds >= 0.38, `${seconds} s`);
});

test("a missing file, a wrong key, no key, and no server end with 1 and a code", async () => {
  const [file, wrongKey, noServer, noKey] = await Promise.all([
    weir(["send", join(folder, "missing.ndjson")]),
    runCli(["send", "-"], { env: { WEIR_URL: server.url, WEIR_KEY: "weir_demo_bad" }, stdin: ndjson(1) }),
    weir(["metrics", "list", "--url", "http://127.0.0.1:9", "--json"]),
    runCli(["metrics", "list"]),
  ]);
  assert.deepEqual([file?.code, wrongKey?.code, noServer?.code, noKey?.code], [1, 1, 1, 1]);
  assert.match(file?.stderr ?? "", /^WEIR_FILE_INVALID: .*missing\.ndjson/);
  assert.match(wrongKey?.stderr ?? "", /^WEIR_AUTH_KEY_UNKNOWN: /);
  assert.equal((JSON.parse(noServer?.stderr ?? "") as { error: { code: string } }).error.code, "WEIR_CLIENT_UNREACHABLE");
  assert.match(noKey?.stderr ?? "", /^WEIR_AUTH_KEY_MISSING: [^\n]*\n.*weir keys create/);
});

test("watch prints a line per change and stops after --count", async () => {
  server.onMessage = (message, connection) => {
    if (message["t"] !== "sub") return;
    const place = { channel: "events@1h", epoch: "a", window: { from: 0, to: 3_600_000 } };
    connection.send({ t: "snap", id: message["id"], ...place, seq: 1, cause: "snapshot", values: [{ country: "DE", count: 1 }] });
    // Once the first has been seen: changes that wait together are joined.
    setTimeout(() => {
      connection.send({ t: "delta", every: 1000, ...place, seq: 2, cause: "live", values: [{ country: "DE", count: 2 }] });
    }, 100);
  };
  const args = ["watch", "events@1h", "--every", "1000", "--count", "2"];
  const [plain, json] = await Promise.all([weir(args), weir([...args, "--json"])]);
  assert.equal(plain?.code, 0);
  assert.equal(
    plain?.stdout,
    "1970-01-01T01:00:00Z snapshot 1 country=DE count=1\n1970-01-01T01:00:00Z live 2 country=DE count=2\n",
  );
  const changes = (json?.stdout ?? "")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    changes.map(({ channel, seq, cause }) => [channel, seq, cause]),
    [
      ["events@1h", 1, "snapshot"],
      ["events@1h", 2, "live"],
    ],
  );
});

test("query asks with options or a body and prints a table, CSV or JSON", async () => {
  const bodies: unknown[] = [];
  const metadata = { totalRows: 2, executionTime: 3, dataSource: "live", dataFreshness: 4, truncated: false };
  const data = [
    { time: "2026-01-01T00:00:00Z", country: 'D"E', "events.count": 1234 },
    { time: "2026-01-01T00:00:00Z", country: null, "events.count": 1 },
  ];
  server.routes.set("POST /v1/query", (body) => {
    bodies.push(body);
    return { status: 200, body: { data, metadata } };
  });
  const filters = ["--filter", "country=DE|AT", "--filter", "eventType!=x"];
  const table = await weir(["query", "--metrics", "events.count", "--dimensions", "country", "--last", "1h", ...filters]);
  assert.equal(
    table.stdout,
    [
      "TIME                  COUNTRY  EVENTS.COUNT",
      '2026-01-01T00:00:00Z  D"E             1,234',
      "2026-01-01T00:00:00Z  -                   1\n",
    ].join("\n"),
  );
  const csv = await weir(["query", "--csv", "-"], '{"metrics":["m"],"timeRange":{"from":1,"to":2}}');
  assert.equal(csv.stdout, 'time,country,events.count\r\n2026-01-01T00:00:00Z,"D""E",1234\r\n2026-01-01T00:00:00Z,,1\n');
  const json = await weir([
    "query",
    "--json",
    "--metrics",
    "a,b",
    "--from",
    "1",
    "--to",
    "2026-01-01T00:00:00Z",
    "--granularity",
    "1h",
  ]);
  assert.deepEqual(JSON.parse(json.stdout), { data, metadata });
  assert.deepEqual(bodies, [
    {
      metrics: ["events.count"],
      dimensions: ["country"],
      timeRange: { last: "1h" },
      filters: [
        { dimension: "country", op: "in", value: ["DE", "AT"] },
        { dimension: "eventType", op: "ne", value: "x" },
      ],
    },
    { metrics: ["m"], timeRange: { from: 1, to: 2 } },
    { metrics: ["a", "b"], timeRange: { from: 1, to: "2026-01-01T00:00:00Z" }, granularity: "1h" },
  ]);
});

test("a problem of the server is printed with its code and path", async () => {
  const problem = { code: "WEIR_METRIC_INVALID", detail: "Not valid.", path: "aggregates", retryable: false };
  server.routes.set("POST /v1/metrics-catalog", () => ({ status: 422, body: problem }));
  const { code, stderr } = await weir(["metrics", "define", "-"], '{"name":"x"}');
  assert.equal(code, 1);
  assert.equal(stderr, "WEIR_METRIC_INVALID: Not valid. (aggregates)\n");
});

test("dead letters are listed, and sent again as they were", async () => {
  const letter = { host: 0, offset: 3, index: 1, path: null, ingestTimeMs: 0 };
  const letters = [
    { ...letter, code: "WEIR_EVENT_LATE", eventId: "e1", raw: '{"eventId":"e1"}' },
    { ...letter, code: "WEIR_EVENT_FIELD_TYPE", eventId: "e2", raw: '{"eventId":"e2","eventType":"bad"}' },
    { ...letter, code: "WEIR_FRAME_MALFORMED", eventId: "", raw: "garbage" },
  ];
  const ledger = { received: 3, accepted: 0, duplicate: 0, late: 1, invalid: 2, imbalance: 0 };
  server.routes.set("GET /v1/dead-letters", (_, request) => {
    assert.equal(request.url, "/v1/dead-letters?limit=100");
    return { status: 200, body: { deadLetters: letters, ledger } };
  });
  const list = await weir(["dead-letters"]);
  assert.equal(list.code, 0);
  assert.match(list.stdout, /WEIR_EVENT_LATE .*0:3\/1/);
  const { code, stdout } = await weir(["dead-letters", "--replay", "--json"]);
  assert.equal(code, 2);
  const { replayed } = JSON.parse(stdout) as { replayed: { verdict: string }[] };
  assert.deepEqual(
    replayed.map(({ verdict }) => verdict),
    ["accepted", "WEIR_EVENT_FIELD_TYPE", "not an event"],
  );
  assert.deepEqual(server.frames[0]?.events, [{ eventId: "e1" }, { eventId: "e2", eventType: "bad" }]);
});

test("keys are made, listed and revoked in a data directory", async () => {
  const env = { WEIR_DATA: join(folder, "data") };
  const made = await runCli(["keys", "create", "--tenant", "shop", "--scopes", "write,read", "--json"], { env });
  assert.equal(made.code, 0, made.stderr);
  const { key, keyId, tenant, scopes } = JSON.parse(made.stdout) as Record<string, unknown>;
  assert.match(String(key), /^weir_shop_/);
  assert.deepEqual({ tenant, scopes }, { tenant: "shop", scopes: ["write", "read"] });
  const list = await runCli(["keys", "list", "--json"], { env });
  const { keys } = JSON.parse(list.stdout) as { keys: { keyId: string; tenant: string }[] };
  assert.deepEqual(
    keys.map((each) => [each.keyId, each.tenant]),
    [[keyId, "shop"]],
  );
  assert.equal((await runCli(["keys", "revoke", String(keyId)], { env })).code, 0);
  const again = await runCli(["keys", "revoke", String(keyId)], { env });
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^WEIR_AUTH_KEY_UNKNOWN: /);
  assert.equal((await runCli(["keys", "create", "--scopes", "all"], { env })).code, 64);
});
