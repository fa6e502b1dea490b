/** Numbers of texts: each is one text's, and when they are spent and begin anew, nothing that was known by them is believed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePublish } from "../../protocol/frames.ts";
import { FRAME_FORMATS, type EventColumns } from "../../protocol/event-columns.ts";
import { compileFilter } from "../../protocol/event-filter.ts";
import { UNKNOWN } from "../../protocol/field-column.ts";
import { eventFilter } from "../../protocol/metric-definition.ts";
import { readPlainFrame } from "../../workers/frame-reader.ts";
import { NOT_KNOWN, TextMemo } from "../../protocol/text-memo.ts";
import {
  areTextNumbersSpent,
  beginTextGeneration,
  endOfTextNumbers,
  leaveTextNumbers,
  nextTextNumber,
} from "../../protocol/text-numbers.ts";
import { KnownTexts } from "../support/known-fields.ts";
import { newTextNumber } from "../support/text-number.ts";

const INGEST_MS = Date.UTC(2026, 0, 15, 12);
const wanted: readonly string[] = ["eventCategory"];

function read(events: readonly { readonly user: string; readonly category: string }[]): EventColumns {
  const bytes = encodePublish(
    1,
    events.map(({ user, category }, index) => ({
      eventId: `e-${user}-${index}`,
      userId: user,
      sessionId: `s-${user}`,
      eventType: `type-${category}`,
      eventCategory: category,
      timestamp: new Date(INGEST_MS),
      properties: {},
      context: { userAgent: "test", ipAddress: "192.0.2.1", deviceType: "desktop", platform: "web" },
      source: "test",
      version: "1",
      environment: "test",
    })),
  );
  const columns = readPlainFrame({
    format: FRAME_FORMATS.msgpack,
    bytes,
    tenant: "acme",
    ingestTimeMs: INGEST_MS,
    partitionCount: 4,
    wanted,
  });
  assert.ok(columns !== undefined, "the frame is plain");
  return columns;
}

test("a number is given out once in a generation; what is left of the last one has none of this one's", () => {
  leaveTextNumbers(2);
  const last = [newTextNumber(), newTextNumber()];
  assert.equal(new Set(last).size, 2);
  assert.ok(areTextNumbersSpent());
  assert.equal(nextTextNumber(), endOfTextNumbers());
  beginTextGeneration();
  const first = newTextNumber();
  leaveTextNumbers(2);
  assert.ok(![first, newTextNumber(), newTextNumber()].some((number) => last.includes(number)));
  beginTextGeneration();
});

test("a memo gives back what was put for a number, and nothing of an earlier generation", () => {
  const memo = new TextMemo(4);
  memo.put(1, 10);
  memo.put(2, 20);
  assert.deepEqual([memo.get(1), memo.get(2), memo.get(3), memo.get(UNKNOWN)], [10, 20, NOT_KNOWN, NOT_KNOWN]);
  memo.put(5, 50);
  assert.deepEqual([memo.get(1), memo.get(5)], [NOT_KNOWN, 50]);
  beginTextGeneration();
  assert.equal(memo.get(2), NOT_KNOWN);
  memo.put(3, 30);
  assert.deepEqual([memo.get(2), memo.get(3)], [NOT_KNOWN, 30]);
});

test("frames are read right, and filters decide right, while numbers run out again and again", () => {
  const filter = compileFilter(eventFilter.parse({ any: [{ field: "eventCategory", op: "contains", value: "7" }] }));
  const known = new KnownTexts();
  let unknown = 0;
  for (let round = 0; round < 50; round++) {
    if (round % 5 === 0) leaveTextNumbers(10);
    const isNew = areTextNumbersSpent();
    if (isNew) known.forget();
    const columns = read(Array.from({ length: 20 }, (_, index) => ({ user: `u${round % 7}-${index}`, category: `c${index}` })));
    for (const path of ["eventType", "userId", "sessionId", "eventCategory"]) known.check(columns, path);
    const passes = filter(columns);
    for (let row = 0; row < 20; row++) {
      assert.equal(passes(row), String(columns.field("eventCategory")[row]).includes("7"));
      if (columns.column("userId").kind(row) === UNKNOWN) unknown++;
      // It was there in the round before, when most texts got none.
      assert.ok(!isNew || columns.column("eventType").kind(row) !== UNKNOWN, "each gets one when there are some again");
    }
  }
  assert.ok(unknown > 0 && unknown < 50 * 20, `${unknown} users had no number`);
});
