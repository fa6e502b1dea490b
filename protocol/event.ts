/**
 * What an event is: the zod schema here is the only source of truth. OpenAPI, the documentation and the table of fields that the
 * hot path's readers and validator are made of (`event-fields.ts`) come from it; the functions that it calls for what a JSON
 * Schema cannot say are the ones that the hot path calls. A msgpack timestamp reaches it as epoch milliseconds. Unknown fields are
 * kept.
 */
import { z } from "zod";
import { limits } from "./limits.ts";
import { checkValues, isPlainMap } from "./plain-values.ts";
import { idVerdict, labelVerdict } from "./text-rules.ts";
import { parseTimestamp, timestampVerdict } from "./timestamp.ts";
import { ACCEPTED, codeOf } from "./verdicts.ts";
import { entryOf } from "./error-codes.ts";

/** Fields with rules that their type does not tell. */
export const fieldKinds = z.registry<{ readonly kind: "id" | "label" | "timestamp" }>();

function messageOf(verdict: number): string {
  const code = codeOf(verdict);
  return code === undefined ? "" : entryOf(code).message;
}

function textOf(verdictOfText: (text: string) => number, description: string) {
  return z
    .string()
    .min(1)
    .max(limits.identifierBytesMax)
    .superRefine((text, context) => {
      const verdict = verdictOfText(text);
      if (verdict !== ACCEPTED) context.addIssue({ code: "custom", message: messageOf(verdict) });
    })
    .meta({ description });
}

/** Adds the rules for plain values; the path of an issue leads to the wrong value. */
function plain<Schema extends z.ZodType>(schema: Schema): Schema {
  return schema.superRefine((value, context) => {
    const problem = checkValues(value);
    if (problem !== undefined) context.addIssue({ code: "custom", message: messageOf(problem.verdict), path: problem.path });
  });
}

/** zod takes any object for a map, and copies it: here a list of bytes or a Date is none. */
function map<Schema extends z.ZodType>(schema: Schema) {
  return z.preprocess((value) => (isPlainMap(value) || value === undefined ? value : null), schema);
}

const id = (description: string) =>
  textOf(idVerdict, `${description}; 1-256 bytes of UTF-8`).register(fieldKinds, { kind: "id" });
const label = (description: string) =>
  textOf(labelVerdict, `${description}; 1-256 bytes of UTF-8`).register(fieldKinds, { kind: "label" });

const timestamp = z
  .union([z.string(), z.number()])
  .superRefine((value, context) => {
    const verdict = timestampVerdict(parseTimestamp(value), Number.POSITIVE_INFINITY);
    if (verdict !== ACCEPTED) context.addIssue({ code: "custom", message: messageOf(verdict) });
  })
  .meta({
    description: "ISO 8601 with a zone, or epoch milliseconds; from 2000 on, at most 5 minutes ahead of the server's clock",
    anyOf: [{ type: "string", format: "date-time" }, { type: "number" }],
  })
  .register(fieldKinds, { kind: "timestamp" });

const location = z.looseObject({
  country: z.string().optional(),
  region: z.string().optional(),
});

const context = z.looseObject({
  userAgent: z.string(),
  ipAddress: z.string(),
  deviceType: z.string(),
  platform: z.string(),
  location: map(location).optional(),
  referrer: z.string().optional(),
});

const bounds = "at most 32 KiB as JSON, 8 levels, 256 keys; values: string, number, boolean, null, list, map";

export const analyticsEvent = z
  .object({
    eventId: id("Counts once within the deduplication horizon"),
    sessionId: id("The visit that the event belongs to"),
    userId: id("Who did it; may be absent, not null").optional(),
    eventType: label("What happened, such as `page_view`"),
    eventCategory: label("The kind of event, such as `web` or `error`"),
    timestamp,
    properties: map(plain(z.looseObject({}))).meta({ description: `Facts of the event: ${bounds}` }),
    context: map(plain(context)).meta({ description: `Where it happened; texts may be empty; ${bounds}` }),
    source: label("The sending service"),
    version: label("The version of the sending service"),
    environment: label("Such as `production`"),
  })
  .catchall(plain(z.unknown()));

export type AnalyticsEvent = z.output<typeof analyticsEvent>;

/** The schema with the rule that depends on when the event was received. */
export function analyticsEventAt(ingestTimeMs: number) {
  return analyticsEvent.refine((event) => timestampVerdict(parseTimestamp(event.timestamp), ingestTimeMs) === ACCEPTED, {
    error: "the timestamp is too far ahead",
    path: ["timestamp"],
  });
}

/** JSON Schema (draft 2020-12) of an event as it is sent. (The input side of `map` would say "anything".) */
export const eventJsonSchema = z.toJSONSchema(analyticsEvent, { io: "output" });

/** The fields that the schema names; all others are unknown ones. */
export const knownFields: ReadonlySet<string> = new Set(Object.keys(analyticsEvent.shape));
