/** An event as a service hands it to the client: what is missing is filled in from the connection's defaults. */

export interface EventContext {
  readonly userAgent?: string;
  readonly ipAddress?: string;
  readonly deviceType?: string;
  readonly platform?: string;
  readonly location?: Readonly<Record<string, unknown>>;
  readonly referrer?: string;
  readonly [field: string]: unknown;
}

/**
 * `eventId` defaults to a random UUID, `timestamp` to now, `properties` to none, the required texts of `context` to empty ones;
 * the rest to `defaults` of `connect`.
 */
export interface EventInput {
  readonly eventId?: string;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly eventType?: string;
  readonly eventCategory?: string;
  readonly timestamp?: Date | string | number;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly context?: EventContext;
  readonly source?: string;
  readonly version?: string;
  readonly environment?: string;
  readonly [field: string]: unknown;
}

/** Ids and times are each event's own. */
export interface EventDefaults extends EventInput {
  readonly eventId?: never;
  readonly timestamp?: never;
}

const emptyContext: EventContext = { userAgent: "", ipAddress: "", deviceType: "", platform: "" };
const requiredContext = Object.keys(emptyContext);

/**
 * The event as it is sent. Ids and times are decided here, once: a resend carries the same ones, so the server counts the
 * event once. An event that lacks nothing is sent as it is, without a copy; so is what is not a map, for the server to refuse.
 */
export function completeEvent(event: EventInput, defaults: EventDefaults | undefined): EventInput {
  if (typeof event !== "object" || event === null) return event;
  if (defaults === undefined && isComplete(event)) return event;
  const { eventId, timestamp, properties, context } = event;
  return {
    ...defaults,
    ...event,
    eventId: eventId === undefined ? crypto.randomUUID() : eventId,
    timestamp: timestamp === undefined ? Date.now() : timestamp,
    properties: isMap(properties) ? defined({ ...defaults?.properties, ...properties }) : properties,
    context: isMap(context) ? defined({ ...emptyContext, ...defaults?.context, ...context }) : context,
  } as EventInput;
}

function isComplete({ eventId, timestamp, properties, context }: EventInput): boolean {
  if (eventId === undefined || timestamp === undefined || properties === undefined || context === undefined) return false;
  if (!isMap(properties) || !isMap(context)) return true;
  for (const name of requiredContext) if (context[name] === undefined) return false;
  for (const name in properties) if (properties[name] === undefined) return false;
  return true;
}

/** Missing counts as an empty one. A list or a text is left for the server to refuse. */
function isMap(value: unknown): boolean {
  return value === undefined || (typeof value === "object" && value !== null && !Array.isArray(value));
}

/** Without entries that are undefined: msgpack has no such value, and JSON leaves them out as well. */
function defined(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
