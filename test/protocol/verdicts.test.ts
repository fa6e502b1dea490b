/** Verdict numbers are part of the on-disk format: this test fails when one is changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionError } from "../../protocol/assert.ts";
import {
  ACCEPTED,
  codeOf,
  DUPLICATE,
  isDeadLetter,
  kindOf,
  verdictCount,
  verdictOf,
  type VerdictCode,
} from "../../protocol/verdicts.ts";

test("the numbers on disk", () => {
  const numbers: [VerdictCode, number][] = [
    ["WEIR_EVENT_DUPLICATE", 1],
    ["WEIR_EVENT_LATE", 2],
    ["WEIR_EVENT_NOT_A_MAP", 3],
    ["WEIR_EVENT_FIELD_MISSING", 4],
    ["WEIR_EVENT_FIELD_TYPE", 5],
    ["WEIR_EVENT_FIELD_LENGTH", 6],
    ["WEIR_EVENT_FIELD_ENCODING", 7],
    ["WEIR_EVENT_TIMESTAMP_INVALID", 8],
    ["WEIR_EVENT_TIMESTAMP_FUTURE", 9],
    ["WEIR_EVENT_PROPERTIES_TOO_LARGE", 10],
    ["WEIR_EVENT_NUMBER_INVALID", 11],
    ["WEIR_EVENT_VALUE_INVALID", 12],
    ["WEIR_FRAME_MALFORMED", 13],
    ["WEIR_FRAME_TOO_MANY_EVENTS", 14],
    ["WEIR_FRAME_POISONED", 15],
  ];
  for (const [code, number] of numbers) {
    assert.equal(verdictOf(code), number);
    assert.equal(codeOf(number), code);
  }
  assert.equal(verdictCount, numbers.length + 1);
  assert.equal(codeOf(ACCEPTED), undefined);
  assert.throws(() => codeOf(verdictCount), AssertionError);
});

test("every verdict is one word of the ledger", () => {
  const kinds = Array.from({ length: verdictCount }, (_, verdict) => kindOf(verdict));
  assert.deepEqual(kinds.slice(0, 3), ["accepted", "duplicate", "late"]);
  assert.ok(kinds.slice(3).every((kind) => kind === "invalid"));
  assert.deepEqual([ACCEPTED, DUPLICATE, 2, 3].map(isDeadLetter), [false, false, true, true]);
});
