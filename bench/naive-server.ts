/**
 * What a team would write in an afternoon, and what Weir is compared with: ws, JSON, zod, maps with text keys.
 * It checks every event, drops ids that it has seen, counts and sums by minute, type and country, keeps distinct users by
 * minute, and acknowledges after aggregating. Nothing is durable: a crash loses everything.
 * A program of its own: it reports `{port}` to its parent and answers `GET /answer` with events by type and country.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import { z } from "zod";
import { sortAnswer, type AnswerRow } from "./workload.ts";

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

const seenIds = new Set<string>();
const panes = new Map<string, Pane>();
const usersByMinute = new Map<number, Set<string>>();
const sessions = new Map<string, { events: number; lastMs: number }>();

function aggregate(event: Event): void {
  const timeMs = typeof event.timestamp === "number" ? event.timestamp : Date.parse(event.timestamp);
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

function answer(socket: WebSocket, data: string): void {
  const frame = frameSchema.parse(JSON.parse(data));
  const results: object[] = [];
  let failedEvents = 0;
  for (const [index, input] of frame.events.entries()) {
    const { success, data: event, error } = eventSchema.safeParse(input);
    if (!success) {
      failedEvents++;
      results.push({ index, success: false, error: error.message });
    } else if (seenIds.has(event.eventId)) {
      results.push({ index, eventId: event.eventId, success: true, duplicate: true });
    } else {
      seenIds.add(event.eventId);
      aggregate(event);
    }
  }
  const totalEvents = frame.events.length;
  socket.send(
    JSON.stringify({
      t: "ack",
      seq: frame.seq,
      totalEvents,
      successfulEvents: totalEvents - failedEvents,
      failedEvents,
      results,
    }),
  );
}

function eventsByTypeAndCountry(): AnswerRow[] {
  const totals = new Map<string, { eventType: string; country: string; count: number }>();
  for (const { eventType, country, count } of panes.values()) {
    const key = `${eventType}|${country}`;
    const total = totals.get(key) ?? { eventType, country, count: 0 };
    total.count += count;
    totals.set(key, total);
  }
  return sortAnswer([...totals.values()]);
}

const http = createServer((_request, response) => {
  response.setHeader("content-type", "application/json").end(JSON.stringify(eventsByTypeAndCountry()));
});
new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket) => {
  socket.on("message", (data: Buffer) => answer(socket, data.toString()));
});
http.listen(0, "127.0.0.1", () => process.send?.({ port: (http.address() as AddressInfo).port }));
// The parent's end is the end of this server.
process.on("disconnect", () => process.exit(0));
