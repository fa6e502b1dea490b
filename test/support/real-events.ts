/** The two real event streams of the project and their reference answers, which were computed elsewhere. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { EventInput } from "../../client/index.ts";
import { projectRoot } from "./project.ts";

export interface NumericReference {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly disc: { readonly p50: number; readonly p95: number; readonly p99: number };
}

export interface RealEvents {
  readonly name: string;
  readonly events: readonly (EventInput & { readonly eventId: string; readonly timestamp: string })[];
  /** The dimension beside the event type, and the property that is summed up. */
  readonly dimension: string;
  readonly value: string;
  /** What the top list is of. */
  readonly top: string;
  readonly expected: {
    readonly total: number;
    readonly users: number;
    readonly sessions: number;
    readonly firstTimestamp: string;
    readonly lastTimestamp: string;
    readonly perDay: readonly {
      readonly day: string;
      readonly events: number;
      readonly users: number;
      readonly sessions: number;
    }[];
    readonly numeric: Readonly<Record<string, Readonly<Record<string, NumericReference>>>>;
    readonly top: Readonly<Record<string, { readonly byCount: readonly (readonly [string, number])[] }>>;
  };
  /** [bucket start, event type, dimension, count] */
  readonly minutes: readonly (readonly [string, string, string, number])[];
  readonly hours: readonly (readonly [string, string, string, number])[];
  /** [session id, start, duration in ms, events] */
  readonly sessions: readonly (readonly [string, string, number, number])[];
}

export const webEvents = (): RealEvents => load("samples/web-2015-05", { dimension: "deviceType", value: "bytes", top: "path" });
export const retailEvents = (): RealEvents =>
  load("test/data/retail-2011-10", { dimension: "country", value: "amount", top: "sku" });

function load(path: string, facts: { dimension: string; value: string; top: string }): RealEvents {
  const buckets = readJson(`${path}.buckets.json.gz`) as Pick<RealEvents, never> & {
    minute: RealEvents["minutes"];
    hour: RealEvents["hours"];
  };
  return {
    name: path,
    ...facts,
    events: readText(`${path}.ndjson.gz`)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as RealEvents["events"][number]),
    expected: readJson(`${path}.expected.json`) as RealEvents["expected"],
    minutes: buckets.minute,
    hours: buckets.hour,
    sessions: (readJson(`${path}.sessions.json.gz`) as { sessions: RealEvents["sessions"] }).sessions,
  };
}

function readJson(path: string): unknown {
  return JSON.parse(readText(path)) as unknown;
}

function readText(path: string): string {
  const bytes = readFileSync(join(projectRoot, path));
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
}

/** The same events, moved by up to `withinMs` from their place in time; the same seed gives the same order. */
export function shuffled<Event extends { readonly timestamp: string }>(
  events: readonly Event[],
  withinMs: number,
  seed: number,
): Event[] {
  let state = seed;
  const random = (): number => {
    // A linear congruential generator (Numerical Recipes) is enough to mix an order.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return events
    .map((event) => ({ event, at: Date.parse(event.timestamp) + random() * withinMs }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ event }) => event);
}
