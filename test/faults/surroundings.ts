/** What a process takes for granted: its clock, file descriptors, memory. */
import { readdirSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import { connect, type EventInput } from "../../client/index.ts";
import { eventually } from "../support/real-server.ts";
import { streaming, type StreamingFault } from "./streaming.ts";
import { faketimePreload, runProgram } from "./tools.ts";
import { PATIENCE_MS, type World } from "./world.ts";

const TWO_HOURS_S = 2 * 3600;
const CLOCK_TOLERANCE_MS = 30 * 60_000;
const FEW_FILES = 256;

/** A jump of the wall clock, a kill while it is wrong (its records are replayed), and the jump back. */
function clockJump(name: string, seconds: number): StreamingFault {
  const set = (world: World, offset: number): void => {
    writeFileSync(join(world.scratch, "clock"), `${offset < 0 ? "" : "+"}${offset}\n`);
  };
  return {
    name: `clock-${name}`,
    fault: `the clock jumps ${name} by 2 h while events stream; a kill; the clock is put right`,
    expected: "events are taken all the time, the replay agrees",
    needs: ["faketime"],
    surroundings: (world) => {
      set(world, 0);
      const env = {
        LD_PRELOAD: faketimePreload(),
        FAKETIME_TIMESTAMP_FILE: join(world.scratch, "clock"),
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
        DONT_FAKE_MONOTONIC: "1",
      };
      return { env };
    },
    inject: async (world) => set(world, seconds),
    react: async (world) => {
      const offMs = async (): Promise<number> => (await clockOf(world)) - Date.now();
      const jumped = async (): Promise<boolean> => Math.abs((await offMs()) - seconds * 1_000) < CLOCK_TOLERANCE_MS;
      await eventually(jumped, "the server's clock has jumped", PATIENCE_MS);
      await world.progress(500);
      await world.halt("SIGKILL");
      world.relaunch();
      await world.progress(500);
      return "events taken, replay without a difference";
    },
    heal: async (world) => set(world, 0),
  };
}

/** The time of receipt that it gives to an event that is not valid, of a tenant of its own. */
async function clockOf(world: World): Promise<number> {
  const key = await world.server.newKey("clock");
  const client = connect({ url: world.server.url, key, complete: false });
  try {
    await client.publish([{ eventId: "" }] as unknown as EventInput[]);
    const { deadLetters } = await client.deadLetters({ limit: 100 });
    return deadLetters.reduce((last, { offset, ingestTimeMs }) => (offset > last.offset ? { offset, ms: ingestTimeMs } : last), {
      offset: 0,
      ms: 0,
    }).ms;
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

const openSockets: Socket[] = [];

function closeSockets(): void {
  for (const socket of openSockets.splice(0)) socket.destroy();
}

async function answers(world: World): Promise<boolean> {
  try {
    // A new connection each time.
    const response = await fetch(`${world.server.url}/healthz`, {
      headers: { connection: "close" },
      signal: AbortSignal.timeout(2_000),
    });
    return response.ok;
  } catch {
    return false;
  }
}

/** Connections until one is not served any more. */
async function useUpFiles(world: World): Promise<void> {
  for (let count = 0; count < 4 * FEW_FILES; count++) {
    openSockets.push(connectTcp(world.server.port, "127.0.0.1").on("error", () => undefined));
    if (count % 10 === 9 && !(await answers(world))) return;
  }
  throw new Error("the file descriptors were not used up");
}

async function flood(world: World): Promise<void> {
  const key = await world.server.newKey("flood");
  const client = connect({ url: world.server.url, key, bufferEvents: 4_000, retry: { giveUpAfterMs: 5_000 } });
  const labels = { eventType: "flood", eventCategory: "test", source: "test", version: "1", environment: "test" };
  const text = "x".repeat(200);
  let next = 0;
  try {
    while (world.exits.length === 0 && next < 2_000_000) {
      const events = Array.from({ length: 1_000 }, () => {
        const id = `${text}${next++}`;
        return { ...labels, eventId: id, sessionId: id, timestamp: Date.now() };
      });
      await client.publish(events).catch(() => undefined);
      if ((await world.server.ready().catch(() => undefined))?.hosts.some(({ restarts = 0 }) => restarts > 0) === true) return;
    }
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

const cases: readonly StreamingFault[] = [
  clockJump("forward", TWO_HOURS_S),
  clockJump("back", -TWO_HOURS_S),
  {
    name: "files-used-up",
    fault: "connections use up the file descriptors (ulimit -n)",
    expected: "no new connections; those that are open are served; new ones again when some have closed",
    surroundings: () => ({ within: ["sh", "-c", `ulimit -n ${FEW_FILES} && exec "$@"`, "sh"] }),
    inject: useUpFiles,
    react: async (world) => {
      await world.progress(300);
      return "new connections not served, open ones served";
    },
    heal: async (world) => {
      closeSockets();
      await eventually(() => answers(world), "new connections are served", PATIENCE_MS);
    },
    after: async () => closeSockets(),
  },
  {
    name: "files-limit",
    fault: "the limit of file descriptors falls below those in use (prlimit)",
    expected: "no new connections; those that are open are served",
    needs: ["prlimit"],
    inject: async ({ server }) => {
      const used = readdirSync(`/proc/${server.pid}/fd`).length;
      await runProgram("prlimit", ["--pid", String(server.pid), `--nofile=${used - 1}:`]);
    },
    react: async (world) => {
      await eventually(async () => !(await answers(world)), "new connections are not served", PATIENCE_MS);
      await world.progress(300);
      return "new connections not served, open ones served";
    },
    heal: ({ server }) => runProgram("prlimit", ["--pid", String(server.pid), "--nofile=4096:"]),
  },
  {
    name: "memory",
    fault: "the heap is at its limit (--max-old-space-size)",
    expected: "the process or the host ends with a message; with more memory the next start recovers",
    mayExit: true,
    flags: { hostThreads: 1 },
    surroundings: () => ({ nodeArgs: ["--max-old-space-size=48"] }),
    inject: flood,
    react: async ({ exits, server }, observer) => {
      await eventually(() => exits.length > 0 || observer.hostRestarts > 0, "it has run out of memory", PATIENCE_MS);
      const lines = `${exits[0]?.lastLines ?? server.run.output.stderr}`;
      const word = ["heap out of memory", "ERR_WORKER_OUT_OF_MEMORY", "memory limit"].find((text) => lines.includes(text));
      const how =
        exits[0] === undefined ? "the host was opened again" : `the process ended with ${exits[0].signal ?? exits[0].code}`;
      if (word === undefined) throw new Error(`nothing about memory in the log: ${lines.slice(-1_500)}`);
      return `${how}: "${word}"`;
    },
    heal: async (world) => {
      await world.halt("SIGKILL");
      world.launch({}, {});
      await world.server.untilReady(PATIENCE_MS);
    },
  },
];

export const surroundings = cases.map(streaming);
