/**
 * Laws: nothing is lost or taken twice; frames of one tenant leave in the order in which they came (promise 5); a tenant that
 * waits gets its part of every turn, or of one of the next few when there are more tenants than a turn has frames; while others
 * wait, no tenant has more of the time than they, whatever its bytes cost (promise 11).
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
    fc.record({ take: fc.constant(true), putBack: fc.integer({ min: 0, max: 30 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const mailbox = new Mailbox();
      const added = new Map<string, number[]>();
      const taken = new Map<string, number[]>();
      const take = (putBack = 0) => {
        const all = mailbox.take();
        const frames = all.slice(0, Math.max(1, all.length - putBack));
        mailbox.putBack(all.slice(frames.length));
        for (const { tenant, bytes } of frames) mailbox.charge(tenant, bytes.length, (bytes.length % 7) / 10);
        assert.ok(frames.length <= limits.turnFramesMax);
        const bytesBeforeLast = frames.slice(0, -1).reduce((sum, { bytes }) => sum + bytes.length, 0);
        assert.ok(frames.length <= limits.turnFramesFull || bytesBeforeLast < limits.turnBytesFull, "it was not full before");
        for (const { id, tenant } of frames) taken.set(tenant, [...(taken.get(tenant) ?? []), id]);
        return frames.length;
      };
      for (const each of steps) {
        if ("take" in each) take(each.putBack);
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

/** Turns of tenants that send without end, and what each has of them; bytes of each cost so many nanoseconds. */
function serve(
  turns: number,
  tenants: Record<string, { bytes: number; nsPerByte: number }>,
): { spent: Record<string, number>; longestMs: number } {
  const mailbox = new Mailbox();
  const spent: Record<string, number> = {};
  let longestMs = 0;
  const waiting: Record<string, number> = {};
  for (let turn = 0; turn < turns; turn++) {
    for (const [tenant, { bytes }] of Object.entries(tenants)) {
      for (; (waiting[tenant] ?? 0) < 300; waiting[tenant] = (waiting[tenant] ?? 0) + 1) mailbox.add(frame(tenant, bytes));
    }
    let turnMs = 0;
    const costs: Record<string, { bytes: number; ms: number }> = {};
    for (const { tenant, bytes } of mailbox.take()) {
      const ms = (bytes.length * (tenants[tenant]?.nsPerByte ?? 0)) / 1e6;
      const cost = (costs[tenant] ??= { bytes: 0, ms: 0 });
      cost.bytes += bytes.length;
      cost.ms += ms;
      turnMs += ms;
      waiting[tenant] = (waiting[tenant] ?? 0) - 1;
      spent[tenant] = (spent[tenant] ?? 0) + ms;
    }
    for (const [tenant, { bytes, ms }] of Object.entries(costs)) mailbox.charge(tenant as TenantId, bytes, ms);
    // The first ones find out what it costs.
    if (turn > 0) longestMs = Math.max(longestMs, turnMs);
  }
  return { spent, longestMs };
}

test("tenants share the time of turns, whatever their bytes cost", () => {
  const { spent, longestMs } = serve(200, {
    cheap: { bytes: 35_000, nsPerByte: 20 },
    costly: { bytes: 30_000, nsPerByte: 400 },
  });
  const ratio = (spent["costly"] ?? 0) / (spent["cheap"] ?? 1);
  assert.ok(ratio < 1.3, `the costly one has ${ratio.toFixed(2)} times the other's time`);
  assert.ok(longestMs <= limits.turnMsMax + limits.turnMsPerTenantMax + 12, `a turn takes ${longestMs} ms`);
});

test("a frame that takes longer than a share is paid for in the turns after it", () => {
  const { spent } = serve(300, {
    cheap: { bytes: 35_000, nsPerByte: 20 },
    // 60 ms a frame.
    monstrous: { bytes: 4_000_000, nsPerByte: 15 },
  });
  const ratio = (spent["monstrous"] ?? 0) / (spent["cheap"] ?? 1);
  assert.ok(ratio < 1.3, `the one of large frames has ${ratio.toFixed(2)} times the other's time`);
  assert.ok(ratio > 0.5, "and its part too");
});

test("a turn of one tenant alone ends in time for whoever comes", () => {
  const { longestMs, spent } = serve(100, { only: { bytes: 100_000, nsPerByte: 100 } });
  assert.ok(longestMs <= limits.turnMsMax + 10, `a turn takes ${longestMs} ms`);
  assert.ok((spent["only"] ?? 0) > 99 * limits.turnMsMax, "and owes nothing for it");
});

test("frames that are put back begin the next turn", () => {
  const mailbox = new Mailbox();
  const frames = ["a", "a", "b", "c", "a"].map((tenant) => frame(tenant));
  for (const each of frames) mailbox.add(each);
  const turn = mailbox.take();
  mailbox.putBack(turn.slice(1));
  mailbox.add(frame("d"));
  assert.equal(mailbox.frames, 5);
  assert.deepEqual(
    mailbox.take().map(({ tenant }) => tenant),
    ["a", "a", "b", "c", "d"],
  );
});
