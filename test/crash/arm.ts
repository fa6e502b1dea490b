/**
 * Loaded into a server's process before the server itself (`node --import`): arms the crash point that the address of this
 * module names, as in `arm.js?point=after-append&pass=37`. The runner of the crash test makes such addresses.
 */
import { isMainThread } from "node:worker_threads";
import { armCrashPoint, crashPoints } from "../../workers/crash-points.ts";

// Threads get the order from the main thread, and run this file as well.
if (isMainThread) {
  const { searchParams } = new URL(import.meta.url);
  const point = crashPoints.find((name) => name === searchParams.get("point"));
  const pass = Number(searchParams.get("pass"));
  if (point === undefined || !Number.isInteger(pass) || pass < 1) throw new Error(`no crash point: ${import.meta.url}`);
  armCrashPoint({ point, pass });
}
