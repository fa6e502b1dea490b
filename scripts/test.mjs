/**
 * `npm test`: prepare, lint, format check, QuestDB and Java, then every test, in two lanes at once.
 * `npm test -- PATTERN ...`: only the test files whose path contains one of the patterns, without lint and format check.
 *
 *   quick lane   *.test.ts, *.property.test.ts, *.model.test.ts    as many files at once as there are cores, less one
 *   heavy lane   *.integration.test.ts, *crash.test.ts             one file at a time: each starts servers of its own
 *
 * Both lanes report into one reporter; the last lines are its counts, summed up. Exit code 1 when anything failed.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism, homedir } from "node:os";
import { join, relative } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { pathToFileURL } from "node:url";
import { prepare, projectRoot, runScript, ScriptError } from "./prepare.mjs";

const FILE_TIMEOUT_MS = 5 * 60_000;
const heavyFile = /[/.](integration|crash)\.test\.js$/;
const diagnosticNames = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo"];

await runScript(async () => {
  const startMs = Date.now();
  const patterns = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
  await prepare();
  if (patterns.length === 0) await checkStyle();
  const files = findTests(patterns);
  if (files.length === 0) throw new ScriptError(`no test file matches ${patterns.join(" ") || "dist/test/**/*.test.js"}`);
  const heavy = files.filter((file) => heavyFile.test(file));
  const quick = files.filter((file) => !heavyFile.test(file));
  if (heavy.length > 0) await prepareQuestDb();
  const totals = await runLanes(quick, heavy, startMs);
  if (totals.fail > 0 || totals.cancelled > 0 || totals.tests === 0) process.exitCode = 1;
});

async function checkStyle() {
  await runTool("lint", ["node_modules/oxlint/bin/oxlint"]);
  await runTool("format check (`npm run format` mends it)", ["node_modules/oxfmt/bin/oxfmt", "--check"]);
}

function runTool(what, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: projectRoot, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new ScriptError(`${what} failed; see above.`))));
  });
}

function findTests(patterns) {
  const root = join(projectRoot, "dist", "test");
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true })
    .map((name) => join(root, name))
    .filter((file) => file.endsWith(".test.js"))
    .filter(
      (file) => patterns.length === 0 || patterns.some((pattern) => withoutExtension(file).includes(withoutExtension(pattern))),
    )
    .sort();
}

/** Paths are compared without folder and extension, so that the name of the .ts source matches too. */
function withoutExtension(path) {
  return relative(projectRoot, join(projectRoot, path.replace(join(projectRoot, "dist"), ""))).replace(/\.(ts|js)$/, "");
}

/** Fetched before the tests, so that no test waits for a download. */
async function prepareQuestDb() {
  const file = join(projectRoot, "dist", "storage", "questdb", "runtime.js");
  const { prepareRuntime, cacheFolder } = await import(pathToFileURL(file).href);
  const progress = (text) => console.error(`weir: ${text}`);
  try {
    await prepareRuntime({ env: process.env, home: homedir(), cache: cacheFolder(process.env, projectRoot), progress });
  } catch (error) {
    throw new ScriptError(`the integration tests need QuestDB and Java. ${error.message}`);
  }
}

async function runLanes(quick, heavy, startMs) {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.once(signal, () => {
      process.exitCode = 1;
      stop.abort();
    });
  }
  const lane = (files, concurrency) =>
    files.length === 0 ? [] : run({ files, concurrency, timeout: FILE_TIMEOUT_MS, signal: stop.signal });
  const lanes = [lane(quick, Math.max(1, availableParallelism() - 1)), lane(heavy, 1)];
  const totals = Object.fromEntries(diagnosticNames.map((name) => [name, 0]));
  await pipeline(Readable.from(mergeReports(lanes, totals, startMs)), new spec(), process.stdout, { end: false });
  return totals;
}

/** One lane's report after the other; their closing counts are taken out and added up at the end. */
async function* mergeReports(lanes, totals, startMs) {
  for (const lane of lanes) {
    for await (const event of lane) {
      const [name, value] = event.type === "test:diagnostic" && event.data.nesting === 0 ? event.data.message.split(" ") : [];
      if (name in totals) totals[name] += Number(value);
      else if (name !== "duration_ms" && event.type !== "test:summary") yield event;
    }
  }
  const duration = ["duration_ms", Date.now() - startMs];
  for (const [name, value] of [...Object.entries(totals), duration]) {
    yield { type: "test:diagnostic", data: { nesting: 0, message: `${name} ${value}`, level: "info" } };
  }
}
