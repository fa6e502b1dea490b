/**
 * What a team would write in an afternoon, and what Weir is compared with: ws, JSON, zod, maps with text keys.
 * It does the work that Weir does: checks every event, refuses invalid and late ones, drops ids that it has seen, counts and sums
 * by minute, type and country, keeps distinct users by minute, and acknowledges after aggregating; each tenant for itself.
 * Nothing is durable: a crash loses everything, refused events are only counted. A key is the tenant's name, unchecked.
 * A program of its own: it reports `{port}` to its parent and answers `GET /answer` with events by type and country.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import { z } from "zod";
import { ALLOWED_LATENESS_MS, sortAnswer, type AnswerRow } from "./workload.ts";

const AHEAD_MS_MAX = 5 * 60_000;

const text = z.string().min(1).max(256);
const eventSchema = z.looseObject({
  eventId: text,
  userId: text.optional(),
  sessionId: text,
  eventType: text,
  eventCategory: text,
  timestamp: z.union([z.number(), z.iso.datetime()]),
  properties: z.record(z.string(), z.unknown()),
  context: z.looseObject({
    userAgent: z.string(),
    ipAddress: z.string(),
    deviceType: z.string(),
    platform: z.string(),
    location: z.looseObject({ country: z.string(), region: z.string() }).optional(),
    referrer: z.string().optional(),
  }),
  source: text,
  version: text,
  environment: text,
});
const frameSchema = z.object({ t: z.literal("pub"), seq: z.number(), events: z.array(z.unknown()) });
type Event = z.output<typeof eventSchema>;

interface Pane {
  readonly eventType: string;
  readonly country: string;
  count: number;
  sum: number;
  min: number;
  max: number;
}

class Tenant {
  readonly seenIds = new Set<string>();
  readonly panes = new Map<string, Pane>();
  readonly usersByMinute = new Map<number, Set<string>>();
  readonly sessions = new Map<string, { events: number; lastMs: number }>();
  newestMs = 0;
  refused = 0;
}

const tenants = new Map<string, Tenant>();

function tenantOf({ headers }: IncomingMessage): Tenant {
  const name = headers.authorization ?? "";
  const tenant = tenants.get(name) ?? new Tenant();
  tenants.set(name, tenant);
  return tenant;
}

function timeOf({ timestamp }: Event): number {
  return typeof timestamp === "number" ? timestamp : Date.parse(timestamp);
}

function aggregate(tenant: Tenant, event: Event, timeMs: number): void {
  const { panes, usersByMinute, sessions } = tenant;
  tenant.newestMs = Math.max(tenant.newestMs, timeMs);
  const minute = Math.floor(timeMs / 60_000);
  const country = event.context.location?.country ?? "";
  const key = `${minute}|${event.eventType}|${country}`;
  const value = Number(event.properties["value"] ?? 0);
  const pane = panes.get(key);
  if (pane === undefined) {
    panes.set(key, { eventType: event.eventType, country, count: 1, sum: value, min: value, max: value });
  } else {
    pane.count++;
    pane.sum += value;
    pane.min = Math.min(pane.min, value);
    pane.max = Math.max(pane.max, value);
  }
  const users = usersByMinute.get(minute) ?? new Set();
  users.add(event.userId ?? "");
  usersByMinute.set(minute, users);
  const session = sessions.get(event.sessionId);
  if (session === undefined) sessions.set(event.sessionId, { events: 1, lastMs: timeMs });
  else {
    session.events++;
    session.lastMs = Math.max(session.lastMs, timeMs);
  }
}

/** undefined: counted. */
function take(tenant: Tenant, input: unknown): object | undefined {
  const { success, data: event, error } = eventSchema.safeParse(input);
  if (!success) {
    tenant.refused++;
    return { success: false, code: "invalid", error: error.issues[0]?.message };
  }
  const { eventId } = event;
  if (tenant.seenIds.has(eventId)) return { eventId, success: true, code: "duplicate" };
  const timeMs = timeOf(event);
  if (timeMs > Date.now() + AHEAD_MS_MAX) {
    tenant.refused++;
    return { eventId, success: false, code: "invalid", error: "in the future" };
  }
  if (timeMs < tenant.newestMs - ALLOWED_LATENESS_MS) {
    tenant.refused++;
    return { eventId, success: false, code: "late", error: "too late" };
  }
  tenant.seenIds.add(eventId);
  aggregate(tenant, event, timeMs);
  return undefined;
}

function answer(socket: WebSocket, tenant: Tenant, data: string): void {
  const frame = frameSchema.parse(JSON.parse(data));
  const results: object[] = [];
  const refusedBefore = tenant.refused;
  for (const [index, input] of frame.events.entries()) {
    const result = take(tenant, input);
    if (result !== undefined) results.push({ index, ...result });
  }
  const totalEvents = frame.events.length;
  const failedEvents = tenant.refused - refusedBefore;
  const successfulEvents = totalEvents - failedEvents;
  socket.send(JSON.stringify({ t: "ack", seq: frame.seq, totalEvents, successfulEvents, failedEvents, results }));
}

function eventsByTypeAndCountry({ panes }: Tenant): AnswerRow[] {
  const totals = new Map<string, { eventType: string; country: string; count: number }>();
  for (const { eventType, country, count } of panes.values()) {
    const key = `${eventType}|${country}`;
    const total = totals.get(key) ?? { eventType, country, count: 0 };
    total.count += count;
    totals.set(key, total);
  }
  return sortAnswer([...totals.values()]);
}

const http = createServer((request, response) => {
  response.setHeader("content-type", "application/json").end(JSON.stringify(eventsByTypeAndCountry(tenantOf(request))));
});
new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket, request) => {
  const tenant = tenantOf(request);
  socket.on("message", (data: Buffer) => answer(socket, tenant, data.toString()));
});
http.listen(0, "127.0.0.1", () => process.send?.({ port: (http.address() as AddressInfo).port }));
// The parent's end is the end of this server.
process.on("disconnect", () => process.exit(0));
