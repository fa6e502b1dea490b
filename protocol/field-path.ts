/**
 * How a metric, a filter or a query names a field of an event: the name of a top-level field, a path
 * such as `properties.amount` or `context.location.country`, or a short name of a context field
 * (`country`, `region`, `deviceType`, `platform`, `userAgent`, `ipAddress`, `referrer`).
 */
const topLevel = new Set(["eventId", "userId", "sessionId", "eventType", "eventCategory", "source", "version", "environment"]);

const shortNames = new Map([
  ["country", "context.location.country"],
  ["region", "context.location.region"],
  ["deviceType", "context.deviceType"],
  ["platform", "context.platform"],
  ["userAgent", "context.userAgent"],
  ["ipAddress", "context.ipAddress"],
  ["referrer", "context.referrer"],
]);

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
