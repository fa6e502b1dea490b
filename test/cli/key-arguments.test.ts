/** Where the command line takes keys and authorities from, and that a key on it does not stay in the list of processes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { keyOf } from "../../cli/connect-options.ts";
import { UsageError } from "../../cli/failure.ts";
import { FakeServer } from "../client/fake-server.ts";
import { temporaryFolder } from "../storage/temporary-folder.ts";
import { writeCertificate } from "../support/certificate.ts";
import { eventually, startRealServer } from "../support/real-server.ts";
import { freePort } from "../support/server-process.ts";
import { runCli } from "./run-cli.ts";

const KEY = "weir_demo_good";

test("a key comes from a file or the environment; not from two places, nor from a file without one", (t) => {
  const folder = temporaryFolder(t);
  const [file, empty] = [join(folder, "key"), join(folder, "empty")];
  writeFileSync(file, `${KEY}\n`);
  writeFileSync(empty, "two words");
  const { WEIR_KEY, WEIR_KEY_FILE } = process.env;
  t.after(() => Object.assign(process.env, { WEIR_KEY: WEIR_KEY ?? "", WEIR_KEY_FILE: WEIR_KEY_FILE ?? "" }));
  Object.assign(process.env, { WEIR_KEY: "", WEIR_KEY_FILE: "" });
  assert.equal(keyOf({}), undefined);
  assert.equal(keyOf({ keyFile: file }), KEY);
  Object.assign(process.env, { WEIR_KEY_FILE: file });
  assert.equal(keyOf({}), KEY);
  Object.assign(process.env, { WEIR_KEY: "weir_demo_other" });
  assert.equal(keyOf({}), "weir_demo_other");
  assert.equal(keyOf({ keyFile: file }), KEY, "what is said wins over what stands around");
  assert.throws(() => keyOf({ keyFile: file, key: KEY }), UsageError);
  assert.throws(() => keyOf({ keyFile: "-" }, "events"), UsageError);
  assert.throws(() => keyOf({ keyFile: join(folder, "none") }), { code: "ENOENT" });
  assert.throws(
    () => keyOf({ keyFile: empty }),
    (error: Error) => error instanceof UsageError && !error.message.includes("two words"),
  );
});

test("a key on stdin works; one on the command line does, with a warning", async (t) => {
  const server = await FakeServer.start();
  t.after(() => server.stop());
  server.routes.set("GET /v1/metrics-catalog", (_, { headers }) =>
    headers.authorization === `Bearer ${KEY}` ? { status: 200, body: { metrics: [] } } : { status: 500 },
  );
  const env = { WEIR_URL: server.url };
  const [stdin, visible] = await Promise.all([
    runCli(["metrics", "list", "--json", "--key-file", "-"], { env, stdin: `${KEY}\n` }),
    runCli(["metrics", "list", "--key", KEY], { env }),
  ]);
  assert.deepEqual([stdin.code, stdin.stderr], [0, ""]);
  assert.equal(visible.code, 0);
  assert.match(visible.stderr, /^warning: others can see --key/);
});

test(
  "a key on the command line does not stay in the list of processes",
  { skip: !existsSync("/proc/self/cmdline") },
  async (t) => {
    const weir = fileURLToPath(new URL("../../cli/weir.js", import.meta.url));
    // It waits for stdin to end.
    const child = spawn(process.execPath, [weir, "send", "-", "--url", "http://127.0.0.1:9", "--key", KEY], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    t.after(() => child.kill("SIGKILL"));
    const commandLine = () => readFileSync(`/proc/${child.pid}/cmdline`, "utf8");
    await eventually(() => commandLine().startsWith("weir"), "the command has begun");
    assert.ok(!commandLine().includes(KEY));
  },
);

test("--ca and WEIR_CA trust the authority of a server with TLS, for every command", async (t) => {
  const folder = temporaryFolder(t);
  const { certFile, keyFile } = writeCertificate(folder);
  const port = await freePort();
  const real = await startRealServer({ hostThreads: 0, partitions: 1, port, tlsCert: certFile, tlsKey: keyFile });
  t.after(() => real.close());
  const env = { WEIR_URL: `https://127.0.0.1:${port}`, WEIR_KEY: await real.newKey("shop") };
  const event = { sessionId: "s", eventType: "view", eventCategory: "web", properties: {}, source: "test", version: "1" };
  const context = { userAgent: "", ipAddress: "", deviceType: "", platform: "" };
  const line = JSON.stringify({ ...event, eventId: "a", timestamp: Date.now(), context, environment: "test" });
  const [sent, distrusted] = await Promise.all([
    runCli(["send", "-", "--ca", certFile, "--json"], { env, stdin: `${line}\n` }),
    runCli(["metrics", "list"], { env }),
  ]);
  assert.equal(sent.code, 0, sent.stderr + sent.stdout);
  assert.equal(distrusted.code, 1);
  assert.match(distrusted.stderr, /^WEIR_CLIENT_UNREACHABLE: .*SELF_SIGNED_CERT/);
  const audited = await runCli(["audit", "--url", env.WEIR_URL, "--json"], { env: { ...env, WEIR_CA: certFile } });
  assert.equal(audited.code, 0, audited.stderr);
  const { figures } = JSON.parse(audited.stdout) as { figures: { accepted: number }[] };
  assert.equal(
    figures.reduce((sum, { accepted }) => sum + accepted, 0),
    1,
  );
});
