/** Frames leave at once when nobody else seems to send, together when others do, and never later than the pace says. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { HAND_OFF_EVERY_MS, HandOffPace } from "../../workers/hand-off-pace.ts";

let nowMs = 0;
let soon: (() => void)[] = [];
let later: { dueMs: number; work: () => void }[] = [];
/** How many shares of frames left together, and when. */
let left: [timeMs: number, shares: number][] = [];
let gathered = 0;
let unanswered = 0;
let pace: HandOffPace;

/** So many shares are one frame, or as many frames of one share each. */
const HOSTS = 2;

beforeEach(() => {
  nowMs = 1_000;
  soon = [];
  later = [];
  left = [];
  gathered = 0;
  unanswered = 0;
  const environment = {
    elapsed: () => nowMs,
    soon: (work: () => void) => void soon.push(work),
    after: (ms: number, work: () => void) => {
      later.push({ dueMs: nowMs + ms, work });
      return () => assert.fail("a hand-over that is to come is not called off");
    },
  };
  pace = new HandOffPace({ environment, hosts: HOSTS, isIdle: () => unanswered === 0, handOver });
});

function handOver(): void {
  pace.left();
  left.push([nowMs, gathered]);
  unanswered += gathered;
  gathered = 0;
}

/** So many shares come in this turn of the event loop, and the next one begins. */
function frames(count: number, bytes = 100): void {
  for (let share = 0; share < count; share++) {
    gathered++;
    pace.gathered(bytes);
  }
  nextTurn();
}

/** The hosts answer so many of those that left, and the next turn of the event loop begins. */
function answers(count: number): void {
  unanswered -= count;
  pace.answered();
  nextTurn();
}

function nextTurn(): void {
  for (const work of soon.splice(0)) work();
}

function wait(ms: number): void {
  nowMs += ms;
  const due = later.filter(({ dueMs }) => dueMs <= nowMs);
  later = later.filter(({ dueMs }) => dueMs > nowMs);
  for (const { work } of due) work();
}

test("a sender that waits for each answer is not held up", () => {
  for (let frame = 0; frame < 3; frame++) {
    frames(HOSTS);
    wait(0.5);
    answers(HOSTS);
    wait(0.5);
  }
  assert.deepEqual(
    left,
    [1_000, 1_001, 1_002].map((timeMs) => [timeMs, HOSTS]),
  );
});

test("what comes while answers are due leaves with the last answer", () => {
  frames(2);
  wait(1);
  frames(2);
  wait(1);
  answers(1);
  frames(1);
  assert.equal(left.length, 1);
  answers(1);
  assert.deepEqual(left.slice(1), [[1_002, 3]]);
});

test("after several frames at once the next ones wait for others, also when the hosts owe no answer", () => {
  frames(HOSTS + 1);
  answers(HOSTS + 1);
  wait(1);
  frames(1);
  answers(0);
  assert.equal(left.length, 1);
  wait(HAND_OFF_EVERY_MS - 1);
  assert.deepEqual(left.slice(1), [[1_000 + HAND_OFF_EVERY_MS, 1]]);
  answers(1);
  frames(1);
  assert.equal(left.length, 3, "they waited in vain: the next one does not");
});

test("when no answer comes they leave as the pace says, counted from the last that left", () => {
  frames(1);
  wait(1);
  frames(2);
  wait(1);
  frames(1);
  assert.deepEqual(left, [[1_000, 1]]);
  wait(HAND_OFF_EVERY_MS - 2);
  assert.deepEqual(left.slice(1), [[1_000 + HAND_OFF_EVERY_MS, 3]]);
  wait(2 * HAND_OFF_EVERY_MS);
  assert.equal(left.length, 2, "nothing leaves when nothing has gathered");
  frames(1);
  assert.equal(left.length, 3, "after a pause the next one does not wait");
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

test("fewer large frames are worthwhile than small ones", () => {
  frames(HOSTS + 1);
  wait(1);
  frames(limits.turnLargeFramesWorthwhile, 100);
  assert.equal(left.length, 1, "small ones wait");
  frames(1, limits.turnBytesWorthwhile);
  assert.deepEqual(left.slice(1), [[1_001, limits.turnLargeFramesWorthwhile + 1]]);
});
