/**
 * Named points at which a crash test has this process killed, as by SIGKILL from outside: nothing runs after it, no buffer is
 * written, no handler is called. The places call `passPoint`, once a turn, commit or request, never once an event.
 *
 *   turn:       decided -> BEFORE-APPEND -> appended -> AFTER-APPEND -> flushed -> AFTER-FLUSH -> outcomes leave
 *   snapshot:   each partition: commit begins -> IN-SNAPSHOT -> committed -> AFTER-SNAPSHOT;   then BEFORE-TRIM -> journal trimmed
 *   warehouse:  rows answered -> AFTER-ROWS -> position stored
 *   drain:      gateway quiet -> IN-DRAIN -> hosts ended -> IN-DRAIN -> last rows sent -> IN-DRAIN -> QuestDB ended
 *
 * Unarmed, which is always but in such a test, a point is one comparison. No flag, variable or file arms one: only code within
 * the process can, and only `test/crash/arm.ts` does (`test/workers/crash-points.test.ts` holds that).
 */
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";

export const crashPoints = [
  "before-append",
  "after-append",
  "after-flush",
  "in-snapshot",
  "after-snapshot",
  "before-trim",
  "after-rows",
  "in-drain",
] as const;

export type CrashPoint = (typeof crashPoints)[number];

export interface CrashOrder {
  readonly point: CrashPoint;
  /** The pass that kills, counted from 1, in each thread on its own: the first thread to get there ends them all. */
  readonly pass: number;
}

const ORDER = "weir-crash-order";

/** Data of the environment, because threads get it from the one that starts them, without a way through all their options. */
let order = getEnvironmentData(ORDER) as CrashOrder | undefined;
let passes = 0;

/** For this thread and all that it starts from now on. */
export function armCrashPoint(armed: CrashOrder): void {
  order = armed;
  setEnvironmentData(ORDER, { ...armed });
}

export function passPoint(point: CrashPoint): void {
  if (order?.point !== point) return;
  if (++passes === order.pass) process.kill(process.pid, "SIGKILL");
}
