/**
 * Redis 7 with an append-only file that is synced before a reply (`appendfsync always`), in three ways of use:
 * a stream that takes a batch as one entry and counts nothing; a Lua script that also keeps count, sum, minimum and
 * maximum by minute, type and country; and that script with a set of all ids, so that an event counts once. The script adds
 * a batch up before it touches a pane, which is cheaper than a command for each event.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { claimPort } from "../../storage/questdb/port.ts";
import { sortAnswer, type AnswerRow, type WorkloadEvent } from "../workload.ts";
import { encodeLogged, LogCount } from "./logged-frames.ts";
import { findProgram, programOf, type PeerMachine } from "./machine.ts";
import type { Peer, PeerGenerator, PeerServer } from "./peer.ts";
import { listens, Program, temporaryFolder } from "./program.ts";
import { encodeCommand, RespConnection, type RespValue } from "./resp.ts";

const STREAM = "events";
const IDS = "ids";
const PANE_PREFIX = "pane|";
const READ_ENTRIES = 100;
const MINUTE_MS = 60_000;

/** KEYS: the stream, the set of ids. ARGV: the batch, then for each event the key of its pane, its value and, to count it once, its id. */
const scriptFor = ({ distinct }: LuaOptions): string => `
redis.call("XADD", KEYS[1], "*", "frame", ARGV[1])
local panes = {}
for index = 2, #ARGV, ${distinct ? 3 : 2} do
  local pane, value = panes[ARGV[index]], tonumber(ARGV[index + 1])
  if ${distinct ? 'redis.call("SADD", KEYS[2], ARGV[index + 2]) == 0' : "false"} then
    -- it is counted already
  elseif pane == nil then
    panes[ARGV[index]] = { 1, value, value, value }
  else
    pane[1] = pane[1] + 1
    pane[2] = pane[2] + value
    if value < pane[3] then pane[3] = value end
    if value > pane[4] then pane[4] = value end
  end
end
for key, pane in pairs(panes) do
  local before = redis.call("HMGET", key, "count", "sum", "min", "max")
  if before[1] then
    pane[1] = pane[1] + before[1]
    pane[2] = pane[2] + before[2]
    pane[3] = math.min(pane[3], before[3])
    pane[4] = math.max(pane[4], before[4])
  end
  redis.call("HSET", key, "count", pane[1], "sum", pane[2], "min", pane[3], "max", pane[4])
end
`;

interface LuaOptions {
  readonly distinct: boolean;
}

const common = {
  durable: "yes: append-only file, appendfsync always",
  missing: async (machine: PeerMachine) =>
    findProgram("redis-server", machine) === undefined ? "no redis-server (Debian package redis-server)" : undefined,
} as const;

export const redisLua: Peer = {
  ...common,
  name: "redis lua",
  aggregates: "yes: count, sum, min, max by minute, type, country",
  deduplicates: false,
  load: { eventsPerSecond: 80_000, connections: 8, inFlight: 4, framesPerRequest: 1 },
  inSmallSize: false,
  start: (machine) => startRedis(machine, countedByLua),
  generator: luaGenerator({ distinct: false }),
};

export const redisLuaDistinct: Peer = {
  ...redisLua,
  name: "redis lua, distinct",
  deduplicates: true,
  inSmallSize: true,
  generator: luaGenerator({ distinct: true }),
};

export const redisStream: Peer = {
  ...common,
  name: "redis stream",
  aggregates: "no: a log",
  deduplicates: false,
  load: { eventsPerSecond: 300_000, connections: 16, inFlight: 8, framesPerRequest: 1 },
  inSmallSize: false,
  start: (machine) => startRedis(machine, countedFromStream),
  generator: {
    ids: true,
    encode: (events) => [encodeCommand("XADD", STREAM, "*", "frame", encodeLogged(events))],
    connect: ({ port }) => RespConnection.open(port),
  },
};

function luaGenerator(options: LuaOptions): PeerGenerator {
  const script = scriptFor(options);
  const hash = createHash("sha1").update(script).digest("hex");
  return {
    ids: true,
    encode: (events) => {
      const frame = encodeLogged(events);
      const args = events.flatMap((event) => [...paneAndValue(event), ...(options.distinct ? [event.eventId] : [])]);
      const command = encodeCommand("EVALSHA", hash, 2, STREAM, IDS, frame, ...args);
      const frameEnd = command.indexOf(frame) + frame.length;
      return options.distinct ? [command.subarray(0, frameEnd), command.subarray(frameEnd)] : [command];
    },
    connect: async ({ port }) => {
      const redis = await RespConnection.open(port);
      await redis.command("SCRIPT", "LOAD", script);
      return redis;
    },
  };
}

function paneAndValue({ timestamp, eventType, context, properties }: WorkloadEvent): [string, number] {
  return [`${PANE_PREFIX}${Math.floor(timestamp / MINUTE_MS)}|${eventType}|${context.location.country}`, properties.value];
}

async function startRedis(machine: PeerMachine, answer: (redis: RespConnection) => Promise<AnswerRow[]>): Promise<PeerServer> {
  const command = programOf("redis-server", machine);
  const version = /v=(\S+)/.exec(execFileSync(command, ["--version"], { encoding: "utf8" }))?.[1] ?? "unknown";
  const folder = await temporaryFolder("redis");
  const port = await claimPort(0);
  const settings = {
    bind: "127.0.0.1",
    port: String(port),
    dir: folder,
    save: "",
    appendonly: "yes",
    appendfsync: "always",
    "auto-aof-rewrite-percentage": "0",
    loglevel: "warning",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const program = await Program.start({ command, args, folder, isReady: () => listens(port) }, machine);
  return {
    version,
    address: { port },
    cpuUs: () => program.cpuUs(),
    answer: async () => {
      const redis = await RespConnection.open(port);
      try {
        return await answer(redis);
      } finally {
        await redis.close();
      }
    },
    stop: () => program.stop(),
  };
}

async function countedByLua(redis: RespConnection): Promise<AnswerRow[]> {
  const counts = new Map<string, number>();
  for (const key of listOf(await redis.command("KEYS", `${PANE_PREFIX}*`)).map(String)) {
    const [, , eventType = "", country = ""] = key.split("|");
    const total = `${eventType}|${country}`;
    counts.set(total, (counts.get(total) ?? 0) + Number(await redis.command("HGET", key, "count")));
  }
  const rows = [...counts].map(([key, count]) => {
    const [eventType = "", country = ""] = key.split("|");
    return { eventType, country, count };
  });
  return sortAnswer(rows);
}

async function countedFromStream(redis: RespConnection): Promise<AnswerRow[]> {
  const log = new LogCount();
  for (let after = "-"; ;) {
    const entries = listOf(await redis.command("XRANGE", STREAM, after, "+", "COUNT", READ_ENTRIES));
    for (const entry of entries) {
      const [id, fields] = listOf(entry);
      const [, frame] = listOf(fields);
      if (!Buffer.isBuffer(frame)) throw new Error("an entry without a frame");
      log.add(frame);
      after = `(${String(id)}`;
    }
    if (entries.length < READ_ENTRIES) return log.answer();
  }
}

function listOf(value: RespValue | undefined): readonly RespValue[] {
  if (!Array.isArray(value)) throw new Error(`Redis answered ${String(value)}`);
  return value as readonly RespValue[];
}
