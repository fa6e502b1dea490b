/** Frames leave at once when few came lately, together when many do, and never later than the pace says. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { HAND_OFF_EVERY_MS, HandOffPace } from "../../workers/hand-off-pace.ts";

let nowMs = 0;
let soon: (() => void)[] = [];
let later: { dueMs: number; work: () => void }[] = [];
/** How many frames left together, and when. */
let left: [timeMs: number, frames: number][] = [];
let gathered = 0;
let pace: HandOffPace;

beforeEach(() => {
  nowMs = 1_000;
  soon = [];
  later = [];
  left = [];
  gathered = 0;
  const environment = {
    elapsed: () => nowMs,
    soon: (work: () => void) => void soon.push(work),
    after: (ms: number, work: () => void) => void later.push({ dueMs: nowMs + ms, work }),
  };
  pace = new HandOffPace(environment, handOver);
});

function handOver(): void {
  pace.left();
  left.push([nowMs, gathered]);
  gathered = 0;
}

/** `frames` come in this turn of the event loop, and the next one begins. */
function frames(count: number): void {
  for (let frame = 0; frame < count; frame++) {
    gathered++;
    pace.gathered();
  }
  for (const work of soon.splice(0)) work();
}

function wait(ms: number): void {
  nowMs += ms;
  const due = later.filter(({ dueMs }) => dueMs <= nowMs);
  later = later.filter(({ dueMs }) => dueMs > nowMs);
  for (const { work } of due) work();
}

test("a frame on its own leaves with the next turn, also the one after a while", () => {
  frames(1);
  wait(HAND_OFF_EVERY_MS);
  frames(1);
  assert.deepEqual(left, [
    [1_000, 1],
    [1_000 + HAND_OFF_EVERY_MS, 1],
  ]);
});

test("frames soon after others wait for each other, until the pace has passed since those left", () => {
  frames(1);
  wait(1);
  frames(2);
  wait(1);
  frames(1);
  assert.deepEqual(left, [[1_000, 1]]);
  wait(HAND_OFF_EVERY_MS - 2);
  assert.deepEqual(left.slice(1), [[1_000 + HAND_OFF_EVERY_MS, 3]]);
  wait(HAND_OFF_EVERY_MS);
  assert.equal(left.length, 2, "nothing leaves when nothing has gathered");
});

test("frames that make a turn worthwhile leave at once, all of them", () => {
  frames(1);
  wait(1);
  frames(limits.turnFramesWorthwhile - 1);
  assert.equal(left.length, 1);
  frames(2);
  assert.deepEqual(left.slice(1), [[1_001, limits.turnFramesWorthwhile + 1]]);
});

test("after frames were made to leave, the next ones wait from then on, and a timer from before makes them leave in time", () => {
  frames(1);
  wait(3);
  frames(1);
  handOver();
  wait(0.5);
  frames(1);
  assert.equal(left.length, 2);
  wait(HAND_OFF_EVERY_MS);
  assert.equal(left.length, 3);
  assert.equal(gathered, 0);
});
