/**
 * Commits that fail: the calls with which LMDB writes and flushes return errors, for all environments of the server at once.
 * libfiu sits between the server and libc and is switched while the server runs; strace does it at the kernel's door, which
 * shows that nothing depends on libfiu's way.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { eventually } from "../support/real-server.ts";
import type { Observer } from "./observer.ts";
import { streaming, type StreamingFault } from "./streaming.ts";
import { fiuPreload, runProgram } from "./tools.ts";
import { PATIENCE_MS, type World } from "./world.ts";

const EIO = 5;
const ENOSPC = 28;
const expected = "frames are refused with WEIR_HOST_FAILED, the host is opened again in place";
/** lmdb 3.5.6 writes beyond the end of a buffer when a write fails (mdb.c, `last_error`): the process may end at any time after it. */
const expectedOfWrites = `${expected}, or the process ends (SIGABRT) and is started again`;

interface Failing {
  readonly name: string;
  readonly fault: string;
  /** Points of libfiu. */
  readonly points: readonly string[];
  readonly errno: number;
  /** Of a call; 1 when it is left out. */
  readonly probability?: number;
  /** So often a host is to come back while the fault lasts. */
  readonly restarts?: number;
  readonly mayExit?: boolean;
}

const writes = ["posix/io/rw/pwrite", "posix/io/rw/pwritev"];

const failing: readonly Failing[] = [
  { name: "fdatasync-eio", fault: "fdatasync fails with EIO", points: ["posix/io/sync/fdatasync"], errno: EIO },
  {
    name: "fdatasync-eio-at-times",
    fault: "one fdatasync of twenty fails with EIO",
    points: ["posix/io/sync/fdatasync"],
    errno: EIO,
    probability: 0.05,
    restarts: 3,
  },
  { name: "pwrite-eio", fault: "pwrite and pwritev fail with EIO", points: writes, errno: EIO, mayExit: true },
  { name: "pwrite-enospc", fault: "pwrite and pwritev fail with ENOSPC", points: writes, errno: ENOSPC, mayExit: true },
  {
    name: "pwrite-eio-at-times",
    fault: "one pwrite of fifty fails with EIO",
    points: writes,
    errno: EIO,
    probability: 0.02,
    restarts: 3,
    mayExit: true,
  },
  {
    name: "pwrite-short",
    fault: "pwrite and pwritev write a part of what they should",
    points: writes.map((point) => `${point}/reduce`),
    errno: 0,
    mayExit: true,
  },
];

function withFiu({ name, fault, points, errno, probability, restarts = 1, mayExit = false }: Failing): StreamingFault {
  const control = async (world: World, command: (point: string) => string): Promise<void> => {
    const commands = points.flatMap((point) => ["-c", command(point)]);
    const { exits } = world;
    await runProgram("fiu-ctrl", ["-f", join(world.scratch, "fiu"), ...commands, String(world.server.pid)]).catch(
      (error: unknown) => {
        // The first command may have ended the server before it could take the second one.
        if (!mayExit || exits.length === 0) throw error;
      },
    );
  };
  return {
    name,
    fault,
    expected: mayExit ? expectedOfWrites : expected,
    mayExit,
    needs: ["fiu"],
    surroundings: ({ scratch }) => ({
      env: { LD_PRELOAD: fiuPreload(), FIU_CTRL_FIFO: join(scratch, "fiu"), FIU_ENABLE: "" },
    }),
    inject: (world) => {
      const kind = probability === undefined ? "enable" : "enable_random";
      const chance = probability === undefined ? "" : `,probability=${probability}`;
      return control(world, (point) => `${kind} name=${point},failinfo=${errno}${chance}`);
    },
    react: (world, observer) => hostFailed(world, observer, restarts),
    heal: (world) => control(world, (point) => `disable name=${point}`),
  };
}

async function hostFailed({ exits }: World, observer: Observer, restarts: number): Promise<string> {
  const seen = (): boolean => observer.refusals.has("WEIR_HOST_FAILED") && observer.hostRestarts >= restarts;
  await eventually(() => seen() || exits.length > 0, `a host has failed and was opened again, ${restarts} times`, PATIENCE_MS);
  const refused = `${observer.refusals.get("WEIR_HOST_FAILED") ?? 0} frames refused WEIR_HOST_FAILED`;
  const ended = exits.map(({ code, signal }) => `, the process ended with ${signal ?? code}`).join("");
  return `${refused}, ${observer.hostRestarts} restarts of a host${ended}`;
}

let tracer: ChildProcess | undefined;

const withStrace: StreamingFault = {
  name: "fdatasync-eio-strace",
  fault: "fdatasync fails with EIO in the kernel (strace)",
  expected,
  needs: ["strace"],
  inject: async ({ server }) => {
    const inject = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"];
    tracer = spawn("strace", ["-f", "-p", String(server.pid), ...inject, "-o", "/dev/null"], { stdio: "ignore" });
    await once(tracer, "spawn");
  },
  react: (world, observer) => hostFailed(world, observer, 1),
  heal: endTracer,
  after: endTracer,
};

async function endTracer(): Promise<void> {
  const child = tracer;
  tracer = undefined;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  // It lets go of the server before it ends.
  child.kill("SIGINT");
  await exited;
}

export const diskErrors = [...failing.map(withFiu), withStrace].map(streaming);
