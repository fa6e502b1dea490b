/**
 * VictoriaMetrics: the value of an event and four of its fields as labels, as lines of InfluxDB over HTTP. The rest of the
 * event is gone. An ack means that the lines are in memory; they reach the disk within seconds.
 */
import { execFileSync } from "node:child_process";
import { claimPort } from "../../storage/questdb/port.ts";
import { sortAnswer, type AnswerRow, type WorkloadEvent } from "../workload.ts";
import { HttpConnection } from "./http-connection.ts";
import { findProgram, programOf, type PeerMachine } from "./machine.ts";
import type { Peer, PeerServer } from "./peer.ts";
import { Program, temporaryFolder } from "./program.ts";

export const victoriaMetrics: Peer = {
  name: "victoria-metrics",
  durable: "no: written within seconds",
  aggregates: "when asked; 1 number and 4 labels of an event",
  deduplicates: false,
  load: { eventsPerSecond: 600_000, connections: 8, inFlight: 1, framesPerRequest: 1 },
  inSmallSize: true,
  missing: async (machine) =>
    findProgram("victoria-metrics", machine) === undefined ? "no victoria-metrics (Debian package victoria-metrics)" : undefined,
  start: startVictoriaMetrics,
  generator: {
    ids: false,
    encode: (events) => [Buffer.from(events.map(lineOf).join(""))],
    connect: async ({ port }) => new HttpConnection(port, "/write?precision=ms"),
  },
};

function lineOf({ timestamp, eventType, context, properties }: WorkloadEvent): string {
  const { deviceType, platform, location } = context;
  const labels = `type=${eventType},country=${location.country},device=${deviceType},platform=${platform}`;
  return `event,${labels} value=${properties.value} ${timestamp}\n`;
}

async function startVictoriaMetrics(machine: PeerMachine): Promise<PeerServer> {
  const command = programOf("victoria-metrics", machine);
  const version = /\d+\.\d+\.\d+/.exec(execFileSync(command, ["-version"], { encoding: "utf8" }))?.[0] ?? "not stated";
  const folder = await temporaryFolder("victoria-metrics");
  const port = await claimPort(0);
  const url = `http://127.0.0.1:${port}`;
  const args = [`-httpListenAddr=127.0.0.1:${port}`, `-storageDataPath=${folder}/data`, "-loggerLevel=ERROR"];
  const isReady = async (): Promise<boolean> => {
    try {
      return (await fetch(`${url}/health`)).ok;
    } catch {
      return false;
    }
  };
  const program = await Program.start({ command, args, folder, isReady }, machine);
  return {
    version,
    address: { port },
    cpuUs: () => program.cpuUs(),
    answer: () => counted(url),
    stop: () => program.stop(),
  };
}

interface QueryAnswer {
  readonly data?: { readonly result: readonly { readonly metric: Record<string, string>; readonly value: [number, string] }[] };
}

/** Queries look back from a moment that is later than every event. */
async function counted(url: string): Promise<AnswerRow[]> {
  await fetch(`${url}/internal/force_flush`);
  const query = new URLSearchParams({
    query: "sum(count_over_time(event_value[1h])) by (type, country)",
    time: String(Math.ceil(Date.now() / 1_000) + 1),
    nocache: "1",
    latency_offset: "1ms",
  });
  const answer = (await (await fetch(`${url}/api/v1/query?${query.toString()}`)).json()) as QueryAnswer;
  const rows = (answer.data?.result ?? []).map(({ metric, value: [, count] }) => ({
    eventType: metric["type"] ?? "",
    country: metric["country"] ?? "",
    count: Number(count),
  }));
  return sortAnswer(rows);
}
