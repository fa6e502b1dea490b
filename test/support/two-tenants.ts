/**
 * A real server with two tenants that know nothing of each other. `aqua` has a metric, sessions, dead letters and an open
 * subscription; `brook` asks. Names of `aqua` and names that nobody has are of the same length and told apart by `ask` only.
 */
import { createLog } from "../../server/log.ts";
import { TestSocket, type Frame } from "../server/gateway-fixture.ts";
import { startRealServer, type RealServer } from "./real-server.ts";

/** What only `aqua` has, and what nobody has; each pair stands for the same kind of name. */
export const names = {
  metric: ["aqua_only_metric", "none_only_metric"],
  session: ["aqua-session-1", "none-session-1"],
  event: ["aqua-event-1", "none-event-1"],
  type: ["aqua_type", "none_type"],
} as const;
export type NameKind = keyof typeof names;

export interface TwoTenants {
  readonly real: RealServer;
  readonly keys: { readonly aqua: string; readonly brook: string };
  /** `aqua`'s open subscription; it has had its snapshot. */
  readonly watcher: TestSocket;
  readonly logLines: string[];
  /** Of `aqua`'s events. */
  readonly proof: string;
  ask(key: string, path: string, init?: RequestInit): Promise<Answer>;
  open(key: string | undefined): Promise<TestSocket>;
}

export interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

export function event(eventId: string, sessionId: string, eventType: string): Record<string, unknown> {
  return {
    eventId,
    sessionId,
    eventType,
    eventCategory: "web",
    timestamp: Date.now(),
    properties: {},
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "" },
    source: "test",
    version: "1",
    environment: "test",
  };
}

export async function startTwoTenants(): Promise<TwoTenants> {
  const logLines: string[] = [];
  const log = createLog({ level: "trace", destination: { write: (line) => void logLines.push(line) } });
  const real = await startRealServer({ hostThreads: 0, partitions: 2, partialEveryMs: 20 }, undefined, log);
  const keys = { aqua: await real.newKey("aqua"), brook: await real.newKey("brook") };
  const open = async (key: string | undefined) => {
    const socket = new TestSocket(`${real.url.replace("http", "ws")}/v1/stream`, key);
    await socket.opened;
    return socket;
  };
  const ask = async (key: string, path: string, init: RequestInit = {}): Promise<Answer> => {
    const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
    const response = await fetch(real.url + path, { ...init, headers });
    return { status: response.status, headers: headersOf(response), body: await response.text() };
  };
  const metric = JSON.stringify({ name: names.metric[0], aggregates: ["count"], dimensions: ["eventType"] });
  await ask(keys.aqua, "/v1/metrics-catalog", { method: "POST", body: metric });
  const watcher = await open(keys.aqua);
  const subscribed = watcher.ask({ t: "sub", id: 1, channel: `${names.metric[0]}@24h` });
  const snapshot = (await subscribed)["t"];
  if (snapshot !== "snap") throw new Error(`no snapshot but ${String(snapshot)}`);
  const events = [event(names.event[0], names.session[0], names.type[0]), { eventId: "aqua-bad", sessionId: names.session[0] }];
  const { body } = await ask(keys.aqua, "/v1/events", { method: "POST", body: JSON.stringify(events) });
  const { proof } = JSON.parse(body) as { proof: string };
  await watcher.next();
  return { real, keys, watcher, logLines, proof, open, ask };
}

/** Without what differs between any two answers: ids and times. */
export function plain(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "ID")
    .replaceAll(/"(receipt|proof)":"[^"]*"/g, '"$1":"R"')
    .replaceAll(/\b1[0-9]{12}(\.[0-9]+)?\b/g, "T")
    .replaceAll(/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/g, "T")
    .replaceAll(/"(executionTime|dataFreshness)":[0-9.]+/g, '"$1":0');
}

/** Frames as text, without ids and times. */
export function plainFrame(frame: Frame): string {
  return plain(JSON.stringify(frame));
}

/** Replaces each of the names, of whichever tenant, by what it is. */
export function nameless(text: string): string {
  let result = text;
  for (const [kind, pair] of Object.entries(names)) for (const name of pair) result = result.replaceAll(name, `<${kind}>`);
  return result;
}

// Times in a body have more or fewer digits.
const varying = new Set(["date", "x-request-id", "keep-alive", "connection", "content-length"]);

function headersOf({ headers }: Response): string {
  const lines = [...headers].filter(([name]) => !varying.has(name)).map(([name, value]) => `${name}: ${value}`);
  return plain(lines.toSorted().join("\n"));
}
