/**
 * The hot path's judgement of one event: ajv code compiled from the event's JSON Schema for types and presence, and the same
 * functions that the zod schema calls for the rest. It accepts exactly what the zod schema accepts (a property test holds it
 * to that) at a tenth of the cost, and allocates nothing for a good event. The reader calls it once for each event.
 */
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { eventJsonSchema, knownFields } from "./event.ts";
import { checkValues, isPlainMap } from "./plain-values.ts";
import { idVerdict, labelVerdict } from "./text-rules.ts";
import { parseTimestamp, timestampVerdict } from "./timestamp.ts";
import { ACCEPTED, verdictOf } from "./verdicts.ts";

export interface Judgement {
  readonly verdict: number;
  /** What is wrong, from the event down: `context.deviceType`. Absent when it is the event as a whole. */
  readonly path?: string;
}

const NOT_A_MAP = verdictOf("WEIR_EVENT_NOT_A_MAP");
const MISSING = verdictOf("WEIR_EVENT_FIELD_MISSING");
const TYPE = verdictOf("WEIR_EVENT_FIELD_TYPE");
const LENGTH = verdictOf("WEIR_EVENT_FIELD_LENGTH");
const accepted: Judgement = { verdict: ACCEPTED };
const notAMap: Judgement = { verdict: NOT_A_MAP };

/** What a decoded event has once its structure is checked; the rules below need no further type checks. */
interface WellTyped extends Record<string, unknown> {
  readonly eventId: string;
  readonly sessionId: string;
  readonly userId?: string;
  readonly eventType: string;
  readonly eventCategory: string;
  readonly properties: Record<string, unknown>;
  readonly context: Record<string, unknown> & { readonly location?: unknown };
  readonly source: string;
  readonly version: string;
  readonly environment: string;
}

// The timestamp has its own rule, on the time that the reader has parsed already. Lengths are counted in UTF-16 units here,
// which can only be fewer than bytes; the bytes are counted below.
const isWellTyped = new Ajv2020({ unicode: false, strictTypes: false, logger: false }).compile<WellTyped>({
  ...eventJsonSchema,
  properties: { ...eventJsonSchema.properties, timestamp: {} },
});

export function validateEvent(event: unknown, ingestTimeMs: number): Judgement {
  const eventTimeMs = isPlainMap(event) ? parseTimestamp(event["timestamp"]) : Number.NaN;
  return validateParsed(event, eventTimeMs, ingestTimeMs);
}

/** The same when the time is parsed already. `isFromUtf8`: the event was decoded from bytes without escapes (msgpack). */
export function validateParsed(event: unknown, eventTimeMs: number, ingestTimeMs: number, isFromUtf8 = false): Judgement {
  if (!isPlainMap(event)) return notAMap;
  if (!isWellTyped(event)) return judgeStructure(event, isWellTyped.errors?.[0]);
  const { location } = event.context;
  if (location !== undefined && !isPlainMap(location)) return { verdict: TYPE, path: "context.location" };
  let verdict: number;
  if ((verdict = idVerdict(event.eventId, isFromUtf8)) !== ACCEPTED) return { verdict, path: "eventId" };
  if ((verdict = idVerdict(event.sessionId, isFromUtf8)) !== ACCEPTED) return { verdict, path: "sessionId" };
  if (event.userId !== undefined && (verdict = idVerdict(event.userId, isFromUtf8)) !== ACCEPTED)
    return { verdict, path: "userId" };
  if ((verdict = labelVerdict(event.eventType, isFromUtf8)) !== ACCEPTED) return { verdict, path: "eventType" };
  if ((verdict = labelVerdict(event.eventCategory, isFromUtf8)) !== ACCEPTED) return { verdict, path: "eventCategory" };
  if ((verdict = labelVerdict(event.source, isFromUtf8)) !== ACCEPTED) return { verdict, path: "source" };
  if ((verdict = labelVerdict(event.version, isFromUtf8)) !== ACCEPTED) return { verdict, path: "version" };
  if ((verdict = labelVerdict(event.environment, isFromUtf8)) !== ACCEPTED) return { verdict, path: "environment" };
  if ((verdict = timestampVerdict(eventTimeMs, ingestTimeMs)) !== ACCEPTED) return { verdict, path: "timestamp" };
  return judgeField("properties", event.properties) ?? judgeField("context", event.context) ?? judgeUnknown(event) ?? accepted;
}

/** Fields that a well-typed event surely has as its own keys. */
const requiredCount = eventJsonSchema.required?.length ?? 0;

function judgeUnknown(event: WellTyped): Judgement | undefined {
  // Counting keys costs a tenth of looking each one up, and nearly all events have known fields only.
  let count = 0;
  for (const _ in event) count++;
  if (count === requiredCount || (count === requiredCount + 1 && event.userId !== undefined)) return undefined;
  for (const key in event) {
    if (knownFields.has(key)) continue;
    const judgement = judgeField(key, event[key]);
    if (judgement !== undefined) return judgement;
  }
  return undefined;
}

function judgeField(name: string, value: unknown): Judgement | undefined {
  const problem = checkValues(value);
  return problem === undefined ? undefined : { verdict: problem.verdict, path: [name, ...problem.path].join(".") };
}

/** Which verdict a failed keyword of the JSON Schema stands for. */
function judgeStructure(event: Record<string, unknown>, error: ErrorObject | undefined): Judgement {
  if (error === undefined) return notAMap;
  // Bytes or a Date lack the fields of a context, but that is not what is wrong with them.
  if (error.instancePath === "/context" && !isPlainMap(event["context"])) return { verdict: TYPE, path: "context" };
  const path = error.instancePath.slice(1).replaceAll("/", ".");
  switch (error.keyword) {
    case "required": {
      const missing = String((error.params as { missingProperty: string }).missingProperty);
      return { verdict: MISSING, path: path === "" ? missing : `${path}.${missing}` };
    }
    case "minLength":
    case "maxLength":
      return { verdict: LENGTH, path };
    default:
      return { verdict: TYPE, path };
  }
}
