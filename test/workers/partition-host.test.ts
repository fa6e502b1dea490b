/**
 * Promises 1 and 8: nothing leaves the host (no outcome, no partial, no definition) before the record that it comes from is on
 * disk, and then in the order in which it came about. Promise 5: frames are applied in the order in which they came.
 * A failed flush lets nothing out, ever. Promise 3: every frame has an outcome, also one that cannot be decoded.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { openRecord } from "../../workers/sealed-record.ts";
import { DUPLICATE, verdictOf } from "../../protocol/verdicts.ts";
import { decodeDeadLetter } from "../../actors/dead-letter.ts";
import { FrameBatch, unpackFrames } from "../../workers/hand-off.ts";
import { eventsBySource, frame, garbage, newDisk, settled, TENANT, TestHost } from "./frame-fixture.ts";

function manualHost(partitions = 4): TestHost {
  return new TestHost(newDisk(1, partitions), { manual: true });
}

test("no outcome before the flush, all of them after it, in order", async () => {
  const host = manualHost();
  host.partitionHost.accept([frame(7, [{ id: "a" }]), frame(8, [{ id: "b" }, { id: "a" }])]);
  await settled();
  assert.equal(host.journal.appendedOffset, 2);
  assert.equal(host.counts().accepted, 2, "decided in memory");
  assert.deepEqual(host.outcomes, [], "and told to nobody");
  host.journal.flushNow();
  await settled();
  assert.deepEqual(host.left, ["outcome 7", "outcome 8"]);
  assert.deepEqual(host.outcomes, [
    { id: 7, offset: 1, totalEvents: 1, failedEvents: 0, results: [] },
    { id: 8, offset: 2, totalEvents: 2, failedEvents: 0, results: [{ index: 1, eventId: "a", verdict: DUPLICATE }] },
  ]);
});

test("a commit lets out what it carried, not what came while it ran", async () => {
  const host = manualHost();
  const commits: (() => void)[] = [];
  // As a disk does: a commit has the records that were there when it began.
  host.journal.flush = () => {
    const carried = host.journal.appendedOffset;
    return new Promise((resolve) => commits.push(() => resolve(carried)));
  };
  host.partitionHost.accept([frame(1, [{ id: "a" }])]);
  await settled();
  host.partitionHost.accept([frame(2, [{ id: "b" }])]);
  await settled();
  commits[0]?.();
  await settled();
  assert.deepEqual(host.left, ["outcome 1"]);
  commits[1]?.();
  await settled();
  assert.deepEqual(host.left, ["outcome 1", "outcome 2"]);
});

test("while a commit runs, a few frames wait and share the next one; many do not wait", async () => {
  const host = manualHost();
  const accept = async (count: number): Promise<void> => {
    host.partitionHost.accept(Array.from({ length: count }, (_, id) => frame(id, [{ id: `e${id}` }])));
    await settled();
  };
  await accept(1);
  await accept(1);
  await accept(1);
  assert.equal(host.journal.appendedOffset, 1, "the others wait for the commit");
  host.journal.flushNow();
  await settled();
  assert.equal(host.journal.appendedOffset, 3, "and share one turn");
  await accept(limits.turnFramesWorthwhile);
  assert.equal(host.journal.appendedOffset, 3 + limits.turnFramesWorthwhile);
  assert.equal(host.left.length, 1);
});

test("the buffer of a batch goes back once its last frame is durable, and what was in it is not needed any more", async () => {
  const host = manualHost(1);
  const frames = Array.from({ length: limits.turnFramesMax + 2 }, (_, id) => frame(id, [{ id: `e${id}` }, { id: "same" }, null]));
  const batch = new FrameBatch();
  for (const each of frames) batch.add(each);
  const packed = batch.take();
  host.partitionHost.accept(unpackFrames(packed.batch, packed.tenants));
  await settled();
  assert.deepEqual(host.spent, []);
  host.journal.flushNow();
  await settled();
  host.journal.flushNow();
  await settled();
  assert.equal(host.outcomes.length, frames.length);
  assert.deepEqual(host.spent, [packed.batch.buffer]);
  // As if the next frames had come into it.
  new Uint8Array(packed.batch.buffer).fill(0xff);
  await host.partitionHost.collect();
  const raw = host.members.flatMap(({ partition }) =>
    partition
      .snapshot()
      .flatMap(({ table, value }) => (table === "dead-letters" && value !== undefined ? [decodeDeadLetter(value)] : [])),
  );
  assert.equal(raw.length, frames.length);
  for (const letter of raw) assert.equal(new TextDecoder().decode(letter.raw), "null");
  assert.equal(host.counts().accepted, frames.length + 1);
});

test("no partial before the flush of what it counts", async () => {
  const host = manualHost(1);
  const defined = host.partitionHost.define(TENANT, [eventsBySource], 1);
  await settled();
  assert.deepEqual(host.left, []);
  host.journal.flushNow();
  await defined;
  host.left.length = 0;
  host.partitionHost.accept([frame(1, [{ id: "a" }])]);
  await settled();
  const collected = host.partitionHost.collect();
  await settled();
  assert.deepEqual(host.left, []);
  host.journal.flushNow();
  await collected;
  assert.deepEqual(host.left, ["outcome 1", "partials"]);
  assert.equal(host.partials.at(-1)?.metrics[0]?.count, 1);
});

test("a partial that was taken before a turn does not count it, though it leaves with it", async () => {
  const host = manualHost(1);
  void host.partitionHost.define(TENANT, [eventsBySource], 1);
  host.partitionHost.accept([frame(1, [{ id: "a" }])]);
  void host.partitionHost.turn();
  void host.partitionHost.collect();
  const [before] = [...host.partitions.values()].map((partition) => partition.collect());
  assert.deepEqual(before, [], "it has been taken");
  host.partitionHost.accept([frame(2, [{ id: "b" }])]);
  void host.partitionHost.turn();
  host.journal.flushNow();
  await settled();
  assert.deepEqual(host.left, ["definitions", "outcome 1", "partials", "outcome 2"]);
});

test("definitions leave before the partials that are counted by them, also when one commit carries both", async () => {
  const host = manualHost(1);
  host.partitionHost.accept([frame(1, [{ id: "x" }])]);
  await settled();
  const defined = host.partitionHost.define(TENANT, [eventsBySource], 1);
  host.partitionHost.accept([frame(2, [{ id: "a" }])]);
  void host.partitionHost.turn();
  const collected = host.partitionHost.collect();
  host.journal.flushNow();
  await Promise.all([defined, collected]);
  assert.deepEqual(host.left, ["outcome 1", "definitions", "outcome 2", "partials"]);
  assert.deepEqual(host.definitions, ["by_source"]);
});

test("the same definitions again are not journaled again, and still wait for the disk", async () => {
  const host = manualHost(1);
  const first = host.partitionHost.define(TENANT, [eventsBySource], 1);
  let known = false;
  const second = host.partitionHost.define(TENANT, [eventsBySource], 2).then(() => (known = true));
  await settled();
  assert.equal(known, false);
  assert.equal(host.journal.appendedOffset, 1);
  host.journal.flushNow();
  await Promise.all([first, second]);
});

test("a failing flush lets nothing out, then or later, and stops the host once", async () => {
  const host = manualHost();
  host.partitionHost.accept([frame(1, [{ id: "a" }])]);
  await settled();
  void host.partitionHost.collect();
  host.journal.failNextCommit();
  host.journal.flushNow();
  await settled();
  host.partitionHost.accept([frame(2, [{ id: "b" }])]);
  await host.partitionHost.collect();
  await host.partitionHost.finish();
  await settled();
  assert.deepEqual(host.left, []);
  assert.equal(host.failures.length, 1);
});

test("a frame that cannot be decoded is journaled as it is, kept as a dead letter, and answered with its code", async () => {
  const host = manualHost();
  const bad = garbage(1);
  host.partitionHost.accept([bad, frame(2, [null, { id: "a" }])]);
  await settled();
  host.journal.flushNow();
  await settled();
  const [refused, decided] = host.outcomes;
  assert.equal(refused?.refused?.code, "WEIR_FRAME_MALFORMED");
  assert.deepEqual([refused?.totalEvents, refused?.failedEvents], [1, 1]);
  assert.deepEqual([decided?.totalEvents, decided?.failedEvents], [2, 1]);
  assert.equal(decided?.results[0]?.verdict, verdictOf("WEIR_EVENT_NOT_A_MAP"));
  const [first] = host.journal.read(host.journal.firstOffset);
  const record = openRecord(first?.record ?? new Uint8Array());
  assert.ok(record.kind === "frame");
  assert.equal(record.decodable, false);
  assert.deepEqual(Buffer.from(record.bytes), Buffer.from(bad.bytes));
  const letters = [...host.partitions.values()]
    .flatMap((partition) => partition.snapshot())
    .filter(({ table }) => table === "dead-letters");
  assert.equal(letters.length, 2);
  assert.equal(host.counts().received, 3);
});

test("a mailbox larger than a turn is worked off in several, and commits are shared", async () => {
  const host = new TestHost(newDisk(1, 4));
  const flushes: number[] = [];
  const flush = host.journal.flush.bind(host.journal);
  host.journal.flush = () => {
    flushes.push(host.journal.appendedOffset);
    return flush();
  };
  const count = limits.turnFramesMax * 3 + 5;
  host.partitionHost.accept(Array.from({ length: count }, (_, id) => frame(id, [{ id: `e${id}` }])));
  assert.equal(host.partitionHost.mailboxFrames, count);
  assert.ok(host.partitionHost.mailboxBytes > 0);
  await host.partitionHost.finish();
  await settled();
  assert.deepEqual(
    host.outcomes.map(({ id }) => id),
    Array.from({ length: count }, (_, id) => id),
  );
  assert.ok(flushes.length < 12, `${flushes.length} flushes for ${count} frames`);
  assert.deepEqual([host.partitionHost.mailboxFrames, host.partitionHost.mailboxBytes], [0, 0]);
});

test("turns that wait for the disk are bounded; the rest stays in the mailbox", async () => {
  const host = manualHost();
  const count = limits.turnFramesMax * (limits.uncommittedTurnsMax + 2);
  host.partitionHost.accept(Array.from({ length: count }, (_, id) => frame(id, [{ id: `e${id}` }])));
  await settled();
  await settled();
  assert.equal(host.journal.appendedOffset, limits.turnFramesMax * limits.uncommittedTurnsMax);
  host.journal.flushNow();
  await settled();
  host.journal.flushNow();
  await settled();
  assert.equal(host.outcomes.length, count);
});

test("a turn whose frames take long ends after its time; what was not read is in the next, in order", async () => {
  const host = new TestHost(newDisk(1, 4));
  let nowMs = 0;
  // Whoever looks at the clock finds that a millisecond has passed.
  host.elapsedMs = () => nowMs++;
  const count = 200;
  let turns = 0;
  const { flush } = host.journal;
  host.journal.flush = () => {
    turns++;
    return flush.call(host.journal);
  };
  host.partitionHost.accept(Array.from({ length: count }, (_, id) => frame(id, [{ id: "same" }, { id: `own${id}` }])));
  await host.partitionHost.finish();
  await settled();
  assert.ok(turns >= count / limits.turnMsMax, `${turns} turns`);
  assert.deepEqual(
    host.outcomes.map(({ id, offset }) => [id, offset]),
    Array.from({ length: count }, (_, id) => [id, id + 1]),
  );
  assert.deepEqual(host.counts(), { received: 2 * count, accepted: count + 1 });
});

test("short turns do not wait for the disk more often than long ones", async () => {
  const host = manualHost();
  let nowMs = 0;
  // Each frame takes the time of a turn.
  host.elapsedMs = () => (nowMs += limits.turnMsMax);
  host.partitionHost.accept(Array.from({ length: 500 }, (_, id) => frame(id, [{ id: `e${id}` }])));
  while (host.partitionHost.mailboxFrames > 500 - limits.uncommittedFramesFull) await settled();
  await settled();
  assert.equal(host.journal.appendedOffset, limits.uncommittedFramesFull, "and not without end");
});

test("promise 5: frames of one session are applied in the order in which they came, over turns", async () => {
  const host = new TestHost(newDisk(1, 4));
  const count = limits.turnFramesMax + 10;
  host.partitionHost.accept(
    Array.from({ length: count }, (_, id) => frame(id, [{ id: "same" }, { id: `own${id}` }], { allResults: true })),
  );
  await host.partitionHost.finish();
  await settled();
  const duplicates = host.outcomes.map(({ results }) => results[0]?.verdict);
  assert.deepEqual(duplicates, [0, ...new Array<number>(count - 1).fill(DUPLICATE)]);
  assert.deepEqual(
    host.outcomes.map(({ offset }) => offset),
    Array.from({ length: count }, (_, index) => index + 1),
  );
});
