/** CPU time and memory of another process. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

/** The kernel counts in ticks of 1/100 s on every Linux that Node runs on (USER_HZ). */
const US_PER_TICK = 10_000;

/** User and system time of all threads of a process since its start, in microseconds (steps of 10 ms; of 1 s on other systems). */
export function processCpuUs(pid: number): number {
  const statFile = `/proc/${pid}/stat`;
  if (existsSync(statFile)) return parseStat(readFileSync(statFile, "utf8"));
  return parsePsTime(execFileSync("ps", ["-o", "time=", "-p", String(pid)], { encoding: "utf8" }));
}

/** The same of the processes that it has started and that run, together; 0 where there is no /proc. */
export function childrenCpuUs(pid: number): number {
  if (!existsSync("/proc")) return 0;
  let sumUs = 0;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readStat(`/proc/${name}/stat`);
    if (stat !== undefined && parentOf(stat) === pid) sumUs += parseStat(stat);
  }
  return sumUs;
}

function readStat(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    // It has ended since the folder was read.
    return undefined;
  }
}

/** proc(5): ppid is field 4. */
function parentOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

/** Resident memory without mapped files (LMDB maps its own); NaN where there is no /proc. */
export function processMemoryBytes(pid: number): number {
  const statusFile = `/proc/${pid}/status`;
  if (!existsSync(statusFile)) return Number.NaN;
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(statusFile, "utf8"))?.[1]) * 1024;
}

/** proc(5): utime and stime are fields 14 and 15. Field 2, the command in parentheses, may hold spaces. */
export function parseStat(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

/** `[[dd-]hh:]mm:ss[.cc]` as ps prints it. */
export function parsePsTime(time: string): number {
  const [days = "0", clock = ""] = time.trim().includes("-") ? time.trim().split("-") : ["0", time.trim()];
  const seconds = clock.split(":").reduce((total, part) => total * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1_000_000;
}
