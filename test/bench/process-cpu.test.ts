import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { parsePsTime, parseStat, parseStatOfEnded, processCpuUs, processTreeCpuUs } from "../../bench/process-cpu.ts";

test("reads utime and stime of /proc/PID/stat, whatever the command is called", () => {
  assert.equal(parseStat("42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 75 0 0 20 0 11 0 1 2 3"), 3_250_000);
  assert.equal(parseStatOfEnded("42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 75 4 3 20 0 11 0 1 2 3"), 70_000);
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

test("the CPU time of a tree has that of a process's children", async () => {
  const busy = "const start = process.cpuUsage(); while (process.cpuUsage(start).user < 100_000);";
  const childsChild = `require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(`${busy} process.stdout.write("done"); setInterval(() => {}, 1_000)`)}], { stdio: "inherit" })`;
  const child = spawn(process.execPath, [
    "-e",
    `const own = ${childsChild}; process.on("SIGTERM", () => own.kill("SIGKILL") && process.exit())`,
  ]);
  try {
    await once(child.stdout, "data");
    const pid = child.pid ?? 0;
    assert.ok(processTreeCpuUs(pid) - processCpuUs(pid) >= 100_000);
  } finally {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});
