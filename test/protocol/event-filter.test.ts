/** Filters compare strictly; what an absent field means is the same for every operator. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { compileFilter } from "../../protocol/event-filter.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { eventFilter, type FilterTerm } from "../../protocol/metric-definition.ts";
import { INGEST_MS } from "./event-arbitraries.ts";

/** Row 0 to 6: absent, null, "1", 1, true, "one error", 10. */
const values: unknown[] = [undefined, null, "1", 1, true, "one error", 10];
const columns = readEvents({
  format: FRAME_FORMATS.json,
  bytes: Buffer.from(
    JSON.stringify(
      values.map((x, row) => ({
        eventId: `e${row}`,
        sessionId: "s",
        eventType: "t",
        eventCategory: "c",
        timestamp: INGEST_MS,
        properties: { x },
        context: { userAgent: "", ipAddress: "", deviceType: "phone", platform: "", location: { country: "NZ" } },
        source: "s",
        version: "1",
        environment: "e",
      })),
    ),
  ),
  tenant: "demo",
  ingestTimeMs: INGEST_MS,
  partitionCount: 16,
});

function rows(filter: { all?: unknown[]; any?: unknown[] }): number[] {
  const matches = compileFilter(eventFilter.parse(filter))(columns);
  return values.map((_, row) => row).filter((row) => matches(row));
}

const x = (op: FilterTerm["op"], value?: unknown) => ({ field: "properties.x", op, ...(value === undefined ? {} : { value }) });

describe("a term", () => {
  const cases: [string, ReturnType<typeof x>, number[]][] = [
    ["eq text", x("eq", "1"), [2]],
    ["eq number", x("eq", 1), [3]],
    ["eq boolean", x("eq", true), [4]],
    ["eq null is not absent", x("eq", null), [1]],
    ["ne is true for absent", x("ne", 1), [0, 1, 2, 4, 5, 6]],
    ["ne null", x("ne", null), [0, 2, 3, 4, 5, 6]],
    ["in", x("in", ["1", 10, null]), [1, 2, 6]],
    ["gt", x("gt", 1), [6]],
    ["gte", x("gte", 1), [3, 6]],
    ["lt", x("lt", 10), [3]],
    ["lte", x("lte", 10), [3, 6]],
    ["an order with a text is never true", x("gt", "0"), []],
    ["contains", x("contains", "err"), [5]],
    ["contains reads texts only", x("contains", "1"), [2]],
    ["exists", x("exists"), [2, 3, 4, 5, 6]],
  ];
  for (const [name, term, expected] of cases) it(name, () => assert.deepEqual(rows({ all: [term] }), expected));
});

describe("a filter", () => {
  it("without terms takes all", () => assert.deepEqual(rows({}), [0, 1, 2, 3, 4, 5, 6]));
  it("needs all of `all`", () => assert.deepEqual(rows({ all: [x("gte", 1), x("lt", 10)] }), [3]));
  it("needs one of `any`", () => assert.deepEqual(rows({ any: [x("eq", 1), x("eq", "1")] }), [2, 3]));
  it("needs both", () => assert.deepEqual(rows({ all: [x("exists")], any: [x("eq", 1), x("eq", null)] }), [3]));
  it("knows short names", () => {
    assert.equal(rows({ all: [{ field: "country", value: "NZ" }] }).length, 7);
    assert.equal(rows({ all: [{ field: "deviceType", op: "ne", value: "phone" }] }).length, 0);
  });
});
