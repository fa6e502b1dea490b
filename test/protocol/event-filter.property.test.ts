/**
 * Law: a filter means the same to live panes (`compileFilter` over columns), to a recount of raw rows (`rawFilter` over one
 * event), and to the simple model below, for every operator, operand and kind of value.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FRAME_FORMATS, type EventColumns } from "../../protocol/event-columns.ts";
import { compileFilter } from "../../protocol/event-filter.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { fieldReader, resolveFieldPath } from "../../protocol/field-path.ts";
import { eventFilter, filterTerm, type EventFilter, type FilterTerm } from "../../protocol/metric-definition.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { rawFilter } from "../../storage/questdb/raw-filter.ts";
import { INGEST_MS } from "./event-arbitraries.ts";

const fields = ["properties.x", "properties.y.z", "country", "deviceType", "userId", "eventType"] as const;
const scalar = fc.constantFrom<string | number | boolean | null>(
  "",
  "1",
  "error",
  "one error",
  "true",
  "null",
  0,
  -0,
  1,
  1.5,
  -3,
  2 ** 40,
  true,
  false,
  null,
);
const operand = fc.oneof(scalar, fc.string({ maxLength: 3 }), fc.double({ noNaN: true, min: -1e15, max: 1e15 }));
const term: fc.Arbitrary<FilterTerm> = fc
  .record({
    field: fc.constantFrom(...fields),
    op: fc.constantFrom("eq", "ne", "in", "gt", "gte", "lt", "lte", "contains", "exists"),
    value: fc.oneof(operand, fc.array(operand, { minLength: 1, maxLength: 4 }), fc.constant(undefined)),
  })
  .filter((each) => filterTerm.safeParse(each).success)
  .map((each) => filterTerm.parse(each));
const filter: fc.Arbitrary<EventFilter> = fc
  .record({ all: fc.array(term, { maxLength: 3 }), any: fc.array(term, { maxLength: 3 }) })
  .map((each) => eventFilter.parse(each));

const value = fc.oneof(scalar, operand, fc.constantFrom<unknown>(undefined, [1], { z: 1 }, { z: "error" }, { z: null }));
const event = fc.record(
  {
    userId: fc.constantFrom("u", "1"),
    eventType: fc.constantFrom("error", "1", "view"),
    properties: fc.record({ x: value, y: value }, { requiredKeys: [] }),
    context: fc.record({
      deviceType: fc.constantFrom("", "1"),
      location: fc.record({ country: fc.constantFrom("NZ", "") }, { requiredKeys: [] }),
    }),
  },
  { requiredKeys: ["eventType", "properties", "context"] },
);
type Event = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

function model(filterOf: EventFilter, row: unknown): boolean {
  const holds = ({ field, op, value: wanted }: FilterTerm): boolean => {
    const actual = fieldReader(resolveFieldPath(field) ?? "")(row);
    const isNumbers = typeof actual === "number" && typeof wanted === "number";
    switch (op) {
      case "eq":
        return actual === wanted;
      case "ne":
        return actual !== wanted;
      case "in":
        return Array.isArray(wanted) && wanted.some((each) => each === actual);
      case "contains":
        return typeof actual === "string" && typeof wanted === "string" && actual.includes(wanted);
      case "exists":
        return actual !== undefined && actual !== null;
      case "gt":
        return isNumbers && actual > wanted;
      case "gte":
        return isNumbers && actual >= wanted;
      case "lt":
        return isNumbers && actual < wanted;
      case "lte":
        return isNumbers && actual <= wanted;
    }
  };
  return filterOf.all.every(holds) && (filterOf.any.length === 0 || filterOf.any.some(holds));
}

/** The events as a frame's columns, all rows accepted. */
function columnsOf(events: readonly Event[]): EventColumns {
  const required = {
    eventId: "e",
    sessionId: "s",
    eventCategory: "web",
    timestamp: INGEST_MS,
    source: "s",
    version: "1",
    environment: "e",
  };
  const context = { userAgent: "", ipAddress: "", platform: "" };
  const whole = events.map((each) => ({ ...required, ...each, context: { ...context, ...each.context } }));
  const bytes = Buffer.from(JSON.stringify(whole));
  const columns = readEvents({ format: FRAME_FORMATS.json, bytes, tenant: "demo", ingestTimeMs: INGEST_MS, partitionCount: 16 });
  assert.ok(columns.verdicts.every((verdict) => verdict === ACCEPTED));
  return columns;
}

test("live, raw and the model agree on every row", () => {
  let matched = 0;
  let rows = 0;
  fc.assert(
    fc.property(filter, fc.array(event, { minLength: 1, maxLength: 8 }), (each, events) => {
      const columns = columnsOf(events);
      const live = compileFilter(each)(columns);
      const raw = rawFilter(each);
      columns.events.forEach((row, index) => {
        const expected = model(each, row);
        assert.equal(live(index), expected, "live");
        assert.equal(raw.matches(row), expected, "raw");
        rows++;
        if (expected) matched++;
      });
    }),
    { numRuns: 3_000 },
  );
  assert.ok(matched > rows / 20 && matched < rows, `both outcomes are reached: ${matched} of ${rows}`);
});
