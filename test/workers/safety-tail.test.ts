/** Law: after going back, everything that was answered for within the tail is behind the positions again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SafetyTail, type MarkedPositions, type PositionMark } from "../../workers/safety-tail.ts";

const TAIL_MS = 60_000;

class Kept implements MarkedPositions {
  readonly positions = new Map<string, number>();
  kept: PositionMark[] = [];

  get(name: string): number {
    return this.positions.get(name) ?? 0;
  }

  async set(positions: ReadonlyMap<string, number>): Promise<void> {
    for (const [name, position] of positions) this.positions.set(name, position);
  }

  marks(): readonly PositionMark[] {
    return this.kept;
  }

  async mark(mark: PositionMark, forgetBeforeMs: number): Promise<void> {
    this.kept = [...this.kept.filter(({ timeMs }) => timeMs >= forgetBeforeMs), mark];
  }
}

test("law: what was answered for within the tail is sent again, and not much more; restarts of the writer change nothing", async () => {
  const step = fc.record({
    afterMs: fc.integer({ min: 0, max: 20_000 }),
    source: fc.constantFrom("a", "b"),
    records: fc.integer({ min: 1, max: 9 }),
    restart: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
      const kept = new Kept();
      let nowMs = 1_000_000;
      const newTail = (): SafetyTail => new SafetyTail({ kept, names: ["a", "b"], tailMs: TAIL_MS, now: () => nowMs });
      let tail = newTail();
      const answered: { source: string; position: number; timeMs: number }[] = [];
      for (const { afterMs, source, records, restart } of steps) {
        nowMs += afterMs;
        if (restart) tail = newTail();
        const position = tail.get(source) + records;
        await tail.set(new Map([[source, position]]));
        answered.push({ source, position, timeMs: nowMs });
      }
      const before = new Map(kept.positions);
      await tail.rewind();
      for (const { source, position, timeMs } of answered) {
        if (timeMs > nowMs - TAIL_MS) assert.ok(tail.get(source) < position, `${source} ${position} is sent again`);
        // A mark is as old as the pause before it, and each pause here is at most 20 s.
        if (timeMs < nowMs - TAIL_MS - 25_000) assert.ok(tail.get(source) >= position, "what is older stays");
      }
      for (const [name, position] of before) assert.ok(tail.get(name) <= position, "never forward");
      assert.ok(kept.kept.length <= 64);
    }),
    { numRuns: 200 },
  );
});

test("without a tail nothing is marked and nothing goes back", async () => {
  const kept = new Kept();
  const tail = new SafetyTail({ kept, names: ["a"], tailMs: 0, now: () => 5 });
  await tail.set(new Map([["a", 9]]));
  assert.equal(await tail.rewind(), undefined);
  assert.deepEqual([tail.get("a"), kept.kept.length], [9, 0]);
});
