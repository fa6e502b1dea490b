/**
 * PostgreSQL as one would build this on it: COPY of a batch into a temporary table, then in the same transaction the rows
 * that are new into the events, and their count, sum, minimum and maximum into a table by minute, type and country. One
 * round trip for all of it: the statements go as one simple query, with the rows right behind.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { chown } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { claimPort } from "../../storage/questdb/port.ts";
import { sortAnswer, type AnswerRow } from "../workload.ts";
import { findPrograms, type PeerMachine } from "./machine.ts";
import type { Peer, PeerConnection, PeerServer } from "./peer.ts";
import { Program, temporaryFolder, type UserIds } from "./program.ts";
import { columnNames, encodeTabSeparated, type EventColumn } from "./tab-separated.ts";

const USER = "bench";

export const postgresql: Peer = {
  name: "postgresql",
  durable: "yes: synchronous_commit on",
  aggregates: "yes: count, sum, min, max by minute, type, country",
  deduplicates: true,
  load: { eventsPerSecond: 50_000, connections: 8, inFlight: 1, framesPerRequest: 1 },
  inSmallSize: true,
  missing: async (machine) => {
    if (findServer(machine) === undefined) return "no postgres with initdb beside it (Debian package postgresql)";
    const noUser = process.getuid?.() === 0 && otherUser() === undefined;
    return noUser ? "no user to run it as: it refuses root (Debian package postgresql makes one)" : undefined;
  },
  start: startPostgresql,
  generator: {
    ids: true,
    encode: (events) => [encodeTabSeparated(events)],
    connect: async ({ port }) => {
      const client = await connectTo(port);
      await client.query("CREATE TEMPORARY TABLE batch (LIKE events) ON COMMIT DELETE ROWS");
      return new CopyConnection(client);
    },
  },
};

const columnTypes: Partial<Record<EventColumn, string>> = {
  event_id: "uuid PRIMARY KEY",
  ts: "timestamptz NOT NULL",
  value: "double precision",
  duration_ms: "integer",
};

const schema = `
CREATE TABLE events (${columnNames.map((name) => `${name} ${columnTypes[name] ?? "text"}`).join(", ")});
CREATE TABLE panes (
  minute timestamptz, event_type text, country text,
  count bigint, sum double precision, min double precision, max double precision,
  PRIMARY KEY (minute, event_type, country)
)`;

/** In the order of the key, so that two transactions never wait for each other. */
const statements = `
COPY batch FROM STDIN;
WITH fresh AS (
  INSERT INTO events SELECT * FROM batch ON CONFLICT DO NOTHING RETURNING ts, event_type, country, value
)
INSERT INTO panes AS pane
SELECT date_trunc('minute', ts), event_type, country, count(*), sum(value), min(value), max(value)
FROM fresh GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (minute, event_type, country) DO UPDATE SET
  count = pane.count + excluded.count, sum = pane.sum + excluded.sum,
  min = least(pane.min, excluded.min), max = greatest(pane.max, excluded.max)`;

/** What pg's connection can do and its types do not say. */
interface CopyingConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** The statements with the rows that the first one reads; pg calls the handlers. */
class CopyBatch implements pg.Submittable {
  readonly #rows: Buffer;
  readonly #settle: (failure: Error | undefined) => void;
  #failure: Error | undefined;

  constructor(rows: Buffer, settle: (failure: Error | undefined) => void) {
    this.#rows = rows;
    this.#settle = settle;
  }

  submit(connection: pg.Connection): void {
    const copying = connection as unknown as CopyingConnection;
    copying.query(statements);
    copying.sendCopyFromChunk(this.#rows);
    copying.endCopyFrom();
  }

  handleCopyInResponse(): void {
    // The rows are on their way already.
  }

  handleCommandComplete(): void {
    // One of several: the end is ReadyForQuery.
  }

  handleError(cause: Error): void {
    this.#failure ??= cause;
  }

  handleReadyForQuery(): void {
    this.#settle(this.#failure);
  }
}

class CopyConnection implements PeerConnection {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  send(rows: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.query(new CopyBatch(rows, (failure) => (failure === undefined ? resolve() : reject(failure))));
    });
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

async function connectTo(port: number): Promise<pg.Client> {
  const client = new pg.Client({ host: "127.0.0.1", port, user: USER, database: "postgres", options: "-c timezone=UTC" });
  // A connection that ends between two queries; the next query says so.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

function findServer(machine: PeerMachine): { readonly postgres: string; readonly initdb: string } | undefined {
  return findPrograms("postgres", machine)
    .map((postgres) => ({ postgres, initdb: join(dirname(realpathSync(postgres)), "initdb") }))
    .find(({ initdb }) => existsSync(initdb));
}

/** The user of the package, else one without rights. */
function otherUser(): UserIds | undefined {
  if (!existsSync("/etc/passwd")) return undefined;
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  for (const wanted of ["postgres", "nobody"]) {
    const [, , uid, gid] = users.find(([name]) => name === wanted) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  return undefined;
}

async function startPostgresql(machine: PeerMachine): Promise<PeerServer> {
  const server = findServer(machine);
  if (server === undefined) throw new Error("postgres is gone");
  const user = process.getuid?.() === 0 ? otherUser() : undefined;
  const folder = await temporaryFolder("postgresql");
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const initArgs = ["-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
  await promisify(execFile)(server.initdb, initArgs, { cwd: folder, env: machine.env, ...user });
  const port = await claimPort(0);
  const program = await Program.start(
    {
      command: server.postgres,
      args: ["-D", data, ...settingsOf(port)],
      folder,
      ...(user === undefined ? {} : { user }),
      isReady: () => answers(port),
      // At once and without a checkpoint: nobody wants its data again.
      stopSignal: "SIGQUIT",
    },
    machine,
  );
  try {
    return { ...(await prepare(port)), address: { port }, cpuUs: () => program.cpuUs(), stop: () => program.stop() };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** It listens before it is done with starting. */
async function answers(port: number): Promise<boolean> {
  try {
    await (await connectTo(port)).end();
    return true;
  } catch {
    return false;
  }
}

function settingsOf(port: number): string[] {
  const settings: Readonly<Record<string, string>> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    fsync: "on",
    synchronous_commit: "on",
    shared_buffers: "512MB",
    max_wal_size: "8GB",
    jit: "off",
  };
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

async function prepare(port: number): Promise<Pick<PeerServer, "version" | "answer">> {
  const client = await connectTo(port);
  await client.query(schema);
  const { rows } = await client.query<{ server_version: string }>("SHOW server_version");
  await client.end();
  return { version: rows[0]?.server_version ?? "unknown", answer: () => counted(port) };
}

async function counted(port: number): Promise<AnswerRow[]> {
  const client = await connectTo(port);
  try {
    const { rows } = await client.query<{ event_type: string; country: string; count: string }>(
      "SELECT event_type, country, sum(count) AS count FROM panes GROUP BY 1, 2",
    );
    return sortAnswer(rows.map((row) => ({ eventType: row.event_type, country: row.country, count: Number(row.count) })));
  } finally {
    await client.end();
  }
}
