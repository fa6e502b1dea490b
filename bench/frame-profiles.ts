/**
 * The frames of `scale` and `hostile`: of ordinary events, and of events made to be slow. A profile is named with its
 * parameters in a message to the load client, which makes it there.
 */
import { type FrameProfile, type StampedField } from "./stamped-frames.ts";

export interface ProfileParameters {
  /** Distinguishes the ids of runs. */
  readonly run: number;
  readonly batch: number;
  readonly sessions: number;
  /** Values of `properties.shop`: the series of a metric by it. */
  readonly series: number;
  readonly nowMs: number;
}

/** Odd and prime: n * STRIDE mod m visits all of 0 .. m - 1 once in m steps, far apart, for every m that it does not divide. */
const STRIDE = 2_654_435_761;
const TYPES = ["page_view", "click", "search", "item_viewed", "item_added", "item_purchased", "signup", "login"];
const COUNTRIES = ["US", "DE", "GB", "FR", "IN", "BR", "JP", "CA", "AU", "NL", "ES", "IT"];
/** Events lie in one pane of 10 s, whenever the bench is run. */
const SPREAD_MS = 8_000;
const SLICE_MS = 10_000;
const EVENT_TYPES = 100_000;
const KEYS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];
const LONG_KEYS = 10;
const LONG_KEY_BYTES = 250;

function eventIds(digits: StampedField["digits"] = "hex"): StampedField {
  return { name: "eventId", digits, value: (eventNumber) => eventNumber };
}

function sessionOf(sessions: number): (eventNumber: number) => number {
  return (eventNumber) => ((eventNumber % sessions) * STRIDE) % sessions;
}

/** Like a random number, and the same each time: shops come in all sessions (MurmurHash3's finalizer; Appleby, public domain). */
function scattered(number: number): number {
  let mixed = number ^ (number >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** An ordinary event of the shape of `workload.ts`, whose ids are new, and whose sessions and shops go round. */
function ordinary(parameters: ProfileParameters): FrameProfile {
  const { run, batch, sessions, series, nowMs } = parameters;
  const session = sessionOf(sessions);
  const startMs = Math.floor(nowMs / SLICE_MS) * SLICE_MS - SLICE_MS;
  return {
    batch,
    templates: batch === 1 ? 100 : 20,
    fields: [
      eventIds(),
      { name: "session", digits: "hex", value: session },
      // A session stays with its user.
      { name: "user", digits: "hex", value: (eventNumber) => Math.floor(session(eventNumber) * 0.4) },
      { name: "shop", digits: "hex", value: (eventNumber) => scattered(eventNumber) % series },
    ],
    event: (marks, slot, template) => {
      const number = template * batch + slot;
      return {
        eventId: `${run.toString(16).padStart(8, "0")}-0000-7000-8000-${marks["eventId"] ?? ""}`,
        userId: `user-${marks["user"] ?? ""}`,
        sessionId: `5e550000-0000-4000-8000-${marks["session"] ?? ""}`,
        eventType: TYPES[number % TYPES.length],
        eventCategory: "web",
        timestamp: startMs + ((number * 997) % SPREAD_MS),
        properties: {
          path: `/products/${number % 500}`,
          value: (number % 1_000) / 10,
          shop: marks["shop"],
          durationMs: number % 2_000,
        },
        context: {
          userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
          ipAddress: `10.0.${number % 250}.7`,
          deviceType: "desktop",
          platform: "Linux",
          location: { country: COUNTRIES[number % COUNTRIES.length], region: `r-${number % 8}` },
          referrer: "https://www.example.com/search?q=weir",
        },
        source: "web-shop",
        version: "1.0.0",
        environment: "bench",
      };
    },
  };
}

/** The ordinary event with some of its fields replaced. */
function changed(
  parameters: ProfileParameters,
  more: Partial<Pick<FrameProfile, "templates" | "fields">>,
  change: FrameProfile["event"],
): FrameProfile {
  const plain = ordinary(parameters);
  return {
    ...plain,
    ...more,
    event: (marks, slot, template) => ({ ...plain.event(marks, slot, template), ...change(marks, slot, template) }),
  };
}

/** Ids that have one hash where a hash is h = 31 h + c, as in many runtimes. */
function twins(parameters: ProfileParameters): FrameProfile {
  const { run, sessions } = parameters;
  const session = sessionOf(sessions);
  const fields: StampedField[] = [
    eventIds("twins"),
    { name: "session", digits: "twins", value: session },
    { name: "user", digits: "twins", value: session },
  ];
  return changed(parameters, { fields }, (marks) => ({
    eventId: `${run}-${marks["eventId"] ?? ""}`,
    sessionId: marks["session"],
    userId: marks["user"],
  }));
}

/**
 * Types that read as numbers. V8 takes the number itself as such a text's hash, so multiples of a power of two share one bucket
 * of a Map. 7 digits are the most for which it does.
 */
function numbersAsTypes(parameters: ProfileParameters): FrameProfile {
  const STEP = 4_096;
  const FIRST = 1_003_520;
  const values = Math.floor((9_999_999 - FIRST) / STEP);
  const type: StampedField = { name: "type", digits: "decimal", value: (eventNumber) => FIRST + (eventNumber % values) * STEP };
  const fields = [...ordinary(parameters).fields, type];
  return changed(parameters, { fields }, (marks) => ({ eventType: marks["type"] }));
}

/** The keys of each event's properties, and its own, in another order: each is another shape. */
function keyOrders(parameters: ProfileParameters): FrameProfile {
  const { batch } = parameters;
  const plain = ordinary(parameters);
  const templates = 200;
  const event: FrameProfile["event"] = (marks, slot, template) => {
    const number = template * batch + slot;
    const properties = { shop: marks["shop"], ...Object.fromEntries(permuted(KEYS, number).map((key, at) => [key, at])) };
    return Object.fromEntries(permuted(Object.entries({ ...plain.event(marks, slot, template), properties }), number * 31));
  };
  return { ...plain, templates, event };
}

/** The `number`-th order of a list (its factorial digits). */
function permuted<Item>(items: readonly Item[], number: number): Item[] {
  const left = [...items];
  const order: Item[] = [];
  let rest = number;
  while (left.length > 0) {
    order.push(...left.splice(rest % left.length, 1));
    rest = Math.floor(rest / (left.length + 1));
  }
  return order;
}

/** Shapes whose lists of keys are long, differ only at their end, and have one hash where a hash is h = 31 h + c. */
function twinShapes(parameters: ProfileParameters): FrameProfile {
  const { batch } = parameters;
  const long = Array.from({ length: LONG_KEYS }, (_, key) => `${key}-`.padEnd(LONG_KEY_BYTES, "x"));
  return changed(parameters, { templates: 11 }, (_marks, slot, template) => {
    const last = Array.from({ length: 20 }, (_, bit) => (((template * batch + slot) >> bit) & 1 ? "BB" : "Aa")).join("");
    return { properties: Object.fromEntries([...long, last].map((key) => [key, 1])) };
  });
}

/** No text comes twice: what keeps texts that it has seen keeps them for nothing. */
function uniqueTexts(parameters: ProfileParameters): FrameProfile {
  const names = ["session", "user", "path", "agent", "source", "type", "shop"];
  const unique = names.map((name): StampedField => ({ name, digits: "hex", value: (eventNumber) => eventNumber }));
  const plain = ordinary(parameters);
  return changed(parameters, { fields: [eventIds(), ...unique] }, (marks, slot, template) => ({
    eventType: `type-${marks["type"] ?? ""}`,
    source: `source-${marks["source"] ?? ""}`,
    properties: { path: `/${marks["path"] ?? ""}`, shop: marks["shop"] },
    context: { ...(plain.event(marks, slot, template)["context"] as object), userAgent: `agent-${marks["agent"] ?? ""}` },
  }));
}

function manyTypes(parameters: ProfileParameters): FrameProfile {
  const type: StampedField = { name: "type", digits: "hex", value: sessionOf(EVENT_TYPES) };
  const fields = [...ordinary(parameters).fields, type];
  return changed(parameters, { fields }, (marks) => ({ eventType: `type-${marks["type"] ?? ""}` }));
}

export const profiles = {
  ordinary,
  twins,
  numbersAsTypes,
  keyOrders,
  twinShapes,
  uniqueTexts,
  manyTypes,
} as const satisfies Record<string, (parameters: ProfileParameters) => FrameProfile>;

export type ProfileName = keyof typeof profiles;
