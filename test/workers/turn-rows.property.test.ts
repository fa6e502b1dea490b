/** Law: each partition takes its own rows of all frames, in the order of frames and rows, and every row is taken once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TurnRows } from "../../workers/turn-rows.ts";

const PARTITIONS = 5;
const anyFrames = fc.array(fc.array(fc.integer({ min: 0, max: PARTITIONS - 1 }), { maxLength: 300 }), { maxLength: 12 });

test("rows go partition by partition, frame by frame", () => {
  const turnRows = new TurnRows();
  fc.assert(
    fc.property(anyFrames, (frames) => {
      turnRows.clear();
      for (const partitions of frames) turnRows.add(partitions);
      turnRows.sort(PARTITIONS);
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const expected = frames.flatMap((partitions, frame) =>
          partitions.flatMap((of, row) => (of === partition ? [[frame, row]] : [])),
        );
        const taken: number[][] = [];
        turnRows.take(partition, (frame, rows, from, to) => {
          assert.ok(from < to);
          for (const row of rows.subarray(from, to)) taken.push([frame, row]);
        });
        assert.deepEqual(taken, expected);
        assert.equal(turnRows.has(partition), expected.length > 0);
      }
    }),
  );
});
