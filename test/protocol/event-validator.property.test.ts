/**
 * Law: the hot path's validator accepts an event if and only if the zod schema does; when it refuses, the path that it names is
 * among the paths that zod names, at once or when what zod named before is mended (zod looks at a timestamp's distance only when
 * all fields have their types). Of two faults within `context` it may name the other one: zod puts the keys that it knows first,
 * and both stop at the first fault that they meet.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { z } from "zod";
import { analyticsEventAt } from "../../protocol/event.ts";
import { validateEvent } from "../../protocol/event-validator.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { goodEvent, INGEST_MS, spoiledEvent, type Event } from "./event-arbitraries.ts";

const schema = analyticsEventAt(INGEST_MS);

function assertSame(event: unknown): number {
  const { verdict, path } = validateEvent(event, INGEST_MS);
  const checked = schema.safeParse(event);
  assert.equal(verdict === ACCEPTED, checked.success, `verdict ${verdict} at ${path}, zod: ${checked.error?.message}`);
  if (checked.error !== undefined) {
    const paths = pathsOf(checked.error);
    const isNamed = names(paths, path ?? "") || names(pathsOf(schema.safeParse(mended(event, paths)).error), path ?? "");
    assert.ok(isNamed, `${path} is not among ${JSON.stringify(paths)}`);
  }
  return verdict;
}

function pathsOf(error: z.ZodError | undefined): string[] {
  return error === undefined ? [] : error.issues.map((issue) => issue.path.join("."));
}

function names(paths: readonly string[], path: string): boolean {
  return paths.includes(path) || (fieldOf(path) === "context" && paths.some((each) => fieldOf(each) === "context"));
}

function fieldOf(path: string): string {
  return path.split(".")[0] ?? "";
}

/** The event with good values in place of the fields that are named. */
function mended(event: unknown, paths: readonly string[]): unknown {
  const named = new Set(paths.map(fieldOf));
  const kept = Object.entries(event as Event).filter(([field]) => !named.has(field));
  return { ...Object.fromEntries(Object.entries(soundEvent).filter(([field]) => named.has(field))), ...Object.fromEntries(kept) };
}

const soundEvent: Event = {
  eventId: "e-1",
  sessionId: "s-1",
  userId: "u-1",
  eventType: "page_view",
  eventCategory: "web",
  timestamp: INGEST_MS,
  properties: {},
  context: { userAgent: "a", ipAddress: "b", deviceType: "c", platform: "d" },
  source: "web",
  version: "1",
  environment: "test",
};

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

test("a fault that zod sees only once another one is mended is no difference", () => {
  const verdict = assertSame({ ...soundEvent, timestamp: INGEST_MS + 300_001, properties: new Map() });
  assert.notEqual(verdict, ACCEPTED);
});

test("values that are no maps are judged alike", () => {
  for (const event of [undefined, null, 1, "text", true, [], new Date(), new Map(), new Set(), new Uint8Array(2)]) {
    assert.notEqual(validateEvent(event, INGEST_MS).verdict, ACCEPTED);
    assert.equal(schema.safeParse(event).success, false);
  }
});
