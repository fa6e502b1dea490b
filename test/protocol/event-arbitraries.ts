/** Random good events, and ways to spoil one, for the property tests of the protocol. */
import fc from "fast-check";

export const INGEST_MS = Date.UTC(2024, 5, 1, 12);

export type Event = Record<string, unknown>;

const plainNumber = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
);

/** Names that have a meaning to JavaScript objects; all of them are ordinary keys of an event. */
const trickyKey = fc.constantFrom("constructor", "toString", "hasOwnProperty", "valueOf", "0", "");
const key = fc.oneof(fc.string({ maxLength: 12 }), trickyKey).filter((name) => name !== "__proto__");

const { value: plainValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(fc.string({ unit: "binary" }), plainNumber, fc.boolean(), fc.constant(null)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

const id = fc.string({ minLength: 1, maxLength: 60, unit: "binary" }).filter((text) => !text.includes("\uFFFD"));
const label = fc.string({ minLength: 1, maxLength: 60 });

const timeMs = fc.integer({ min: Date.UTC(2000, 0, 1), max: INGEST_MS + 300_000 });
const timestamp = fc.oneof(
  timeMs,
  timeMs.map((ms) => new Date(ms).toISOString()),
);

const properties = fc.dictionary(key, plainValue, { maxKeys: 6, noNullPrototype: true });
const context = fc.record(
  {
    userAgent: fc.string(),
    ipAddress: fc.string(),
    deviceType: fc.string(),
    platform: fc.string(),
    location: fc.record({ country: fc.string(), region: fc.string() }, { requiredKeys: [], noNullPrototype: true }),
    referrer: fc.string(),
  },
  { requiredKeys: ["userAgent", "ipAddress", "deviceType", "platform"], noNullPrototype: true },
);

export const goodEvent: fc.Arbitrary<Event> = fc.record(
  {
    eventId: id,
    sessionId: id,
    userId: id,
    eventType: label,
    eventCategory: label,
    timestamp,
    properties,
    context,
    source: label,
    version: label,
    environment: label,
    campaign: plainValue,
  },
  {
    requiredKeys: [
      "eventId",
      "sessionId",
      "eventType",
      "eventCategory",
      "timestamp",
      "properties",
      "context",
      "source",
      "version",
      "environment",
    ],
    noNullPrototype: true,
  },
);

/** Values that some field does not take. */
const spoiler: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    "",
    true,
    0,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    -(2 ** 60),
    1e300,
    10n ** 20n,
    [],
    {},
    "x".repeat(256),
    "x".repeat(257),
    "é".repeat(128),
    "é".repeat(129),
    "a\uFFFDb",
    "a\uD800b",
    "\u{1F600}".repeat(64),
    "\u{1F600}".repeat(65),
    "2024-02-30T00:00:00Z",
    "2024-06-01",
    INGEST_MS + 300_001,
    Date.UTC(2000, 0, 1) - 1,
  ),
  fc.constant(null).map(() => new Map()),
  fc.constant(null).map(() => new Uint8Array(3)),
  fc.constant(null).map(() => new Date(0)),
  fc.constant(null).map(() => nested(9)),
  fc.constant(null).map(() => Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`k${index}`, 1]))),
  fc.constant(null).map(() => ({ text: "\u0001".repeat(6_000) })),
  fc.constant(null).map(() => ({ text: "x".repeat(33_000) })),
  plainValue,
);

export function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { value };
  return value;
}

const place = fc.constantFrom(
  ["eventId"],
  ["sessionId"],
  ["userId"],
  ["eventType"],
  ["eventCategory"],
  ["timestamp"],
  ["properties"],
  ["properties", "x"],
  ["properties", "x", "y"],
  ["context"],
  ["context", "userAgent"],
  ["context", "deviceType"],
  ["context", "location"],
  ["context", "location", "country"],
  ["context", "referrer"],
  ["context", "extra"],
  ["source"],
  ["environment"],
  ["version"],
  ["unknown"],
  ["unknown", "deep"],
);

/** A good event with one to three fields replaced or taken away. */
export const spoiledEvent: fc.Arbitrary<Event> = fc
  .tuple(goodEvent, fc.array(fc.tuple(place, spoiler, fc.boolean()), { minLength: 1, maxLength: 3 }))
  .map(([event, spoils]) => {
    const copy = structuredClone(event);
    for (const [path, value, remove] of spoils) spoil(copy, path, value, remove);
    return copy;
  });

function spoil(event: Event, path: readonly string[], value: unknown, remove: boolean): void {
  const last = path.at(-1) ?? "";
  let map = event;
  for (const name of path.slice(0, -1)) {
    const inner = map[name];
    if (typeof inner !== "object" || inner === null || Object.getPrototypeOf(inner) !== Object.prototype) map[name] = {};
    map = map[name] as Event;
  }
  if (remove) delete map[last];
  else map[last] = value;
}
