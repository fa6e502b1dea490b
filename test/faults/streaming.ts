/**
 * A fault that comes while events stream in:
 *
 *   start, stream -> inject -> react (what is expected is seen) -> heal -> acknowledged again -> quiet -> compare -> restart -> compare
 *
 * Nothing that was acknowledged at any time may be missing in the end, and nothing may be there twice.
 */
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/real-server.ts";
import type { Fault, FaultContext, Finding } from "./fault.ts";
import { Observer } from "./observer.ts";
import { runProgram } from "./tools.ts";
import { PATIENCE_MS, World, type WorldOptions } from "./world.ts";

export interface StreamingFault extends Omit<Fault, "run">, Omit<WorldOptions, "seed" | "parent"> {
  /** The data lies on a file system of its own, of this size. */
  readonly diskMib?: number;
  /** May the process end by itself? Then it is started again, and that is part of the reaction. */
  readonly mayExit?: boolean;
  /** Before the stream begins. */
  readonly before?: (world: World) => Promise<void>;
  readonly inject: (world: World) => Promise<void>;
  /** Resolves with what was seen when it is what was expected. */
  readonly react: (world: World, observer: Observer) => Promise<string>;
  readonly heal: (world: World, observer: Observer) => Promise<void>;
  /** Whatever `inject` has left behind when something went wrong. */
  readonly after?: (world: World) => Promise<void>;
}

export function streaming(fault: StreamingFault): Fault {
  const { name, expected, needs = [] } = fault;
  const run = async ({ seed, progress }: FaultContext): Promise<Finding> => {
    if (fault.diskMib === undefined) return runStreaming(fault, { seed }, progress);
    const parent = mkdtempSync(join(tmpdir(), "weir-disk-"));
    await runProgram("mount", ["-t", "tmpfs", "-o", `size=${fault.diskMib}m`, "tmpfs", parent]);
    try {
      return await runStreaming(fault, { seed, parent }, progress);
    } finally {
      await runProgram("umount", ["-l", parent]);
      rmdirSync(parent);
    }
  };
  return { name, fault: fault.fault, expected, needs, run };
}

async function runStreaming(
  fault: StreamingFault,
  where: Pick<WorldOptions, "seed" | "parent">,
  progress: (line: string) => void,
): Promise<Finding> {
  const world = await World.create({ ...fault, ...where });
  let observer: Observer | undefined;
  let reaction = "";
  let recoveryMs: number | undefined;
  try {
    await fault.before?.(world);
    await world.begin();
    progress(`${world.books.count} events are acknowledged`);
    observer = new Observer(world.server.url);
    await fault.inject(world);
    reaction = await fault.react(world, observer);
    progress(reaction);
    await fault.heal(world, observer);
    recoveryMs = await recovered(world, observer);
    progress(`recovered in ${recoveryMs} ms`);
    await observer.stop();
    await world.quiet();
    await world.compareLive("in the end");
    if (fault.questdb === "external" || fault.questdb === "managed") await world.compareRows();
    await world.compareAfterRestart();
  } catch (error) {
    world.problems.push(`${error instanceof Error ? error.message : String(error)}\n${tailOf(world)}`);
  } finally {
    await observer?.stop();
    await fault.after?.(world);
    await world.close();
  }
  for (const { code, signal, lastLines } of fault.mayExit === true ? [] : world.exits) {
    world.problems.push(`the server ended with ${signal ?? code}: ${lastLines.slice(-1_000)}`);
  }
  const { books, lost, doubled, problems } = world;
  return { reaction, ...(recoveryMs !== undefined && { recoveryMs }), acked: books.count, lost, doubled, problems };
}

/** Acknowledged again, and ready: how long that took. */
async function recovered(world: World, observer: Observer): Promise<number> {
  const startMs = performance.now();
  await world.progress(1);
  const isReady = (): boolean => observer.last?.journal === "ready" && observer.last.status !== "failed";
  await eventually(isReady, "the server calls itself ready", PATIENCE_MS);
  const tookMs = Math.round(performance.now() - startMs);
  await world.progress(300);
  return tookMs;
}

function tailOf({ server }: World): string {
  try {
    return server.run.output.stderr.slice(-2_000);
  } catch {
    return "";
  }
}
