/**
 * ClickHouse as a library (chdb) in a Python process of its own: events as TSV into a MergeTree, a materialized view into an
 * AggregatingMergeTree by minute, type and country, both synced with each insert. Every insert makes files, so
 * it is known for wanting large ones: it is measured with 100 events in a request, as the others, and with 5,000.
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { claimPort } from "../../storage/questdb/port.ts";
import { projectRoot } from "../../test/support/project.ts";
import { sortAnswer, type AnswerRow } from "../workload.ts";
import { findPrograms, type PeerMachine } from "./machine.ts";
import type { Peer, PeerConnection, PeerServer } from "./peer.ts";
import { listens, Program, temporaryFolder } from "./program.ts";
import { columnNames, encodeTabSeparated, type EventColumn } from "./tab-separated.ts";

const common: Omit<Peer, "name" | "load" | "inSmallSize"> = {
  durable: "yes: fsync_after_insert",
  aggregates: "yes: count, sum, min, max by minute, type, country",
  deduplicates: false,
  missing: async (machine) => (findPython(machine) === undefined ? "no python3 with chdb (PyPI package chdb)" : undefined),
  start: startClickHouse,
  generator: {
    ids: true,
    encode: (events) => [encodeTabSeparated(events)],
    connect: async ({ port }) => {
      const statements = await StatementConnection.open(port);
      return {
        send: async (rows) => {
          await statements.run(insertStatement, rows);
        },
        close: () => statements.close(),
      };
    },
  },
};

export const clickHouse: Peer = {
  ...common,
  name: "clickhouse",
  load: { eventsPerSecond: 8_000, connections: 2, inFlight: 1, framesPerRequest: 1 },
  inSmallSize: false,
};

export const clickHouseLarge: Peer = {
  ...common,
  name: "clickhouse, 5,000",
  load: { eventsPerSecond: 100_000, connections: 2, inFlight: 1, framesPerRequest: 50 },
  inSmallSize: true,
};

const columnTypes: Partial<Record<EventColumn, string>> = {
  event_id: "UUID",
  session_id: "UUID",
  ts: "DateTime64(3, 'UTC')",
  value: "Float64",
  duration_ms: "UInt32",
  user_id: "String",
  path: "String",
  user_agent: "String",
  ip_address: "String",
  referrer: "String",
};
const synced = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1";
const insertStatement = Buffer.from("INSERT INTO bench.events FORMAT TSV\n");
const schema = [
  "CREATE DATABASE bench ENGINE = Atomic",
  `CREATE TABLE bench.events (${columnNames.map((name) => `${name} ${columnTypes[name] ?? "LowCardinality(String)"}`).join(", ")})
   ENGINE = MergeTree ORDER BY (event_type, ts) ${synced}`,
  `CREATE TABLE bench.panes (
     minute DateTime('UTC'), event_type LowCardinality(String), country LowCardinality(String),
     events AggregateFunction(count), total AggregateFunction(sum, Float64),
     least AggregateFunction(min, Float64), most AggregateFunction(max, Float64)
   ) ENGINE = AggregatingMergeTree ORDER BY (minute, event_type, country) ${synced}`,
  `CREATE MATERIALIZED VIEW bench.to_panes TO bench.panes AS
   SELECT toStartOfMinute(toDateTime(ts, 'UTC')) AS minute, event_type, country,
     countState() AS events, sumState(value) AS total, minState(value) AS least, maxState(value) AS most
   FROM bench.events GROUP BY minute, event_type, country`,
];

function findPython(machine: PeerMachine): string | undefined {
  const hasChdb = "import importlib.util, sys; sys.exit(importlib.util.find_spec('chdb') is None)";
  return findPrograms("python3", machine).find((python) => {
    try {
      execFileSync(python, ["-c", hasChdb], { env: machine.env, stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  });
}

async function startClickHouse(machine: PeerMachine): Promise<PeerServer> {
  const command = findPython(machine);
  if (command === undefined) throw new Error("chdb is gone");
  const folder = await temporaryFolder("clickhouse");
  const port = await claimPort(0);
  const args = [join(projectRoot, "bench/peers/clickhouse-server.py"), String(port), join(folder, "data")];
  const program = await Program.start({ command, args, folder, isReady: () => listens(port) }, machine);
  try {
    for (const statement of schema) await ask(port, statement);
    const [[version] = []] = await ask(port, "SELECT version()");
    return {
      version: String(version),
      address: { port },
      cpuUs: () => program.cpuUs(),
      answer: () => counted(port),
      stop: () => program.stop(),
    };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

async function counted(port: number): Promise<AnswerRow[]> {
  const rows = await ask(port, "SELECT event_type, country, countMerge(events) FROM bench.panes GROUP BY event_type, country");
  return sortAnswer(
    rows.map(([eventType, country, count]) => ({
      eventType: String(eventType),
      country: String(country),
      count: Number(count),
    })),
  );
}

async function ask(port: number, statement: string): Promise<readonly (readonly unknown[])[]> {
  const statements = await StatementConnection.open(port);
  try {
    const text = await statements.run(Buffer.from(statement), Buffer.alloc(0));
    return text === "" ? [] : (JSON.parse(text) as { readonly data: readonly (readonly unknown[])[] }).data;
  } finally {
    await statements.close();
  }
}

/** The protocol of clickhouse-server.py: one statement at a time. */
class StatementConnection implements Pick<PeerConnection, "close"> {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  static async open(port: number): Promise<StatementConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new StatementConnection(socket);
  }

  /** What it gave, as text. */
  async run(statement: Buffer, rows: Buffer): Promise<string> {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(statement.length + rows.length);
    this.#socket.cork();
    for (const part of [head, statement, rows]) this.#socket.write(part);
    this.#socket.uncork();
    let answer = Buffer.alloc(0);
    while (answer.length < 4 || answer.length < 4 + answer.readUInt32BE()) {
      const { value, done } = await this.#chunks.next();
      if (done === true) throw new Error("ClickHouse closed the connection");
      answer = Buffer.concat([answer, value]);
    }
    const text = answer.toString("utf8", 5);
    if (answer[4] !== "+".charCodeAt(0)) throw new Error(`ClickHouse: ${text}`);
    return text;
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }
}
