/** A point kills at the pass that was ordered, in any thread, and only when a test has armed it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { crashPoints } from "../../workers/crash-points.ts";
import { projectFiles } from "../support/project-files.ts";

const module = new URL("../../workers/crash-points.js", import.meta.url).href;
const passing = `const { passPoint } = await import("${module}");
  for (let pass = 1; pass <= 5; pass++) {
    require("node:fs").writeSync(1, pass + " ");
    passPoint("after-append");
    passPoint("after-flush");
  }`;

/** What the program printed, and the signal that ended it. */
async function run(program: string, search: string | undefined): Promise<[printed: string, signal: string | null]> {
  const arm = new URL(`../crash/arm.js${search ?? ""}`, import.meta.url).href;
  const nodeArgs = search === undefined ? [] : ["--import", arm];
  const child = spawn(process.execPath, [...nodeArgs, "-e", `(async () => { ${program} })()`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  child.stderr.resume();
  const [, signal] = (await once(child, "close")) as [number | null, string | null];
  return [printed.trim(), signal];
}

test("the ordered pass kills, and no pass of another point counts", async () => {
  assert.deepEqual(await run(passing, "?point=after-flush&pass=3"), ["1 2 3", "SIGKILL"]);
  assert.deepEqual(await run(passing, "?point=after-flush&pass=6"), ["1 2 3 4 5", null]);
  assert.deepEqual(await run(passing, "?point=in-drain&pass=1"), ["1 2 3 4 5", null]);
});

test("threads are armed by the thread that starts them", async () => {
  const inThread = `new (require("node:worker_threads").Worker)(${JSON.stringify(`(async () => { ${passing} })()`)}, { eval: true });`;
  assert.deepEqual(await run(inThread, "?point=after-append&pass=2"), ["1 2", "SIGKILL"]);
});

test("a process that no test has armed passes every point", async () => {
  assert.deepEqual(await run(passing, undefined), ["1 2 3 4 5", null]);
});

test("an order that names no point stops the program", async () => {
  assert.deepEqual(await run(passing, "?point=nowhere&pass=1"), ["", null]);
});

test("only the crash test arms points, and the code passes each of them", () => {
  const code = projectFiles().filter(({ path }) => /\.(ts|mjs)$/.test(path));
  const arming = code.filter(({ path, text }) => text.includes("armCrashPoint") && path !== "test/workers/crash-points.test.ts");
  assert.deepEqual(
    arming.map(({ path }) => path),
    ["test/crash/arm.ts", "workers/crash-points.ts"],
  );
  const production = code.filter(({ path }) => !path.startsWith("test/")).map(({ text }) => text);
  for (const point of crashPoints) {
    assert.ok(
      production.some((text) => text.includes(`passPoint("${point}")`)),
      `nothing passes ${point}`,
    );
  }
});
