/** Law: the text of a scrape is the one of the library's own histogram after the same observations. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Histogram, Registry } from "prom-client";
import { TalliedHistogram } from "../../server/tallied-histogram.ts";

const buckets = [0.001, 0.01, 0.1, 1];
const observation = fc.record({
  transport: fc.constantFrom("websocket" as const, "http" as const),
  value: fc.oneof(fc.constantFrom(0, ...buckets), fc.double({ min: 0, max: 3, noNaN: true })),
});

test("a scrape equals the library's, at any moment", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(observation, { maxLength: 20 }), { maxLength: 4 }), async (scrapes) => {
      const options = { name: "a_seconds", help: "What it is", buckets };
      const registries = { tallied: new Registry(), plain: new Registry() };
      const tallied = new TalliedHistogram({ ...options, label: "transport" }, registries.tallied);
      const series = { websocket: tallied.series("websocket"), http: tallied.series("http") };
      const plain = new Histogram({ ...options, labelNames: ["transport"], registers: [registries.plain] });
      for (const observations of scrapes) {
        for (const { transport, value } of observations) {
          series[transport].observe(value);
          plain.observe({ transport }, value);
        }
        // The library lists series by their first observation.
        const [text, expected] = await Promise.all([registries.tallied, registries.plain].map(sortedLines));
        assert.deepEqual(text, expected);
      }
    }),
    { numRuns: 60 },
  );
});

async function sortedLines(registry: Registry): Promise<string[]> {
  return (await registry.metrics()).split("\n").toSorted();
}
