/**
 * One server per data directory: a file LOCK with the holder's process id and start time. The lock of a process that is
 * gone (or whose id now belongs to another process) is taken over. Processes must see each other's ids: two containers on
 * one volume do not.
 */
import { randomUUID } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { WeirError } from "../protocol/error-codes.ts";

const lockContent = z.object({ pid: z.int().positive(), startedAt: z.string(), token: z.string() });
type LockContent = z.output<typeof lockContent>;

/** Takes the lock and returns what releases it; WEIR_START_DATA_IN_USE when a living process has it. */
export function lockDirectory(path: string): () => void {
  const file = join(path, "LOCK");
  const own: LockContent = { pid: process.pid, startedAt: startOf(process.pid), token: randomUUID() };
  const draft = join(path, `LOCK.${own.token}`);
  writeFileSync(draft, JSON.stringify(own), { flush: true });
  try {
    // A link appears whole or not at all, and never replaces a lock.
    if (!linked(draft, file)) takeOver(file, draft);
  } finally {
    rmSync(draft, { force: true });
  }
  return () => {
    if (readLock(file)?.token === own.token) rmSync(file, { force: true });
  };
}

/** WEIR_START_DATA_IN_USE when a living process has the directory. Takes nothing and writes nothing. */
export function assertUnlocked(path: string): void {
  assertDead(join(path, "LOCK"));
}

function takeOver(file: string, draft: string): void {
  assertDead(file);
  // Of several that find the same dead lock, one gets the claim and looks again before it replaces the lock.
  const claim = `${file}.claim`;
  if (!linked(draft, claim)) {
    assertDead(claim);
    rmSync(claim, { force: true });
    if (!linked(draft, claim)) throw new WeirError("WEIR_START_DATA_IN_USE", `${file} is being taken over.`);
  }
  try {
    assertDead(file);
    renameSync(draft, file);
  } finally {
    rmSync(claim, { force: true });
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function assertDead(file: string): void {
  const holder = readLock(file);
  if (holder === undefined || !isAlive(holder)) return;
  throw new WeirError("WEIR_START_DATA_IN_USE", `Process ${holder.pid} holds ${file}.`);
}

/** Undefined when there is none, or none that was ever whole. */
function readLock(file: string): LockContent | undefined {
  try {
    return lockContent.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return undefined;
  }
}

function isAlive({ pid, startedAt }: LockContent): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to someone else.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return startOf(pid) === startedAt;
}

/** When a process started, as text that no other process with its id has; "" where the system does not tell. */
function startOf(pid: number): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // Field 22; the command in field 2 may hold spaces and parentheses, so count from its end.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
    return `${boot}/${ticks}`;
  } catch {
    return "";
  }
}
