/** Which metric definitions are taken, how their defaults are filled in, and which are refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { z } from "zod";
import { defaultMetrics, metricDefinition } from "../../protocol/metric-definition.ts";

const minimal = { name: "orders", aggregates: ["count"] };

describe("a definition", () => {
  it("gets defaults", () => {
    const metric = metricDefinition.parse(minimal);
    assert.deepEqual(metric.filter, { all: [], any: [] });
    assert.deepEqual(metric.dimensions, []);
    assert.ok(metric.seriesMax > 0);
  });
  it("is the same when parsed again", () => {
    const metric = metricDefinition.parse({
      ...minimal,
      filter: { all: [{ field: "eventType", value: "x" }] },
      dimensions: ["country", { name: "sku", field: "properties.sku" }],
    });
    assert.deepEqual(metricDefinition.parse(metric), metric);
    assert.deepEqual(metric.dimensions[0], { name: "country", field: "country" });
    assert.equal(metric.filter.all[0]?.op, "eq");
  });
  const bad: [string, object][] = [
    ["a name with capitals", { name: "Orders" }],
    ["no aggregates", { aggregates: [] }],
    ["an unknown aggregate", { aggregates: ["median"] }],
    ["an aggregate twice", { aggregates: ["count", "count"] }],
    ["a sum of nothing", { aggregates: ["sum"] }],
    ["a field that is none", { value: "timestamp", aggregates: ["sum"] }],
    ["a dimension twice", { dimensions: ["country", "country"] }],
    ["a dimension named like an output", { dimensions: [{ name: "p99", field: "country" }] }],
    ["five dimensions", { dimensions: ["country", "region", "deviceType", "platform", "source"] }],
    ["an unknown setting", { windows: [] }],
    ["a list for eq", { filter: { all: [{ field: "country", value: ["a"] }] } }],
    ["one value for in", { filter: { all: [{ field: "country", op: "in", value: "a" }] } }],
    ["no value", { filter: { any: [{ field: "country", op: "gt" }] } }],
  ];
  for (const [name, changes] of bad) {
    it(`refuses ${name}`, () => assert.equal(metricDefinition.safeParse({ ...minimal, ...changes }).success, false));
  }
  it("has a JSON Schema for OpenAPI", () => {
    assert.equal(z.toJSONSchema(metricDefinition, { io: "input" }).type, "object");
  });
});

describe("the metrics of a new tenant", () => {
  it("have different names and are stored as they are", () => {
    assert.equal(new Set(defaultMetrics.map((metric) => metric.name)).size, defaultMetrics.length);
    for (const metric of defaultMetrics) assert.deepEqual(metricDefinition.parse(metric), metric);
  });
});
