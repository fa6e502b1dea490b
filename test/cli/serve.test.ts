/** The built command with a whole server behind it, without a warehouse. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { projectRoot } from "../support/project.ts";
import { runCli } from "./run-cli.ts";

const weir = fileURLToPath(new URL("../../cli/weir.js", import.meta.url));
const demo = fileURLToPath(new URL("../../cli/demo.js", import.meta.url));
const sample = join(projectRoot, "samples", "web-2015-05.ndjson.gz");

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-serve-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function serve(t: TestContext, data: string): Promise<{ child: ChildProcess; addresses: Record<string, string> }> {
  const args = [
    weir,
    "serve",
    "--port",
    "0",
    "--questdb",
    "off",
    "--data",
    data,
    "--partitions",
    "4",
    "--json",
    "--log-level",
    "error",
  ];
  const child = spawn(process.execPath, args, { env: { PATH: process.env["PATH"] }, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  return { child, addresses: JSON.parse(line) as Record<string, string> };
}

test("serve, a key beside it, send twice, ask, watch, and drain on SIGTERM", { timeout: 120_000 }, async (t) => {
  const data = join(temporaryFolder(t), "data");
  const { child, addresses } = await serve(t, data);
  assert.match(addresses["key"] ?? "", /^weir_demo_/);
  const made = await runCli(["keys", "create", "--tenant", "shop", "--data", data, "--json", "--scopes", "write,read,admin"]);
  const { key } = JSON.parse(made.stdout) as { key: string };
  const env = { WEIR_URL: addresses["url"] ?? "", WEIR_KEY: key };
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli([...args, "--json"], { env });
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const first = await json("send", sample, "--shift-days", "auto");
  assert.deepEqual([first["sent"], first["accepted"], first["duplicates"]], [9999, 9999, 0]);
  const second = await json("send", sample, "--shift-days", "auto");
  assert.deepEqual([second["accepted"], second["duplicates"]], [0, 9999]);
  const { data: rows } = await json("query", "--metrics", "events.count", "--last", "7d");
  assert.equal((rows as Record<string, unknown>[])[0]?.["events.count"], 9999);
  const change = await json("watch", "events@day", "--count", "1");
  assert.equal(change["cause"], "snapshot");
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("a data directory in use is a coded error with exit code 1", { timeout: 60_000 }, async (t) => {
  const data = join(temporaryFolder(t), "data");
  await serve(t, data);
  const { code, stderr } = await runCli(["serve", "--port", "0", "--questdb", "off", "--data", data]);
  assert.equal(code, 1);
  assert.match(stderr, /^WEIR_START_DATA_IN_USE: [^\n]*\n[^\n]*--data/m);
});

test("the demo runs through and ends", { timeout: 120_000 }, async (t) => {
  const child = spawn(process.execPath, [demo, "--once", "--questdb", "off", "--file", sample], {
    cwd: temporaryFolder(t),
    env: { PATH: process.env["PATH"] },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 0, output);
  assert.match(output, /^events +9,999$/m);
  assert.match(output, /^events: page_view +3,187$/m);
  assert.match(output, /^requests: desktop +6,735$/m);
});
