/**
 * Makes a clone ready to run: checks Node, installs what package-lock.json names when that is not installed already,
 * and compiles the TypeScript into dist/ and the programs of wasm/ into dist/wasm/, each when a source of it is newer than its
 * last build. Does nothing when nothing is to do.
 * Plain Node without dependencies: it runs before there are any. Every other script calls `prepare()` first.
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = dirname(dirname(fileURLToPath(import.meta.url)));
const sourceFolders = ["protocol", "actors", "storage", "workers", "server", "client", "cli", "bench", "test"];
const NODE_MAJOR_MIN = 20;

/** What stops a script, with a text for the person who ran it; no stack trace is shown for it. */
export class ScriptError extends Error {}

/** Runs a script's main function: a ScriptError becomes one line on stderr and exit code 1. */
export async function runScript(main) {
  if (process.env.npm_lifecycle_event !== undefined) endWithParent();
  try {
    await main();
  } catch (error) {
    console.error(error instanceof ScriptError ? `weir: ${error.message}` : error);
    process.exitCode = 1;
  }
}

/**
 * npm runs scripts through a shell, and a SIGTERM to npm ends the shell without telling us: we would go on as an orphan.
 * So when the parent changes, we end as if the signal had come to us.
 */
function endWithParent() {
  const parent = process.ppid;
  const watch = () => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
  };
  const timer = setInterval(watch, 200).unref();
}

export async function prepare() {
  checkNode();
  if (!isInstalled()) await step("installing dependencies (npm ci)", install);
  removeOrphans();
  for (const build of builds) if (!isBuilt(build)) await step(build.what, () => run(build));
}

async function step(what, action) {
  const startMs = Date.now();
  console.error(`weir: ${what} ...`);
  await action();
  console.error(`weir: ${what}: done in ${((Date.now() - startMs) / 1000).toFixed(1)} s`);
}

function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major >= NODE_MAJOR_MIN) return;
  throw new ScriptError(`Node ${NODE_MAJOR_MIN} or later is needed; this is ${process.version} (${process.execPath}).`);
}

/** True when npm's record of what it installed names the same versions as package-lock.json. */
function isInstalled() {
  const recordFile = join(projectRoot, "node_modules", ".package-lock.json");
  if (!existsSync(recordFile)) return false;
  const wanted = readJson(join(projectRoot, "package-lock.json")).packages;
  const installed = readJson(recordFile).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const found = installed[path];
    // Optional packages of other platforms are not installed, and rightly so.
    return found === undefined ? entry.optional === true : found.version === entry.version && found.integrity === entry.integrity;
  });
}

async function install() {
  // Install scripts are not needed: the native modules come as prebuilt packages. `checkNatives` proves it.
  const { code, output } = await runCaptured(...npmCommand(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]));
  if (code !== 0) {
    process.stderr.write(output);
    throw new ScriptError(explainInstallFailure(output));
  }
  await checkNatives();
}

function explainInstallFailure(output) {
  const unreachable = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED)\b/;
  if (!unreachable.test(output)) return "`npm ci` failed; its output is above.";
  return (
    "the npm registry could not be reached, so the dependencies are not installed. Check the network, the proxy, and " +
    "`npm config get registry`, then run the same command again."
  );
}

async function checkNatives() {
  const program = 'await import("lmdb"); await import("msgpackr"); await import("uWebSockets.js");';
  const { code, output } = await runCaptured(process.execPath, ["--input-type=module", "--eval", program]);
  if (code === 0) return;
  process.stderr.write(output);
  throw new ScriptError(
    `the native modules do not load on Node ${process.version} (${process.platform} ${process.arch}). ` +
      "Node 20, 22 and 24 on Linux (glibc), macOS and Windows are known to work.",
  );
}

/** Outputs whose source is gone would go on running as tests. */
function removeOrphans() {
  const dist = join(projectRoot, "dist");
  for (const folder of sourceFolders) {
    for (const file of filesUnder(join(dist, folder))) {
      const source = join(projectRoot, file.slice(dist.length + 1).replace(/(\.js\.map|\.js|\.d\.ts)$/, ".ts"));
      if (!existsSync(source)) rmSync(file);
    }
  }
}

/** `mark` is the empty file that marks the time of the last build without errors. */
const typeScriptBuild = {
  what: "compiling TypeScript into dist/",
  mark: join(projectRoot, "dist", ".built"),
  inputs: ["tsconfig.json", "package.json", "package-lock.json", ...sourceFolders],
  command: [join("typescript", "bin", "tsc"), "-p", "."],
  failure: "the TypeScript sources have errors; they are listed above.",
};

/** AssemblyScript, a language of its own in TypeScript's clothes. Without its runtime: the programs make no objects. */
function wasmBuild(program, pages, pagesMax) {
  return {
    what: `compiling wasm/${program}.ts into dist/wasm/`,
    mark: join(projectRoot, "dist", "wasm", `.built-${program}`),
    inputs: ["package.json", "package-lock.json", "wasm"],
    command: [
      join("assemblyscript", "bin", "asc.js"),
      ...[`wasm/${program}.ts`, "--outFile", `dist/wasm/${program}.wasm`, "-O3", "--runtime", "stub", "--noAssert", "--noColors"],
      ...["--initialMemory", `${pages}`, "--maximumMemory", `${pagesMax}`],
    ],
    failure: "the AssemblyScript sources in wasm/ have errors; they are listed above.",
  };
}

/** Pages have 64 KiB; a program's memory may grow to 16 MiB and 64 MiB. */
const builds = [wasmBuild("split-frame", 4, 256), wasmBuild("read-frame", 112, 1_024), typeScriptBuild];

function isBuilt({ mark, inputs }) {
  if (!existsSync(mark)) return false;
  const builtMs = statSync(mark).mtimeMs;
  const files = inputs.map((name) => join(projectRoot, name)).flatMap((path) => [path, ...filesUnder(path)]);
  return files.every((path) => statSync(path).isDirectory() || statSync(path).mtimeMs <= builtMs);
}

async function run({ mark, command, failure }) {
  // Taken before the compiler reads: a source that is saved during the build counts as newer.
  const startedAt = new Date();
  const [compiler, ...args] = command;
  const { code, output } = await runCaptured(process.execPath, [join(projectRoot, "node_modules", compiler), ...args]);
  if (code !== 0) {
    process.stderr.write(output);
    throw new ScriptError(failure);
  }
  writeFileSync(mark, "");
  utimesSync(mark, startedAt, startedAt);
}

function* filesUnder(folder) {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else yield path;
  }
}

function readJson(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** npm as the one that runs this script, or the one on the path. */
function npmCommand(args) {
  const running = process.env.npm_execpath;
  if (running !== undefined && basename(running).startsWith("npm-cli")) return [process.execPath, [running, ...args]];
  return ["npm", args];
}

function runCaptured(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: projectRoot,
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32",
    });
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.stderr.on("data", (chunk) => chunks.push(chunk));
    child.on("error", (cause) => reject(new ScriptError(`${command} could not be started: ${cause.message}`)));
    child.on("close", (code) => resolve({ code, output: Buffer.concat(chunks).toString() }));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runScript(prepare);
