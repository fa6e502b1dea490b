/**
 * The hot path's judgement of one event: ajv code compiled from the event's JSON Schema for types and presence, and code compiled
 * from the table of its fields, which calls the same functions as the zod schema, for the rest. It accepts exactly what the zod
 * schema accepts (a property test and the frame fuzz hold it to that) at a tenth of the cost, and allocates nothing for a good
 * event. The reader calls it once for each event.
 */
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { eventFields, type EventField } from "./event-fields.ts";
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
type WellTyped = Record<string, unknown>;

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
  const judgement = judgeTexts(event, isFromUtf8);
  if (judgement !== undefined) return judgement;
  const verdict = timestampVerdict(eventTimeMs, ingestTimeMs);
  if (verdict !== ACCEPTED) return { verdict, path: "timestamp" };
  return judgeMaps(event) ?? judgeUnknown(event) ?? accepted;
}

const { judgeTexts, judgeMaps, countKnown } = compileRules(eventFields);

interface FieldRules {
  /** The rules of ids and labels, and that a map within a map is one. */
  readonly judgeTexts: (event: WellTyped, isFromUtf8: boolean) => Judgement | undefined;
  /** The rules for plain values. */
  readonly judgeMaps: (event: WellTyped) => Judgement | undefined;
  /** How many of the fields a well-typed event has. */
  readonly countKnown: (event: WellTyped) => number;
}

/**
 * The rules of each field of the table written out, one statement a field: in a loop over the table one place would read all
 * fields of all events by name, which V8 does ten times slower.
 */
function compileRules(fields: readonly EventField[]): FieldRules {
  const within = (kinds: readonly EventField["kind"][]): readonly EventField[] =>
    fields.filter(({ kind }) => kinds.includes(kind));
  const valueOf = (...path: readonly string[]): string => ["event", ...path.map((name) => `[${JSON.stringify(name)}]`)].join("");
  const texts = within(["id", "label"]).map(({ name, kind, isRequired }) => {
    const verdict = `verdict = ${kind}Verdict(${valueOf(name)}, isFromUtf8)`;
    const check = `if ((${verdict}) !== ACCEPTED) return { verdict, path: ${JSON.stringify(name)} };`;
    return isRequired ? check : `if (${valueOf(name)} !== undefined) ${check}`;
  });
  const innerMaps = within(["map"]).flatMap((outer) =>
    outer.fields.flatMap((inner) => (inner.kind === "map" ? [[outer.name, inner.name] as const] : [])),
  );
  const inner = innerMaps.map((path) => {
    const isNoMap = `${valueOf(...path)} !== undefined && !isPlainMap(${valueOf(...path)})`;
    return `if (${isNoMap}) return { verdict: TYPE, path: ${JSON.stringify(path.join("."))} };`;
  });
  const maps = within(["map"]).map(({ name }) => `judgeField(${JSON.stringify(name)}, ${valueOf(name)})`);
  const counts = fields.map(({ name, isRequired }) => (isRequired ? "1" : `(${valueOf(name)} === undefined ? 0 : 1)`));
  const text = `return {
    judgeTexts(event, isFromUtf8) {
      let verdict;
      ${[...inner, ...texts].join("\n      ")}
      return undefined;
    },
    judgeMaps: (event) => ${maps.join(" ?? ")},
    countKnown: (event) => ${counts.join(" + ")},
  };`;
  const names = { idVerdict, labelVerdict, isPlainMap, judgeField, ACCEPTED, TYPE };
  // oxlint-disable-next-line typescript/no-implied-eval -- the text holds names of the schema's fields, as JSON, and no other input
  return new Function(...Object.keys(names), text)(...Object.values(names)) as FieldRules;
}

function judgeUnknown(event: WellTyped): Judgement | undefined {
  // Counting keys costs a tenth of looking each one up, and nearly all events have known fields only.
  let count = 0;
  for (const _ in event) count++;
  if (count === countKnown(event)) return undefined;
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
