/**
 * The canonical workload: synthetic events of the shape of samples/*.ndjson.gz (19 leaf fields, about 650 B as JSON) with
 * Zipf-distributed types, countries, sessions and users. The same seed gives the same events, byte for byte.
 *
 * A run repeats a pool of templates, each time with fresh event ids (`frame-template.ts`). `duplicatesPerFrame` events of frame
 * f are copies, id included, of events of frame f - 1:
 *
 *   frame f-1  [d d d . . . . A B C]      template (f-1) mod pool
 *   frame f    [A B C . . . . . . .]      template  f    mod pool; d = copies out of frame f-2
 */
import { partitionOf } from "../protocol/partition-hash.ts";

export interface WorkloadParameters {
  readonly seed: number;
  readonly sessions: number;
  readonly users: number;
  readonly templates: number;
  readonly batch: number;
  /** How many events of a frame repeat events of the frame before. */
  readonly duplicatesPerFrame: number;
  /** Event times lie in the `spreadMs` before this moment. */
  readonly nowMs: number;
  readonly spreadMs: number;
}

export const canonicalWorkload = {
  seed: 1,
  sessions: 20_000,
  users: 8_000,
  templates: 500,
  batch: 100,
  duplicatesPerFrame: 3,
  spreadMs: 30_000,
} as const satisfies Omit<WorkloadParameters, "nowMs">;

export interface WorkloadEvent {
  readonly eventId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly eventType: string;
  readonly eventCategory: string;
  readonly timestamp: number;
  readonly properties: { readonly path: string; readonly value: number; readonly durationMs: number };
  readonly context: {
    readonly userAgent: string;
    readonly ipAddress: string;
    readonly deviceType: string;
    readonly platform: string;
    readonly location: { readonly country: string; readonly region: string };
    readonly referrer: string;
  };
  readonly source: string;
  readonly version: string;
  readonly environment: string;
}

const eventTypes: readonly (readonly [type: string, category: string])[] = [
  ["page_view", "web"],
  ["asset_request", "web"],
  ["click", "web"],
  ["item_viewed", "commerce"],
  ["search", "web"],
  ["item_added", "commerce"],
  ["item_purchased", "commerce"],
  ["signup", "account"],
  ["login", "account"],
  ["request_error", "error"],
];
const countries = ["US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "AU", "NL", "ES", "IT", "PL", "SE", "KR", "MX", "CH", "AT"];
const devices: readonly (readonly [device: string, platform: string, userAgent: string])[] = [
  [
    "desktop",
    "Windows",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
  ],
  [
    "mobile",
    "iOS",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0",
  ],
  [
    "mobile",
    "Android",
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
  ],
  ["desktop", "macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0"],
];

/** Uniform numbers in [0, 1) from a 32-bit seed (mulberry32; Tommy Ettinger, public domain). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Ranks 0 .. count - 1 with probability proportional to 1 / (rank + 1). */
export function zipf(count: number, random: () => number): () => number {
  const cumulative = new Float64Array(count);
  let total = 0;
  for (let rank = 0; rank < count; rank++) {
    total += 1 / (rank + 1);
    cumulative[rank] = total;
  }
  return () => {
    const point = random() * total;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((cumulative[middle] ?? total) <= point) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Where the number stands in an event id, and how long it is. */
export const ID_PREFIX_LENGTH = 24;
export const ID_NUMBER_DIGITS = 12;

/** UUID-shaped; the last 12 hexadecimal digits are the number of the event in its run. */
export function eventIdOf(seed: number, number: number): string {
  return `${hex(seed >>> 0, 8)}-0000-7000-8000-${hex(number, ID_NUMBER_DIGITS)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** The events of every template, in slot order. Their ids are those of frames 0 .. templates - 1. */
export function generateTemplates(parameters: WorkloadParameters): WorkloadEvent[][] {
  const { seed, templates, batch, duplicatesPerFrame } = parameters;
  const next = eventGenerator(parameters);
  const pool: WorkloadEvent[][] = [];
  for (let frame = 0; frame < templates; frame++) {
    const events: WorkloadEvent[] = [];
    for (let slot = 0; slot < batch; slot++) events.push(next(eventIdOf(seed, frame * batch + slot)));
    pool.push(events);
  }
  for (const [frame, events] of pool.entries()) {
    const previous = at(pool, (frame + templates - 1) % templates);
    for (let slot = 0; slot < duplicatesPerFrame; slot++) {
      events[slot] = { ...at(previous, batch - duplicatesPerFrame + slot), eventId: at(events, slot).eventId };
    }
  }
  return pool;
}

function eventGenerator({ seed, sessions, users, nowMs, spreadMs }: WorkloadParameters): (eventId: string) => WorkloadEvent {
  const random = randomFrom(seed);
  const nextSession = zipf(sessions, random);
  const nextType = zipf(eventTypes.length, random);
  return (eventId) => {
    const session = nextSession();
    const sessionId = `${hex(seed, 8)}-5e55-4000-8000-${hex(session, 12)}`;
    const [eventType, eventCategory] = at(eventTypes, nextType());
    // A session stays with one user, country and device: they follow from its number.
    const [deviceType, platform, userAgent] = at(devices, session % devices.length);
    const country = at(countries, zipfByHash(sessionId, countries.length));
    return {
      eventId,
      userId: `user-${session % users}`,
      sessionId,
      eventType,
      eventCategory,
      timestamp: Math.floor(nowMs - random() * spreadMs),
      properties: {
        path: `/products/${Math.floor(random() * 500)}`,
        value: Math.floor(random() * 10_000) / 100,
        durationMs: Math.floor(random() * 2_000),
      },
      context: {
        userAgent,
        ipAddress: `10.${session & 255}.${(session >> 8) & 255}.7`,
        deviceType,
        platform,
        location: { country, region: `${country}-${session % 8}` },
        referrer: "https://www.example.com/search?q=weir",
      },
      source: "web-shop",
      version: "1.0.0",
      environment: "bench",
    };
  };
}

/** A rank that is the same each time for a text, low ranks being more frequent. */
function zipfByHash(text: string, count: number): number {
  const uniform = partitionOf("bench", text, 10_007) / 10_007;
  return Math.min(count - 1, Math.floor(count * uniform * uniform));
}

function at<Item>(list: readonly Item[], index: number): Item {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${index} in a list of ${list.length}`);
  return item;
}

/** How many different event ids the frames 0 .. frames - 1 of a run hold. */
export function distinctEvents(frames: number, { batch, duplicatesPerFrame }: WorkloadParameters): number {
  return frames === 0 ? 0 : frames * batch - (frames - 1) * duplicatesPerFrame;
}

export interface AnswerRow {
  readonly eventType: string;
  readonly country: string;
  readonly count: number;
}

/** What a correct server answers after frames 0 .. frames - 1: events by type and country, sorted. */
export function expectedAnswer(pool: readonly WorkloadEvent[][], frames: number, parameters: WorkloadParameters): AnswerRow[] {
  const counts = new Map<string, number>();
  for (const [index, events] of pool.entries()) {
    const uses = Math.floor((frames - index + pool.length - 1) / pool.length);
    for (const [slot, { eventType, context }] of events.entries()) {
      const isCopy = slot < parameters.duplicatesPerFrame;
      // The copies in frame 0 have no original before them: they count.
      const counted = isCopy ? (index === 0 && frames > 0 ? 1 : 0) : uses;
      const key = `${eventType}\t${context.location.country}`;
      if (counted > 0) counts.set(key, (counts.get(key) ?? 0) + counted);
    }
  }
  const rows = [...counts].map(([key, count]) => {
    const [eventType = "", country = ""] = key.split("\t");
    return { eventType, country, count };
  });
  return sortAnswer(rows);
}

export function sortAnswer(rows: readonly AnswerRow[]): AnswerRow[] {
  const keyOf = (row: AnswerRow): string => `${row.eventType}\t${row.country}`;
  return rows.toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}
