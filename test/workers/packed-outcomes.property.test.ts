/** Law: unpacking what was packed, and has crossed a thread, gives the same outcomes in the same order. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { HostOutcome } from "../../workers/messages.ts";
import { packOutcomes, unpackOutcomes } from "../../workers/packed-outcomes.ts";

const result = fc.record(
  { index: fc.nat(9_999), eventId: fc.string(), verdict: fc.nat(255), path: fc.string() },
  { requiredKeys: ["index", "eventId", "verdict"] },
);
const refused = fc.record({ code: fc.string(), detail: fc.string(), path: fc.string() }, { requiredKeys: ["code"] });
const outcome: fc.Arbitrary<HostOutcome> = fc.record(
  {
    id: fc.nat(0xffffffff),
    offset: fc.maxSafeNat(),
    totalEvents: fc.nat(10_000),
    failedEvents: fc.nat(10_000),
    results: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(result, { maxLength: 4 })),
    refused,
  },
  { requiredKeys: ["id", "offset", "totalEvents", "failedEvents", "results"] },
);

test("unpack(pack(outcomes)) = outcomes", () => {
  fc.assert(
    fc.property(fc.array(outcome, { maxLength: 30 }), (outcomes) => {
      // fast-check's records have no prototype; a clone has the usual one.
      assert.deepEqual(unpackOutcomes(structuredClone(packOutcomes(outcomes))), structuredClone(outcomes));
    }),
    { numRuns: 200 },
  );
});
