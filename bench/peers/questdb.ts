/**
 * QuestDB alone, found and started as Weir's own (storage/questdb/), fed by its clients' protocol (InfluxDB lines over HTTP).
 * A materialized view counts by minute, type and country; QuestDB refreshes it after the ack. Every request is a commit, so
 * that it wants large ones: it is measured with 100 events in a request, as the others, and with 5,000.
 */
import { homedir } from "node:os";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { WeirError } from "../../protocol/error-codes.ts";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import { findJava, JAVA_VERSION_MIN } from "../../storage/questdb/java.ts";
import { cacheFolder, findQuestDb, QUESTDB_VERSION } from "../../storage/questdb/runtime.ts";
import { QuestDbServer } from "../../storage/questdb/server.ts";
import { projectRoot } from "../../test/support/project.ts";
import { processTreeCpuUs } from "../process-cpu.ts";
import { sortAnswer, type AnswerRow, type WorkloadEvent } from "../workload.ts";
import { HttpConnection } from "./http-connection.ts";
import type { PeerMachine } from "./machine.ts";
import type { Peer, PeerServer } from "./peer.ts";
import { temporaryFolder } from "./program.ts";
import { columnNames, columnsOf, type EventColumn } from "./tab-separated.ts";

const REFRESH_TIMEOUT_MS = 120_000;
const REFRESH_POLL_MS = 20;

const common: Omit<Peer, "name" | "load" | "inSmallSize"> = {
  durable: "yes: cairo.commit.mode sync",
  aggregates: "after the ack: count, sum, min, max by minute, type, country",
  deduplicates: true,
  missing: async (machine) => {
    const runtime = await findRuntime(machine);
    return typeof runtime === "string" ? runtime : undefined;
  },
  start: startQuestDb,
  generator: {
    ids: true,
    encode: (events) => [Buffer.from(events.map(lineOf).join(""))],
    connect: async ({ port }) => new HttpConnection(port, "/write?precision=ms"),
  },
};

export const questDb: Peer = {
  ...common,
  name: "questdb",
  load: { eventsPerSecond: 10_000, connections: 4, inFlight: 1, framesPerRequest: 1 },
  inSmallSize: false,
};

export const questDbLarge: Peer = {
  ...common,
  name: "questdb, 5,000",
  load: { eventsPerSecond: 80_000, connections: 2, inFlight: 1, framesPerRequest: 50 },
  inSmallSize: false,
};

const columnTypes: Partial<Record<EventColumn, string>> = {
  event_id: "UUID",
  session_id: "UUID",
  ts: "TIMESTAMP",
  value: "DOUBLE",
  duration_ms: "LONG",
  user_id: "VARCHAR",
  path: "VARCHAR",
  user_agent: "VARCHAR",
  ip_address: "VARCHAR",
  referrer: "VARCHAR",
};
const symbolNames = columnNames.filter((name) => columnTypes[name] === undefined);
const textNames = columnNames.filter((name) => columnTypes[name] === "VARCHAR" || columnTypes[name] === "UUID");

const schema = [
  `CREATE TABLE events (${columnNames.map((name) => `${name} ${columnTypes[name] ?? "SYMBOL"}`).join(", ")})
   TIMESTAMP(ts) PARTITION BY DAY WAL DEDUP UPSERT KEYS(ts, event_id)`,
  `CREATE MATERIALIZED VIEW panes AS (
     SELECT ts, event_type, country, count() events, sum(value) total, min(value) least, max(value) most
     FROM events SAMPLE BY 1m
   ) PARTITION BY DAY`,
];

function lineOf(event: WorkloadEvent): string {
  const values = columnsOf(event);
  const symbols = symbolNames.map((name) => `,${name}=${String(values[name]).replaceAll(/[ ,=\\]/g, "\\$&")}`);
  const texts = textNames.map((name) => `${name}="${String(values[name]).replaceAll(/["\\]/g, "\\$&")}"`);
  const numbers = [`value=${values.value}`, `duration_ms=${values.duration_ms}i`];
  return `events${symbols.join("")} ${[...texts, ...numbers].join(",")} ${values.ts}\n`;
}

/** Java is never installed for a bench; the jar, whose bytes are pinned, is fetched as for Weir's own. A text: what is missing. */
async function findRuntime({ env }: PeerMachine): Promise<{ readonly java: string; readonly jar: string } | string> {
  const options = { env, home: homedir(), cache: cacheFolder(env, projectRoot), progress: () => undefined };
  const java = await findJava(options);
  if (java === undefined) return `no Java ${JAVA_VERSION_MIN} or later (Debian package openjdk-17-jre-headless)`;
  try {
    return { java: java.program, jar: await findQuestDb(options) };
  } catch (error) {
    if (error instanceof WeirError && error.code === "WEIR_START_NO_QUESTDB") return `no QuestDB jar: ${error.message}`;
    throw error;
  }
}

async function startQuestDb(machine: PeerMachine): Promise<PeerServer> {
  const runtime = await findRuntime(machine);
  if (typeof runtime === "string") throw new Error(runtime);
  const root = await temporaryFolder("questdb");
  const log = { info: () => undefined, warn: () => undefined };
  const server = new QuestDbServer({ root, httpPort: 0, pgPort: 0, ...runtime, log, env: machine.env });
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(root, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    await server.start();
    await withSql(server.url, async (sql) => {
      for (const statement of schema) await sql.exec(statement);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    version: QUESTDB_VERSION,
    address: { port: Number(new URL(server.url).port) },
    cpuUs: () => processTreeCpuUs(server.pid ?? 0),
    answer: () => withSql(server.url, counted),
    stop,
  };
}

async function withSql<Result>(url: string, work: (sql: QuestDbHttp) => Promise<Result>): Promise<Result> {
  const sql = new QuestDbHttp({ url });
  try {
    return await work(sql);
  } finally {
    await sql.close();
  }
}

/** Once the view has seen all that was acknowledged. */
async function counted(sql: QuestDbHttp): Promise<AnswerRow[]> {
  const deadlineMs = Date.now() + REFRESH_TIMEOUT_MS;
  while (!(await isRefreshed(sql))) {
    if (Date.now() > deadlineMs) throw new Error(`QuestDB's view was not up to date after ${REFRESH_TIMEOUT_MS} ms`);
    await sleep(REFRESH_POLL_MS);
  }
  const { rows } = await sql.exec("SELECT event_type, country, sum(events) FROM panes");
  return sortAnswer(
    rows.map(([eventType, country, count]) => ({
      eventType: String(eventType),
      country: String(country),
      count: Number(count),
    })),
  );
}

async function isRefreshed(sql: QuestDbHttp): Promise<boolean> {
  const { rows: tables } = await sql.exec("SELECT writerTxn = sequencerTxn FROM wal_tables()");
  const { rows: views } = await sql.exec("SELECT refresh_base_table_txn = base_table_txn FROM materialized_views()");
  return [...tables, ...views].every(([isDone]) => isDone === true);
}
