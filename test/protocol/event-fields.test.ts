/** The table that the hot path is made of has every field of the schema, with its kind; so has what is made of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { eventFields, fieldsOf, type EventField } from "../../protocol/event-fields.ts";
import { analyticsEvent, eventJsonSchema } from "../../protocol/event.ts";
import { resolveFieldPath } from "../../protocol/field-path.ts";

interface MapSchema {
  readonly properties?: Readonly<Record<string, MapSchema>>;
  readonly required?: readonly string[];
}

/** What the JSON Schema says, which zod makes without us. */
function namesOf({ properties = {}, required = [] }: MapSchema): unknown {
  return Object.entries(properties).map(([name, inner]) => [name, required.includes(name), namesOf(inner)]);
}

const tableNames = (fields: readonly EventField[]): unknown =>
  fields.map(({ name, isRequired, fields: inner }) => [name, isRequired, tableNames(inner)]);

test("names, order and presence are those of the JSON Schema", () => {
  assert.deepEqual(tableNames(eventFields), namesOf(eventJsonSchema as MapSchema));
});

test("a field that is added to the schema is in the table, with its rules", () => {
  const { userId, eventType } = analyticsEvent.shape;
  const more = analyticsEvent.extend({
    deviceId: userId,
    channel: eventType,
    note: z.string(),
    inner: z.object({ a: z.string() }),
  });
  assert.deepEqual(fieldsOf(more).slice(eventFields.length), [
    { name: "deviceId", kind: "id", isRequired: false, fields: [] },
    { name: "channel", kind: "label", isRequired: true, fields: [] },
    { name: "note", kind: "text", isRequired: true, fields: [] },
    { name: "inner", kind: "map", isRequired: true, fields: [{ name: "a", kind: "text", isRequired: true, fields: [] }] },
  ]);
  assert.throws(() => fieldsOf(z.object({ size: z.number() })), /the field size is of a kind that readers know/);
});

test("metrics and queries may name every text of the schema", () => {
  const paths = (fields: readonly EventField[], above: readonly string[]): string[] =>
    fields.flatMap(({ name, kind, fields: inner }) => {
      if (kind === "map") return paths(inner, [...above, name]);
      return kind === "timestamp" ? [] : [[...above, name].join(".")];
    });
  const all = paths(eventFields, []);
  assert.ok(all.length > 12);
  for (const path of all) {
    assert.equal(resolveFieldPath(path), path);
    assert.equal(resolveFieldPath(path.split(".").at(-1) ?? ""), path, "by its short name");
  }
});
