/**
 * Which QuestDB process belongs to a root folder and who started it, in a file in that folder. If the owner was killed
 * where the kernel could not be asked to stop its child, the next owner ends the process before it starts its own.
 */
import { readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WeirError } from "../../protocol/error-codes.ts";
import { run } from "./run.ts";

const FILE_NAME = "questdb-process.json";
const STOP_TIMEOUT_MS = 15_000;

export async function rememberProcess(root: string, pid: number): Promise<void> {
  await writeFile(join(root, FILE_NAME), JSON.stringify({ pid, owner: process.pid }));
}

export async function forgetProcess(root: string): Promise<void> {
  await rm(join(root, FILE_NAME), { force: true });
}

/** Ends the process of an owner that is gone. Rejects with WEIR_START_DATA_IN_USE when the owner lives. */
export async function endLeftProcess(root: string): Promise<void> {
  const left = await readProcess(root);
  if (left === undefined) return;
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  // The number may have gone to another program since: only a command line with our root folder is ours.
  while (isAlive(left.pid) && (await commandLine(left.pid)).includes(root)) {
    if (isAlive(left.owner)) throw new WeirError("WEIR_START_DATA_IN_USE", `Process ${left.owner} runs QuestDB in ${root}.`);
    signalProcess(left.pid, Date.now() > deadline ? "SIGKILL" : "SIGTERM");
    await sleep(100);
  }
  await forgetProcess(root);
}

async function readProcess(root: string): Promise<{ pid: number; owner: number } | undefined> {
  try {
    const content: unknown = JSON.parse(await readFile(join(root, FILE_NAME), "utf8"));
    if (typeof content !== "object" || content === null || !("pid" in content) || !("owner" in content)) return undefined;
    const { pid, owner } = content;
    return typeof pid === "number" && typeof owner === "number" ? { pid, owner } : undefined;
  } catch {
    return undefined;
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself, or is not ours to end: then the start fails on the folder's lock.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function commandLine(pid: number): Promise<string> {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return (await run("ps", ["-p", String(pid), "-o", "args="], { env: process.env, timeoutMs: 5_000 })).output;
  }
}
