/** The query request: both forms of the time range, defaults, and the path of every mistake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { queryErrorDetail, queryRequest } from "../../../server/api/query.ts";
import { parseWith } from "../../../server/route.ts";

const base = { metrics: ["events"], timeRange: { last: "15m" } };
const parse = (request: unknown) => parseWith(queryRequest, request, "WEIR_QUERY_INVALID");

test("both forms of the time range become milliseconds", () => {
  const ranges: [object, object][] = [
    [
      { from: 0, to: 1 },
      { kind: "span", fromMs: 0, toMs: 1 },
    ],
    [
      { from: "2024-01-01T01:00:00+01:00", to: "2024-01-01T00:00:01Z" },
      { kind: "span", fromMs: 1_704_067_200_000, toMs: 1_704_067_201_000 },
    ],
    [{ last: "90s" }, { kind: "last", lengthMs: 90_000 }],
    [{ last: "15m" }, { kind: "last", lengthMs: 900_000 }],
    [{ last: "24h" }, { kind: "last", lengthMs: 86_400_000 }],
    [{ last: "7d" }, { kind: "last", lengthMs: 604_800_000 }],
  ];
  for (const [timeRange, expected] of ranges) assert.deepEqual(parse({ ...base, timeRange }).timeRange, expected);
});

test("filters become lists of texts", () => {
  const filters = [
    { dimension: "country", op: "eq", value: "DE" },
    { dimension: "country", op: "ne", value: null },
    { dimension: "country", op: "in", value: ["DE", null, 7, true] },
  ];
  assert.deepEqual(parse({ ...base, filters }).filters, [
    { dimension: "country", op: "eq", values: ["DE"] },
    { dimension: "country", op: "ne", values: [null] },
    { dimension: "country", op: "in", values: ["DE", null, "7", "true"] },
  ]);
});

test("every mistake names its path", () => {
  const filter = (each: object) => ({ ...base, filters: [{ dimension: "a", op: "eq", value: "x" }, each] });
  const mistakes: [unknown, string][] = [
    [null, ""],
    [[], ""],
    [{ timeRange: base.timeRange }, "metrics"],
    [{ ...base, metrics: [] }, "metrics"],
    [{ ...base, metrics: ["events", "Events"] }, "metrics[1]"],
    [{ ...base, metrics: ["events", "events"] }, "metrics"],
    [{ ...base, dimensions: ["a", "b", "c", "d", "e"] }, "dimensions"],
    [{ ...base, dimensions: [1] }, "dimensions[0]"],
    [{ metrics: ["events"] }, "timeRange"],
    [{ ...base, timeRange: {} }, "timeRange.from"],
    [{ ...base, timeRange: { from: 1 } }, "timeRange.to"],
    [{ ...base, timeRange: { from: 1, to: 1 } }, "timeRange.to"],
    [{ ...base, timeRange: { from: "yesterday", to: 1 } }, "timeRange.from"],
    [{ ...base, timeRange: { from: "2024-01-01T00:00:00", to: 1 } }, "timeRange.from"],
    [{ ...base, timeRange: { from: 1.5, to: 2 } }, "timeRange.from"],
    [{ ...base, timeRange: { last: "15m", from: 1 } }, "timeRange.last"],
    [{ ...base, timeRange: { last: "15 minutes" } }, "timeRange.last"],
    [{ ...base, timeRange: { last: "0m" } }, "timeRange.last"],
    [{ ...base, timeRange: { last: "1h", until: 3 } }, "timeRange.until"],
    [{ ...base, granularity: "5m" }, "granularity"],
    [{ ...base, source: "disk" }, "source"],
    [{ ...base, cacheTTL: -1 }, "cacheTTL"],
    [{ ...base, limit: 3 }, "limit"],
    [filter({ dimension: "b", op: "like", value: "x" }), "filters[1].op"],
    [filter({ dimension: "b", op: "in", value: "x" }), "filters[1].value"],
    [filter({ dimension: "b", op: "eq", value: ["x"] }), "filters[1].value"],
    [filter({ dimension: "b", op: "in", value: ["x", {}] }), "filters[1].value[1]"],
    [filter({ dimension: "b", op: "eq" }), "filters[1].value"],
  ];
  for (const [request, path] of mistakes) {
    assert.throws(() => parse(request), { code: "WEIR_QUERY_INVALID", path }, JSON.stringify(request));
  }
});

test("errors of queries read like one", () => {
  assert.equal(queryErrorDetail("No metric has this name."), "Query execution failed: No metric has this name.");
  assert.equal(queryErrorDetail("Query execution failed. Too slow."), "Query execution failed: Too slow.");
});
