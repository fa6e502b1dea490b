/** What is a time, and which one; and that nothing else is. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseTimestamp, timestampVerdict } from "../../protocol/timestamp.ts";
import { ACCEPTED, codeOf } from "../../protocol/verdicts.ts";

const noon = Date.UTC(2024, 1, 29, 12, 30, 45, 678);

describe("parseTimestamp", () => {
  const good: [unknown, number][] = [
    ["2024-02-29T12:30:45.678Z", noon],
    ["2024-02-29T12:30:45Z", noon - 678],
    ["2024-02-29T12:30:45.678901234Z", noon],
    ["2024-02-29T12:30:45.6Z", noon - 78],
    ["2024-02-29T14:30:45.678+02:00", noon],
    ["2024-02-29T07:00:45.678-05:30", noon],
    ["2000-01-01T00:00:00Z", Date.UTC(2000, 0, 1)],
    [noon, noon],
    [noon + 0.9, noon],
    [-1.5, -2],
    [BigInt(noon), noon],
    [new Date(noon), noon],
  ];
  for (const [value, expected] of good) it(`${String(value)}`, () => assert.equal(parseTimestamp(value), expected));

  const bad: unknown[] = [
    "2024-02-30T00:00:00Z",
    "2023-02-29T00:00:00.000Z",
    "1900-02-29T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "2024-00-01T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:60:00Z",
    "2024-01-01T00:00:60Z",
    "2024-01-01T00:00:00",
    "2024-01-01 00:00:00Z",
    "2024-01-01",
    "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00.1234567890Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00+0200",
    "2024-01-0aT00:00:00Z",
    "2024-01-01Taa:00:00Z",
    "2024-01-01T0 :00:00.000Z",
    "2024-01-01T00:-1:00Z",
    "2024-01-01T00:00:+1Z",
    "2024-+1-01T00:00:00Z",
    "aaaa-01-01T00:00:00Z",
    "2024-01-01T00:00:00.a00Z",
    "2024-01-01T00:00:00.00aZ",
    "Mon, 01 Jan 2024 00:00:00 GMT",
    "1704067200000",
    "",
    null,
    undefined,
    true,
    {},
    [],
    Number.NaN,
    Number.POSITIVE_INFINITY,
    8.64e15 + 1,
    2n ** 70n,
    new Date(Number.NaN),
  ];
  for (const value of bad) it(`refuses ${typeof value} ${String(value)}`, () => assert.ok(Number.isNaN(parseTimestamp(value))));

  it("reads what Date writes, for every day of 10,000 years", () => {
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(0, 0, 1) - 1900 * 366 * 86_400_000, max: Date.UTC(9999, 11, 31) }), (ms) => {
        const text = new Date(ms).toISOString();
        if (text.length === 24) assert.equal(parseTimestamp(text), ms);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("timestampVerdict", () => {
  const verdictAt = (ms: number) => codeOf(timestampVerdict(ms, noon));
  it("takes 2000 to five minutes ahead", () => {
    assert.equal(timestampVerdict(Date.UTC(2000, 0, 1), noon), ACCEPTED);
    assert.equal(timestampVerdict(noon + 300_000, noon), ACCEPTED);
  });
  it("refuses the rest", () => {
    assert.equal(verdictAt(Date.UTC(2000, 0, 1) - 1), "WEIR_EVENT_TIMESTAMP_INVALID");
    assert.equal(verdictAt(Number.NaN), "WEIR_EVENT_TIMESTAMP_INVALID");
    assert.equal(verdictAt(noon + 300_001), "WEIR_EVENT_TIMESTAMP_FUTURE");
  });
});
