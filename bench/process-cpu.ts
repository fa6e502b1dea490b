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

/** The same for a process, all that it started and runs still, and all that they started and have waited for. */
export function processTreeCpuUs(pid: number): number {
  const processes = existsSync("/proc/self/stat") ? processesOfProc() : processesOfPs();
  const tree = new Set([pid]);
  let sizeBefore = 0;
  while (tree.size > sizeBefore) {
    sizeBefore = tree.size;
    for (const each of processes) if (tree.has(each.parent)) tree.add(each.pid);
  }
  return processes.reduce((total, each) => (tree.has(each.pid) ? total + each.cpuUs : total), 0);
}

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  readonly cpuUs: number;
}

function processesOfProc(): ProcessEntry[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      return [{ pid: Number(pid), parent: Number(statFields(stat)[1]), cpuUs: parseStat(stat) + parseStatOfEnded(stat) }];
    } catch {
      // It ended while we read.
      return [];
    }
  });
}

function processesOfPs(): ProcessEntry[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,time="], { encoding: "utf8" }).trim().split("\n");
  return lines.map((line) => {
    const [pid, parent, time = ""] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), cpuUs: parsePsTime(time) };
  });
}

/** Resident memory without mapped files (LMDB maps its own); NaN where there is no /proc. */
export function processMemoryBytes(pid: number): number {
  const statusFile = `/proc/${pid}/status`;
  if (!existsSync(statusFile)) return Number.NaN;
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(statusFile, "utf8"))?.[1]) * 1024;
}

/** The processes that a process has started; none where there is no /proc. */
export function childPids(pid: number): number[] {
  const tasks = `/proc/${pid}/task`;
  if (!existsSync(tasks)) return [];
  return readdirSync(tasks).flatMap((task) => {
    const pids = readFileSync(`${tasks}/${task}/children`, "utf8").trim();
    return pids === "" ? [] : pids.split(" ").map(Number);
  });
}

/** proc(5): utime and stime are fields 14 and 15. */
export function parseStat(stat: string): number {
  const fields = statFields(stat);
  return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK;
}

/** proc(5): cutime and cstime, of children that have ended, are fields 16 and 17. */
export function parseStatOfEnded(stat: string): number {
  const fields = statFields(stat);
  return (Number(fields[13]) + Number(fields[14])) * US_PER_TICK;
}

/** From field 3 on. Field 2, the command in parentheses, may hold spaces. */
function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** `[[dd-]hh:]mm:ss[.cc]` as ps prints it. */
export function parsePsTime(time: string): number {
  const [days = "0", clock = ""] = time.trim().includes("-") ? time.trim().split("-") : ["0", time.trim()];
  const seconds = clock.split(":").reduce((total, part) => total * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1_000_000;
}
