/** Settings: sources and their order, every kind of mistake, and the pages made from the schema. */
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { errorCodes } from "../../protocol/error-codes.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { describeConfig, parseConfig } from "../../server/config.ts";
import { configurationMarkdown, errorsMarkdown } from "../../server/docs.ts";

test("defaults", () => {
  const config = parseConfig({});
  assert.deepEqual([config.port, config.host, config.data, config.questdb], [7070, "127.0.0.1", "./data", "managed"]);
  assert.equal(config.partitions, Math.max(4, 2 * availableParallelism()));
  assert.ok(config.hostThreads >= 1);
  assert.equal(config.paneRetentionMs, config.allowedLatenessMs);
  assert.equal(config.questdbJar, undefined);
  assert.deepEqual(config.allowedOrigins, []);
});

test("flags win over variables, variables over defaults", () => {
  const env = { WEIR_PORT: "1", WEIR_SNAPSHOT_EVERY_MS: "500", HOME: "/root", WEIR_KEY: "of the client" };
  const config = parseConfig({ flags: { port: "2", host: undefined, hostThreads: 0 }, env });
  assert.deepEqual([config.port, config.snapshotEveryMs, config.hostThreads, config.host], [2, 500, 0, "127.0.0.1"]);
  assert.equal(parseConfig({ env: { WEIR_QUESTDB: "http://db:9000" } }).questdb, "http://db:9000");
  const { allowedOrigins } = parseConfig({ flags: { allowedOrigins: " https://Dash.example,http://localhost:8080, " } });
  assert.deepEqual(allowedOrigins, ["https://dash.example", "http://localhost:8080"]);
  assert.equal(parseConfig({ env: { WEIR_ALLOWED_LATENESS_MS: String(DAY_MS) } }).paneRetentionMs, DAY_MS);
});

test("mistakes are refused with the name of the setting", () => {
  const refused = (sources: Parameters<typeof parseConfig>[0], path: string) =>
    assert.throws(() => parseConfig(sources), { code: "WEIR_CONFIG_INVALID", path });
  refused({ flags: { colour: "red" } }, "colour");
  refused({ flags: { toString: "x" } }, "toString");
  refused({ env: { WEIR_PROT: "1" } }, "WEIR_PROT");
  for (const port of ["", "1.5", "1e3", "0x10", "-1", "65536", true, null]) refused({ flags: { port } }, "port");
  refused({ flags: { questdb: "maybe" } }, "questdb");
  refused({ flags: { questdb: "ftp://db" } }, "questdb");
  refused({ flags: { logLevel: "loud" } }, "logLevel");
  refused({ flags: { warehouseFlushMs: 30_001 } }, "warehouseFlushMs");
  for (const origins of ["dash.example", "https://dash.example/path", "https://a.example b", 7]) {
    refused({ flags: { allowedOrigins: origins } }, "allowedOrigins");
  }
  refused({ flags: { paneRetentionMs: DAY_MS } }, "paneRetentionMs");
  refused({ flags: { paneFineRetentionMs: 2 * DAY_MS } }, "paneFineRetentionMs");
});

test("every setting is described, and its variable is the one that is read", () => {
  const rows = describeConfig();
  assert.deepEqual(
    rows.find((row) => row.name === "warehouseFlushMs"),
    {
      name: "warehouseFlushMs",
      flag: "--warehouse-flush-ms",
      env: "WEIR_WAREHOUSE_FLUSH_MS",
      default: "1000",
      description: "The longest that a row waits for its request. Lower shows rows sooner in more, smaller requests",
    },
  );
  for (const row of rows) {
    assert.notEqual(row.description, "", row.name);
    assert.notEqual(row.default, "undefined", row.name);
  }
  const markdown = configurationMarkdown();
  for (const row of rows) assert.ok(markdown.includes(`| \`${row.flag}\` | \`${row.env}\` | ${row.default} |`), row.name);
});

test("the page of errors has every code", () => {
  const markdown = errorsMarkdown();
  for (const code of Object.keys(errorCodes)) assert.ok(markdown.includes(`| \`${code}\` |`), code);
});

test("origins come as a list, in the form that browsers use", () => {
  const originsOf = (allowedOrigins: string) => parseConfig({ flags: { allowedOrigins } }).allowedOrigins;
  assert.deepEqual(parseConfig({}).allowedOrigins, []);
  assert.deepEqual(originsOf("https://App.example, http://localhost:3000/"), ["https://app.example", "http://localhost:3000"]);
  assert.deepEqual(originsOf("*"), ["*"]);
  for (const wrong of ["app.example", "https://app.example/page", "ftp://app.example"]) {
    assert.throws(() => originsOf(wrong), { code: "WEIR_CONFIG_INVALID" }, wrong);
  }
});
