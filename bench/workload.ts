/**
 * The canonical workload: synthetic events of the shape of samples/*.ndjson.gz (19 leaf fields, about 650 B as JSON) with
 * Zipf-distributed tenants, types, countries, sessions and users; some are duplicates, late or invalid, in the places that
 * `workload-plan.ts` says. The same seed gives the same events, byte for byte but for their times.
 *
 * A run repeats a pool of templates, each time with fresh event ids (`frame-template.ts`).
 */
import { partitionOf } from "../protocol/partition-hash.ts";
import { EVENT_KINDS, WorkloadPlan, type WorkloadMix } from "./workload-plan.ts";

export interface WorkloadParameters extends WorkloadMix {
  readonly seed: number;
  readonly sessions: number;
  readonly users: number;
  /** Event times lie in the `spreadMs` before this moment; those of late events more than a week before it. */
  readonly nowMs: number;
  readonly spreadMs: number;
}

/** One tenant, and everything is accepted or a duplicate. */
export const cleanWorkload = {
  seed: 1,
  tenants: 1,
  sessions: 20_000,
  users: 8_000,
  templates: 500,
  batch: 100,
  duplicatesPer100: 3,
  latePer100: 0,
  invalidPer100: 0,
  spreadMs: 30_000,
} as const satisfies Omit<WorkloadParameters, "nowMs">;

/** What real clients send: several tenants, and events that must be refused. */
export const canonicalWorkload = {
  ...cleanWorkload,
  tenants: 4,
  latePer100: 2,
  invalidPer100: 1,
} as const satisfies Omit<WorkloadParameters, "nowMs">;

/** Weir's `allowedLatenessMs` when nothing else is configured; the naive server's as well. */
export const ALLOWED_LATENESS_MS = 7 * 86_400_000;
const LATE_BY_MS = 86_400_000;

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
  const { seed, templates, batch, nowMs } = parameters;
  const plan = new WorkloadPlan(parameters);
  const next = eventGenerator(parameters);
  const pool: WorkloadEvent[][] = [];
  let invalid = 0;
  for (let template = 0; template < templates; template++) {
    const events: WorkloadEvent[] = [];
    for (let slot = 0; slot < batch; slot++) {
      const event = next(eventIdOf(seed, template * batch + slot));
      const { kind } = plan.eventAt(template, slot);
      if (kind === EVENT_KINDS.late) {
        const ageMs = ALLOWED_LATENESS_MS + LATE_BY_MS + (nowMs - event.timestamp);
        events.push({ ...event, timestamp: nowMs - ageMs });
      } else if (kind === EVENT_KINDS.invalid) events.push(invalidated(event, invalid++));
      else events.push(event);
    }
    pool.push(events);
  }
  copyOriginals(pool, plan);
  return pool;
}

function copyOriginals(pool: readonly WorkloadEvent[][], plan: WorkloadPlan): void {
  for (const [template, events] of pool.entries()) {
    for (const [slot, { eventId }] of events.entries()) {
      const { kind, originalTemplate, originalSlot } = plan.eventAt(template, slot);
      if (kind === EVENT_KINDS.copy) events[slot] = { ...at(at(pool, originalTemplate), originalSlot), eventId };
    }
  }
}

/** As programs with a bug send them: a label that nobody filled in, or the time of a date that could not be read. */
function invalidated(event: WorkloadEvent, index: number): WorkloadEvent {
  return index % 2 === 0 ? { ...event, eventType: "" } : { ...event, timestamp: Number.NaN };
}

/**
 * What each tenant sends first, in one frame, when the workload has late events: an event is late behind others of its tenant
 * and partition, so there must be some. Events of distinct sessions, enough of them to reach every partition of a server.
 */
export function primerEvents(parameters: WorkloadParameters, tenant: number): WorkloadEvent[] {
  if (parameters.latePer100 === 0) return [];
  const next = eventGenerator({ ...parameters, seed: parameters.seed + 1_000 + tenant });
  return Array.from({ length: PRIMER_EVENTS }, (_, index) => {
    const sessionId = `${hex(parameters.seed >>> 0, 8)}-5e57-4000-8000-${hex(index, 12)}`;
    return { ...next(`${hex(parameters.seed >>> 0, 8)}-0001-7000-8000-${hex(index, ID_NUMBER_DIGITS)}`), sessionId };
  });
}

const PRIMER_EVENTS = 512;

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

/** How many events of frames 0 .. frames - 1 get which verdict. */
export interface Verdicts {
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
}

export function expectedVerdicts(frames: number, parameters: WorkloadParameters): Verdicts {
  const counts = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  forEachPlanned(frames, parameters, ({ kind, accepted, uses }) => {
    counts.accepted += accepted;
    if (kind === EVENT_KINDS.copy) counts.duplicate += uses - accepted;
    else if (kind === EVENT_KINDS.late) counts.late += uses;
    else if (kind === EVENT_KINDS.invalid) counts.invalid += uses;
  });
  return counts;
}

/** How many different acceptable events the frames 0 .. frames - 1 of a run hold. */
export function distinctEvents(frames: number, parameters: WorkloadParameters): number {
  return expectedVerdicts(frames, parameters).accepted;
}

export interface AnswerRow {
  readonly eventType: string;
  readonly country: string;
  readonly count: number;
}

/** What a correct server answers after frames 0 .. frames - 1, for each tenant: events by type and country, sorted. */
export function expectedAnswers(
  pool: readonly (readonly WorkloadEvent[])[],
  frames: number,
  parameters: WorkloadParameters,
): AnswerRow[][] {
  const counts = Array.from({ length: parameters.tenants }, () => new Map<string, number>());
  const add = (tenant: number, { eventType, context }: WorkloadEvent, count: number): void => {
    const key = `${eventType}\t${context.location.country}`;
    const own = at(counts, tenant);
    if (count > 0) own.set(key, (own.get(key) ?? 0) + count);
  };
  for (let tenant = 0; tenant < parameters.tenants; tenant++) {
    for (const event of primerEvents(parameters, tenant)) add(tenant, event, 1);
  }
  forEachPlanned(frames, parameters, ({ tenant, template, slot, accepted }) =>
    add(tenant, at(at(pool, template), slot), accepted),
  );
  return counts.map(rowsOf);
}

/** The same for a workload with one tenant. */
export function expectedAnswer(
  pool: readonly (readonly WorkloadEvent[])[],
  frames: number,
  parameters: WorkloadParameters,
): AnswerRow[] {
  if (parameters.tenants !== 1) throw new RangeError(`the workload has ${parameters.tenants} tenants`);
  return at(expectedAnswers(pool, frames, parameters), 0);
}

function rowsOf(counts: ReadonlyMap<string, number>): AnswerRow[] {
  const rows = [...counts].map(([key, count]) => {
    const [eventType = "", country = ""] = key.split("\t");
    return { eventType, country, count };
  });
  return sortAnswer(rows);
}

interface PlannedUse {
  readonly tenant: number;
  readonly template: number;
  readonly slot: number;
  readonly kind: number;
  readonly uses: number;
  readonly accepted: number;
}

/** Every event of the pool, with how often it was sent in frames 0 .. frames - 1 and how often it must have been accepted. */
function forEachPlanned(frames: number, parameters: WorkloadParameters, visit: (planned: PlannedUse) => void): void {
  const plan = new WorkloadPlan(parameters);
  for (let template = 0; template < parameters.templates; template++) {
    const uses = plan.usesOf(template, frames);
    const tenant = plan.tenantOf(template);
    if (uses === 0) continue;
    for (let slot = 0; slot < parameters.batch; slot++) {
      const { kind, numbersBack } = plan.eventAt(template, slot);
      // Copies at the very start have no original before them: they count.
      const isOrphan = kind === EVENT_KINDS.copy && template * parameters.batch + slot < numbersBack;
      const accepted = kind === EVENT_KINDS.fresh ? uses : isOrphan ? 1 : 0;
      visit({ tenant, template, slot, kind, uses, accepted });
    }
  }
}

export function sortAnswer(rows: readonly AnswerRow[]): AnswerRow[] {
  const keyOf = (row: AnswerRow): string => `${row.eventType}\t${row.country}`;
  return rows.toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}
