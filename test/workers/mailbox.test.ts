/**
 * Laws: nothing is lost or taken twice; frames of one tenant leave in the order in which they came (promise 5); a tenant that
 * waits gets its part of every turn, or of one of the next few when there are more tenants than a turn has frames (promise 11).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { HandedFrame } from "../../workers/hand-off.ts";
import { Mailbox } from "../../workers/mailbox.ts";

let lastId = 0;
function frame(tenant: string, bytes = 10): HandedFrame {
  const id = ++lastId;
  return { id, tenant: tenant as TenantId, format: 0, allResults: false, ingestTimeMs: 1, bytes: new Uint8Array(bytes) };
}

test("any adds and takes keep every frame, in order within its tenant", () => {
  const step = fc.oneof(
    fc.record({ tenant: fc.constantFrom("a", "b", "c", "d"), count: fc.integer({ min: 1, max: 300 }), bytes: fc.nat(60_000) }),
    fc.constant("take" as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const mailbox = new Mailbox();
      const added = new Map<string, number[]>();
      const taken = new Map<string, number[]>();
      const take = () => {
        const frames = mailbox.take();
        assert.ok(frames.length <= limits.turnFramesMax);
        const bytesBeforeLast = frames.slice(0, -1).reduce((sum, { bytes }) => sum + bytes.length, 0);
        assert.ok(frames.length <= limits.turnFramesFull || bytesBeforeLast < limits.turnBytesFull, "it was not full before");
        for (const { id, tenant } of frames) taken.set(tenant, [...(taken.get(tenant) ?? []), id]);
        return frames.length;
      };
      for (const each of steps) {
        if (each === "take") take();
        else
          for (let left = each.count; left > 0; left--) {
            const one = frame(each.tenant, each.bytes);
            mailbox.add(one);
            added.set(each.tenant, [...(added.get(each.tenant) ?? []), one.id]);
          }
      }
      while (mailbox.frames > 0) assert.ok(take() > 0);
      assert.equal(mailbox.bytes, 0);
      assert.deepEqual(taken, new Map([...taken.keys()].map((tenant) => [tenant, added.get(tenant)])));
      assert.equal(taken.size, added.size);
    }),
    { numRuns: 100 },
  );
});

test("one frame of a tenant does not wait behind a thousand of another", () => {
  const mailbox = new Mailbox();
  for (let count = 0; count < 1_000; count++) mailbox.add(frame("noisy", 35_000));
  mailbox.take();
  const own = frame("quiet");
  mailbox.add(own);
  const turn = mailbox.take();
  assert.ok(turn.includes(own));
  const noisyBytes = turn.reduce((sum, { tenant, bytes }) => sum + (tenant === "noisy" ? bytes.length : 0), 0);
  assert.ok(noisyBytes <= limits.turnBytesPerTenantMax + 35_000, "and its turn is a short one");
});

test("a tenant alone gets whole turns", () => {
  const mailbox = new Mailbox();
  for (let count = 0; count < 200; count++) mailbox.add(frame("only", 35_000));
  assert.equal(mailbox.take().length, limits.turnFramesFull);
});

test("a turn has more of small frames than of large ones", () => {
  const mailbox = new Mailbox();
  for (let count = 0; count < 2 * limits.turnFramesMax; count++) mailbox.add(frame("only", 300));
  assert.equal(mailbox.take().length, limits.turnFramesMax);
  mailbox.clear();
  for (let count = 0; count < 200; count++) mailbox.add(frame("only", limits.turnBytesFull / 128));
  assert.equal(mailbox.take().length, 128);
});

test("with more tenants than a turn has frames, each has its part within a few turns", () => {
  const mailbox = new Mailbox();
  const tenants = Array.from({ length: 200 }, (_, index) => `tenant-${index}`);
  for (const tenant of tenants) for (let count = 0; count < 100; count++) mailbox.add(frame(tenant, 300_000));
  const served = new Set<string>();
  for (let turn = 0; turn < Math.ceil((tenants.length * 300_000) / limits.turnBytesMax) + 1; turn++) {
    for (const { tenant } of mailbox.take()) served.add(tenant);
  }
  assert.equal(served.size, tenants.length);
});
