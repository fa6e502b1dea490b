/**
 * Law: the hot path's validator accepts an event if and only if the zod schema does; when it refuses, the path that it names is
 * among the paths that zod names. (Of two faults within `context` it may name the other one: zod puts the keys that it knows
 * first, and both stop at the first fault that they meet.)
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { analyticsEventAt } from "../../protocol/event.ts";
import { validateEvent } from "../../protocol/event-validator.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { goodEvent, INGEST_MS, spoiledEvent } from "./event-arbitraries.ts";

const schema = analyticsEventAt(INGEST_MS);

function assertSame(event: unknown): number {
  const { verdict, path } = validateEvent(event, INGEST_MS);
  const checked = schema.safeParse(event);
  assert.equal(verdict === ACCEPTED, checked.success, `verdict ${verdict} at ${path}, zod: ${checked.error?.message}`);
  if (checked.error !== undefined) {
    const paths = checked.error.issues.map((issue) => issue.path.join("."));
    const isInContext = (each: string) => each.split(".")[0] === "context";
    const isNamed = paths.includes(path ?? "") || (isInContext(path ?? "") && paths.some(isInContext));
    assert.ok(isNamed, `${path} is not among ${JSON.stringify(paths)}`);
  }
  return verdict;
}

test("good events are accepted by both", () => {
  fc.assert(
    fc.property(goodEvent, (event) => assert.equal(assertSame(event), ACCEPTED)),
    { numRuns: 1_500 },
  );
});

test("spoiled events are judged alike", () => {
  const verdicts = new Set<number>();
  fc.assert(
    fc.property(spoiledEvent, (event) => {
      verdicts.add(assertSame(event));
    }),
    { numRuns: 4_000 },
  );
  assert.ok(verdicts.size >= 8, `the test reaches nearly all verdicts, not only ${[...verdicts].join()}`);
});

test("values that are no maps are judged alike", () => {
  for (const event of [undefined, null, 1, "text", true, [], new Date(), new Map(), new Set(), new Uint8Array(2)]) {
    assert.notEqual(validateEvent(event, INGEST_MS).verdict, ACCEPTED);
    assert.equal(schema.safeParse(event).success, false);
  }
});
