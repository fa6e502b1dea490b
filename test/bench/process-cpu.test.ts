import assert from "node:assert/strict";
import { test } from "node:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { childrenCpuUs, parsePsTime, parseStat, processCpuUs } from "../../bench/process-cpu.ts";

test("reads utime and stime of /proc/PID/stat, whatever the command is called", () => {
  assert.equal(parseStat("42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 75 0 0 20 0 11 0 1 2 3"), 3_250_000);
});

test("reads the times that ps prints", () => {
  assert.equal(parsePsTime("00:01:02\n"), 62_000_000);
  assert.equal(parsePsTime("1-00:00:01"), 86_401_000_000);
  assert.equal(parsePsTime("0:02.50"), 2_500_000);
});

test("the CPU time of a process grows with its work", () => {
  const before = processCpuUs(process.pid);
  const own = process.cpuUsage();
  // Until this process itself says that it has used 50 ms.
  while (process.cpuUsage(own).user + process.cpuUsage(own).system < 50_000);
  assert.ok(processCpuUs(process.pid) > before);
});

test("the CPU time of children is that of the ones that run", { skip: !existsSync("/proc") }, async (context) => {
  const before = childrenCpuUs(process.pid);
  const busy =
    "const own = process.cpuUsage(); while (process.cpuUsage(own).user < 50_000); process.send('done'); setInterval(() => {}, 1e6)";
  const child = spawn(process.execPath, ["--eval", busy], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  context.after(() => child.kill("SIGKILL"));
  await once(child, "message");
  assert.ok(childrenCpuUs(process.pid) >= before + 50_000);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(childrenCpuUs(process.pid), before);
});
