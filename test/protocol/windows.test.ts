/** Panes divide each other; windows cover what they say; channels parse or are refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WeirError } from "../../protocol/error-codes.ts";
import { cadenceFor, PANE_SIZES_MS, parseChannel, windows, windowSpan, type WindowName } from "../../protocol/windows.ts";

const names = Object.keys(windows) as WindowName[];

describe("windows", () => {
  it("panes divide each other, and every step is whole panes", () => {
    assert.equal(PANE_SIZES_MS[1] % PANE_SIZES_MS[0], 0);
    assert.equal(PANE_SIZES_MS[2] % PANE_SIZES_MS[1], 0);
    for (const { stepMs, lengthMs } of Object.values(windows)) assert.equal((stepMs % PANE_SIZES_MS[0]) + (lengthMs % stepMs), 0);
  });
  it("a span holds now, has its length, and moves in its steps", () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.integer({ min: 946_684_800_000, max: 4e12 }), (name, now) => {
        const { fromMs, toMs } = windowSpan(name, now);
        assert.ok(fromMs <= now && now < toMs && toMs - now <= windows[name].stepMs);
        assert.equal(toMs - fromMs, windows[name].lengthMs);
        assert.equal(toMs % windows[name].stepMs, 0);
      }),
    );
  });
  it("the day is the UTC day", () => {
    const span = windowSpan("day", Date.UTC(2024, 1, 29, 23, 59, 59, 999));
    assert.deepEqual(span, { fromMs: Date.UTC(2024, 1, 29), toMs: Date.UTC(2024, 2, 1) });
  });
});

describe("cadenceFor", () => {
  it("is the slowest that is not slower than asked", () => {
    const cases: [number | undefined, number][] = [
      [undefined, 100],
      [0, 100],
      [99, 100],
      [100, 100],
      [999, 250],
      [1_000, 1_000],
      [1e9, 10_000],
    ];
    for (const [asked, expected] of cases) assert.equal(cadenceFor(asked), expected);
  });
});

describe("parseChannel", () => {
  it("takes a metric with or without a window", () => {
    assert.deepEqual(parseChannel("events"), { metric: "events", window: "5m" });
    assert.deepEqual(parseChannel("events@day"), { metric: "events", window: "day" });
  });
  it("refuses the rest", () => {
    for (const channel of ["", "@5m", "events@", "events@2m", "events@5m@5m", "events@toString"]) {
      assert.throws(
        () => parseChannel(channel),
        (error) => error instanceof WeirError && error.code === "WEIR_CHANNEL_INVALID",
      );
    }
  });
});
