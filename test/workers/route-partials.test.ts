/** Law: each metric's partials go to exactly one host, the one that is asked for it; every host gets every clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CollectedPartials } from "../../actors/partition.ts";
import { hostOfMetric, shareOf } from "../../workers/route-partials.ts";

test("shares are a partition of the partials", () => {
  const metrics = fc.uniqueArray(fc.string(), { maxLength: 8 });
  const collected: fc.Arbitrary<CollectedPartials> = fc.record({
    tenant: fc.constantFrom("a", "b"),
    partition: fc.nat(15),
    watermarkMs: fc.nat(),
    watermarkIngestMs: fc.nat(),
    metrics: metrics.map((names) => names.map((name) => ({ name, definition: "{}", count: 1, bytes: Uint8Array.of(1) }))),
  });
  fc.assert(
    fc.property(fc.array(collected, { maxLength: 6 }), fc.integer({ min: 1, max: 5 }), (partials, hosts) => {
      const shares = Array.from({ length: hosts }, (_, target) => shareOf(partials, target, hosts));
      partials.forEach((whole, index) => {
        for (const [target, share] of shares.entries()) {
          assert.deepEqual({ ...share[index], metrics: [] }, { ...whole, metrics: [] });
          for (const { name } of share[index]?.metrics ?? []) assert.equal(hostOfMetric(whole.tenant, name, hosts), target);
        }
        const names = shares.flatMap((share) => share[index]?.metrics.map(({ name }) => name) ?? []);
        assert.deepEqual(names.toSorted(), whole.metrics.map(({ name }) => name).toSorted());
      });
    }),
  );
});
