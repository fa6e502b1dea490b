/**
 * A stream with something of everything that a ledger counts: accepted events of several sessions, hours and days (so that
 * some panes age out), duplicates, late and invalid events, and a body that is no JSON. The counts follow from the code.
 */
import { DAY_MS, HOUR_MS } from "../../protocol/windows.ts";
import { wireEvent } from "../workers/frame-fixture.ts";

export const FIRST_MS = Date.UTC(2025, 0, 1, 12);
/** The watermark after all of it. With 7 days of retention the first day is past it. */
export const LAST_MS = FIRST_MS + 12 * DAY_MS;

/** Bodies of `POST /v1/events`, and what becomes of their events. `name` keeps ids apart. */
export function mixedBodies(name: string, sessions = 12): { bodies: string[]; counts: Record<string, number> } {
  const events = (day: number) =>
    Array.from({ length: 60 }, (_, index) =>
      wireEvent({
        id: `${name}-${day}-${index}`,
        sessionId: `s${index % sessions}`,
        timeMs: FIRST_MS + day * DAY_MS + (index % 5) * HOUR_MS,
      }),
    );
  const late = Array.from({ length: 6 }, (_, index) =>
    wireEvent({ id: `${name}-late-${index}`, sessionId: `s${index}`, timeMs: FIRST_MS }),
  );
  const invalid = Array.from({ length: 7 }, (_, index) => ({
    ...wireEvent({ id: `${name}-bad`, sessionId: `s${index}` }),
    source: 7,
  }));
  const last = wireEvent({ id: `${name}-last`, sessionId: "s0", timeMs: LAST_MS });
  // Every partition has to come as far as the last day, so that all of them find the late ones late.
  const everywhere = Array.from({ length: sessions }, (_, index) =>
    wireEvent({ id: `${name}-end-${index}`, sessionId: `s${index}`, timeMs: LAST_MS - index }),
  );
  const bodies = [
    events(0),
    events(5),
    [...events(5).slice(0, 20), ...invalid],
    [...everywhere, last],
    [...late, ...events(11)],
  ].map((each) => JSON.stringify(each));
  return {
    bodies: [...bodies, "[{"],
    counts: {
      received: 60 + 60 + 27 + sessions + 1 + 66 + 1,
      accepted: 180 + sessions + 1,
      duplicate: 20,
      late: 6,
      invalid: 8,
    },
  };
}

export async function send(url: string, key: string, bodies: readonly string[]): Promise<void> {
  for (const body of bodies) {
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    await (await fetch(`${url}/v1/events`, { method: "POST", headers, body })).text();
  }
}
