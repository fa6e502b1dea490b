/** The tools that faults are made with. One that is not there, or not permitted here, makes its tests skip with a clear line. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

const checks = {
  /** Errors of system calls: libfiu between the program and libc. Debian: `fiu-utils`. */
  fiu: () => (fiuPreload() === undefined || !hasProgram("fiu-ctrl") ? "fiu-run is not installed" : undefined),
  /** Errors of system calls where libfiu does not sit between: the kernel's side of them. */
  strace: () => (succeeds("strace", ["-o", "/dev/null", "true"]) ? undefined : "strace is not installed or not permitted"),
  /** A clock that jumps. Debian: `faketime`. */
  faketime: () => (faketimePreload() === undefined ? "faketime is not installed" : undefined),
  /** Limits of a process that runs. */
  prlimit: () => (hasProgram("prlimit") ? undefined : "prlimit is not installed"),
  /** A disk of a few MiB. */
  mount: () => (canMount() ? undefined : "mounting a tmpfs is not permitted"),
};

export type Tool = keyof typeof checks;

/** Why a test that needs these cannot run here. */
export function whatIsMissing(tools: readonly Tool[]): string | undefined {
  for (const tool of tools) {
    const missing = checks[tool]();
    if (missing !== undefined) return missing;
  }
  return undefined;
}

/** For LD_PRELOAD. */
export function fiuPreload(): string | undefined {
  return firstWith(["/usr/lib/fiu", "/usr/local/lib/fiu", "/usr/lib/x86_64-linux-gnu/fiu"], "fiu_posix_preload.so")?.replace(
    /^(.*)\/fiu_posix_preload.so$/,
    "$1/fiu_run_preload.so $1/fiu_posix_preload.so",
  );
}

/** For LD_PRELOAD. */
export function faketimePreload(): string | undefined {
  const folders = existsSync("/usr/lib") ? readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/faketime`) : [];
  return firstWith([...folders, "/usr/lib/faketime", "/usr/local/lib/faketime"], "libfaketimeMT.so.1");
}

const PROGRAM_MS = 20_000;

/** Runs a program to its end; rejects with what it wrote when that is not 0, or when it does not end. */
export async function runProgram(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], timeout: PROGRAM_MS });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${stderr}`);
}

function firstWith(folders: readonly string[], file: string): string | undefined {
  return folders.map((folder) => join(folder, file)).find((path) => existsSync(path));
}

function hasProgram(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
}

function succeeds(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "weir-mount-"));
  const mounted = succeeds("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
  if (mounted) spawnSync("umount", ["-l", folder], { stdio: "ignore" });
  rmdirSync(folder);
  return mounted;
}
