/**
 * How a metric, a filter or a query names a field of an event: the name of a top-level field, a path
 * such as `properties.amount` or `context.location.country`, or a short name of a context field
 * (`country`, `region`, `deviceType`, `platform`, `userAgent`, `ipAddress`, `referrer`).
 */
import { eventFields, type EventField } from "./event-fields.ts";

const topLevel = new Set(eventFields.flatMap(({ name, kind }) => (kind === "id" || kind === "label" ? [name] : [])));

const shortNames: ReadonlyMap<string, string> = new Map(
  eventFields.filter(({ name }) => name === "context").flatMap(({ name, fields }) => textsIn(fields, name)),
);

/** The name and full path of each text that the schema names, however deep. */
function textsIn(fields: readonly EventField[], above: string): (readonly [name: string, path: string])[] {
  return fields.flatMap(({ name, kind, fields: inner }) => {
    const path = `${above}.${name}`;
    return kind === "map" ? textsIn(inner, path) : [[name, path] as const];
  });
}

/** The full path that a name stands for, or undefined when it names nothing. */
export function resolveFieldPath(name: string): string | undefined {
  const full = shortNames.get(name) ?? name;
  if (topLevel.has(full)) return full;
  const parts = full.split(".");
  const rooted = parts[0] === "properties" || parts[0] === "context";
  return rooted && parts.length > 1 && parts.length <= 8 && parts.every((part) => part.length > 0) ? full : undefined;
}

/** What a field holds when it is usable as a dimension, a filter operand or a value. */
export type FieldValue = string | number | boolean | null | undefined;

/**
 * A reader of one field. Anything but own, plain values (an inherited `constructor`, a list, a map) reads as undefined.
 * What plain objects inherit are functions, but for `__proto__`: so only a path through that needs to ask what is own.
 */
export function fieldReader(path: string): (event: unknown) => FieldValue {
  const parts = path.split(".");
  const isInherited = parts.includes("__proto__")
    ? (holder: object, part: string): boolean => !Object.hasOwn(holder, part)
    : (): boolean => false;
  return (event) => {
    let value: unknown = event;
    for (let index = 0; index < parts.length; index++) {
      const part = parts[index] ?? "";
      if (typeof value !== "object" || value === null || isInherited(value, part)) return undefined;
      value = (value as Record<string, unknown>)[part];
    }
    switch (typeof value) {
      case "string":
      case "number":
      case "boolean":
        return value;
      default:
        return value === null ? null : undefined;
    }
  };
}
