/** A turn of small frames needs more of them, to begin and to be full, than one of large frames. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { isFullTurn, isWorthwhileTurn } from "../../workers/turn-size.ts";

/** With how many frames of a size it is so. */
function framesUntil(is: (frames: number, bytes: number) => boolean, frameBytes: number): number {
  let frames = 0;
  while (!is(frames, frames * frameBytes)) frames++;
  return frames;
}

/** Of one event, of ten, of a hundred. */
const [ONE, TEN, HUNDRED] = [500, 5_000, 50_000];

test("frames of ten events or more make turns by their number", () => {
  for (const bytes of [TEN, HUNDRED]) {
    assert.equal(framesUntil(isWorthwhileTurn, bytes), limits.turnLargeFramesWorthwhile);
    assert.equal(framesUntil(isFullTurn, bytes), limits.turnFramesFull);
  }
});

test("frames of one event make turns of several times as many", () => {
  assert.equal(framesUntil(isWorthwhileTurn, ONE), limits.turnFramesWorthwhile);
  assert.equal(framesUntil(isFullTurn, ONE), limits.turnFramesMax);
  assert.ok(limits.turnFramesWorthwhile >= 2 * limits.turnLargeFramesWorthwhile);
  assert.ok(limits.turnFramesMax >= 4 * limits.turnFramesFull);
});

test("a turn is never larger than its bytes allow", () => {
  assert.equal(framesUntil(isFullTurn, limits.turnBytesMax), 1);
});
