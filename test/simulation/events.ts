/** What simulated services send: few sessions, types and countries, so that everything meets everything. */
import type { TenantId } from "../../protocol/ids.ts";
import { HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import type { Random } from "./random.ts";

export const TENANT = "acme" as TenantId;
/** Where the virtual clock begins: a whole hour. */
export const BASE_MS = Date.UTC(2026, 0, 15, 12);
export const ALLOWED_LATENESS_MS = 6 * HOUR_MS;

export interface SimEvent {
  readonly eventId: string;
  readonly sessionId: string;
  readonly userId: string;
  readonly eventType: string;
  readonly country: string;
  readonly timeMs: number;
  readonly value: number;
  /** It lacks a field, and must be refused. */
  readonly broken: boolean;
}

/** Ages are mostly small; some reach back over the panes of a minute and an hour, and a few past the lateness horizon. */
export function randomEvent(random: Random, eventId: string, nowMs: number): SimEvent {
  const ageMs = random.chance(0.6)
    ? random.integer(0, 30_000)
    : random.chance(0.9)
      ? random.integer(0, 4 * HOUR_MS)
      : random.integer(5 * HOUR_MS, 9 * HOUR_MS);
  return {
    eventId,
    sessionId: `s${random.integer(0, 12)}`,
    userId: `u${random.integer(0, 5)}`,
    eventType: random.pick(["click", "buy", "error"]),
    country: random.pick(["DE", "FR", "NZ"]),
    // A producer's clock may be ahead of ours, within what is allowed.
    timeMs: nowMs - ageMs + (random.chance(0.1) ? random.integer(0, MINUTE_MS) : 0),
    value: random.integer(-50, 1_000),
    broken: random.chance(0.03),
  };
}

export function wireEvent(event: SimEvent): Record<string, unknown> {
  return {
    eventId: event.eventId,
    userId: event.userId,
    sessionId: event.sessionId,
    eventType: event.eventType,
    ...(event.broken ? {} : { eventCategory: "ui" }),
    timestamp: event.timeMs,
    properties: { value: event.value },
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "", location: { country: event.country } },
    source: "sim",
    version: "1",
    environment: "sim",
  };
}
