/** What an owner that was killed leaves behind is ended; what belongs to someone alive, or to nobody of ours, is left alone. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { endLeftProcess, rememberProcess } from "../../../storage/questdb/left-process.ts";
import { claimPort } from "../../../storage/questdb/port.ts";

const root = mkdtempSync(join(tmpdir(), "weir-left-"));
const file = join(root, "questdb-process.json");
const children: ChildProcess[] = [];

after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

/** A process that runs until it is ended, with `argument` in its command line. */
async function sleeper(argument: string): Promise<ChildProcess> {
  const script = "process.stdout.write('up'); setInterval(() => undefined, 1_000)";
  const child = spawn(process.execPath, ["-e", script, argument], { stdio: ["ignore", "pipe", "ignore"] });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

function deadPid(): number {
  return spawnSync(process.execPath, ["-e", ""]).pid;
}

test("the process of a dead owner is ended", async () => {
  const child = await sleeper(root);
  writeFileSync(file, JSON.stringify({ pid: child.pid, owner: deadPid() }));
  const ended = once(child, "exit");
  await endLeftProcess(root);
  assert.deepEqual(await ended, [null, "SIGTERM"]);
  assert.equal(existsSync(file), false);
});

test("the process of a living owner is not touched", async () => {
  const child = await sleeper(root);
  await rememberProcess(root, child.pid ?? 0);
  await assert.rejects(endLeftProcess(root), { code: "WEIR_START_DATA_IN_USE" });
  assert.equal(child.exitCode, null);
});

test("a number that went to another program is not touched", async () => {
  const child = await sleeper("another folder");
  writeFileSync(file, JSON.stringify({ pid: child.pid, owner: deadPid() }));
  await endLeftProcess(root);
  assert.equal(child.exitCode ?? child.signalCode, null);
});

test("a damaged or missing note is no reason not to start", async () => {
  for (const content of ["", "null", "[]", '{"pid":"x","owner":1}']) {
    writeFileSync(file, content);
    await endLeftProcess(root);
  }
  rmSync(file, { force: true });
  await endLeftProcess(root);
});

test("port 0 is any free one", async () => {
  assert.ok((await claimPort(0)) > 0);
});
