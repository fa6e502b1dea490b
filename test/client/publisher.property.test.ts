/**
 * Law 1: whatever the server does (ends connections before or after it took a frame, refuses retryably, answers in another
 * order), every event gets the verdict "success", the server has every id exactly once, and no id that was not sent.
 * Law 2: as long as it does not refuse a frame while it has later ones (or one frame is in flight at a time), ids are first
 * accepted in the order in which they were published.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { connect } from "../../client/index.ts";
import { FakeServer, type PublishedFrame, type Reaction } from "./fake-server.ts";

const reactions = fc.constantFrom<Reaction>(
  { kind: "ack" },
  { kind: "ack" },
  { kind: "hold" },
  { kind: "drop", take: true },
  { kind: "drop", take: false },
  { kind: "drop", take: true, code: 1012 },
  { kind: "refuse", code: "WEIR_FLOW_OVERLOADED", retryable: true },
  { kind: "refuse", code: "WEIR_FLOW_CREDIT_EXCEEDED", retryable: true },
  { kind: "refuse", code: "WEIR_HOST_FAILED", retryable: true },
);

const scenarios = fc.record({
  script: fc.array(reactions, { maxLength: 25 }),
  calls: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 }),
  batchEvents: fc.integer({ min: 1, max: 10 }),
  inFlightMax: fc.constantFrom(1, 2, 64),
  credit: fc.constantFrom(1, 3, 64),
  bufferEvents: fc.constantFrom(4, 1_000),
});

test("no event is lost, doubled or renamed, and order is kept", { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scenarios, async ({ script, calls, batchEvents, inFlightMax, credit, bufferEvents }) => {
      const server = await FakeServer.start();
      server.credit = credit;
      server.react = scripted(server, [...script]);
      const client = connect({
        url: server.url,
        key: "weir_demo_good",
        batchEvents,
        inFlightMax,
        bufferEvents,
        lingerMs: 0,
        retry: { delayMsMin: 1, delayMsMax: 3 },
      });
      try {
        let sent = 0;
        const batches = calls.map((count) => Array.from({ length: count }, () => ({ eventId: `e${sent++}`, timestamp: 1 })));
        const results = await Promise.all(batches.map((batch) => client.publish(batch)));
        const ids = batches.flat().map((event) => event.eventId);
        assert.deepEqual(
          results.map((result) => result.successfulEvents),
          calls,
        );
        assert.deepEqual(new Set(server.accepted), new Set(ids));
        assert.equal(server.accepted.length, ids.length);
        assert.equal(client.stats.buffered, 0);
        assert.ok(server.inFlightMax <= Math.min(credit, inFlightMax), `${server.inFlightMax} frames in flight`);
        const reorders = script.some((each) => each.kind === "refuse" || each.kind === "hold");
        if (!reorders || inFlightMax === 1) assert.deepEqual(server.accepted, ids);
      } finally {
        await client.close({ timeoutMs: 0 });
        await server.stop();
      }
    }),
    { numRuns: 60 },
  );
});

/** Held frames are answered last first, two turns later. */
function scripted(server: FakeServer, script: Reaction[]): (frame: PublishedFrame) => Reaction {
  const release = () => {
    const held = server.held;
    server.held = [];
    for (const frame of held.toReversed()) server.ack(frame);
  };
  return () => {
    const reaction = script.shift() ?? { kind: "ack" };
    if (reaction.kind === "hold") setTimeout(release, 2);
    return reaction;
  };
}
