/**
 * The fields that the event schema names, as a table made from it when the program starts. The hot path is made from this table:
 * the validator's checks (`event-validator.ts`), the plain reader's tree (`plain-paths.ts`), the names that metrics and queries
 * may use (`field-path.ts`). So a field that is added to the schema is read, checked and can be asked for; a test says when it has
 * no column in the warehouse.
 */
import { z } from "zod";
import { assert } from "./assert.ts";
import { analyticsEvent, fieldKinds } from "./event.ts";

export interface EventField {
  readonly name: string;
  /** `id` and `label`: texts of 1-256 bytes; `text`: any text. */
  readonly kind: "id" | "label" | "timestamp" | "text" | "map";
  readonly isRequired: boolean;
  /** Of a map: those that are named. */
  readonly fields: readonly EventField[];
}

export const eventFields: readonly EventField[] = fieldsOf(analyticsEvent);

export function fieldsOf({ shape }: z.ZodObject): EventField[] {
  return Object.entries(shape).map(([name, schema]) => fieldOf(name, schema));
}

function fieldOf(name: string, schema: z.core.$ZodType): EventField {
  if (schema instanceof z.ZodOptional) return { ...fieldOf(name, schema.unwrap()), isRequired: false };
  const kind = fieldKinds.get(schema)?.kind;
  if (kind !== undefined) return { name, kind, isRequired: true, fields: [] };
  // What `z.preprocess` makes: first its function, then the schema that it was given.
  if (schema instanceof z.ZodPipe) return fieldOf(name, schema.def.out);
  if (schema instanceof z.ZodObject) return { name, kind: "map", isRequired: true, fields: fieldsOf(schema) };
  assert(schema instanceof z.ZodString, `the field ${name} is of a kind that readers know`);
  return { name, kind: "text", isRequired: true, fields: [] };
}
