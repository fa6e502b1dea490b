/**
 * Deduplication (promise 2): an id is found from when it is remembered until its slot of ingest time leaves the horizon, never
 * before and not for ever after; a snapshot gives the same memory back; what has expired leaves the store as well.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TextColumn } from "../../protocol/text-column.ts";
import { Deduplicator, fingerprintOf, HASHED_MAX, type DedupKey } from "../../actors/deduplicate.ts";
import type { StateWrite } from "../../actors/effects.ts";
import { MemoryStore } from "../../storage/memory/store.ts";

const key: DedupKey = { low: 0x03020100, high: 0x07060504 };
const HORIZON_MS = 24 * 3_600_000;
const SLOT_MS = HORIZON_MS / 24;
const START_MS = 500_000 * SLOT_MS;

/** HalfSipHash-c-d with 64-bit output, as its reference code says it, in unsigned arithmetic. */
function slowHalfSipHash(bytes: Uint8Array, { low, high }: DedupKey, rounds: number, finalRounds: number): [number, number] {
  let [v0, v1, v2, v3] = [low >>> 0, (high ^ 0xee) >>> 0, (0x6c796765 ^ low) >>> 0, (0x74656462 ^ high) >>> 0];
  const add = (a: number, b: number): number => (a + b) % 2 ** 32;
  const xor = (a: number, b: number): number => (a ^ b) >>> 0;
  const rotate = (a: number, by: number): number => ((a * 2 ** by) % 2 ** 32) + Math.floor(a / 2 ** (32 - by));
  const mix = (times: number): void => {
    for (; times > 0; times--) {
      v0 = add(v0, v1);
      v1 = xor(rotate(v1, 5), v0);
      v0 = rotate(v0, 16);
      v2 = add(v2, v3);
      v3 = xor(rotate(v3, 8), v2);
      v0 = add(v0, v3);
      v3 = xor(rotate(v3, 7), v0);
      v2 = add(v2, v1);
      v1 = xor(rotate(v1, 13), v2);
      v2 = rotate(v2, 16);
    }
  };
  const padded = new Uint8Array((Math.floor(bytes.length / 4) + 1) * 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length % 256;
  const words = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4) {
    const word = words.getUint32(at, true);
    v3 = xor(v3, word);
    mix(rounds);
    v0 = xor(v0, word);
  }
  v2 = xor(v2, 0xee);
  mix(finalRounds);
  const first = xor(v1, v3);
  v1 = xor(v1, 0xdd);
  mix(finalRounds);
  return [first, xor(v1, v3)];
}

test("the slow HalfSipHash gives the published 2-4 vectors (key 00..07, input 00, 01, ...)", () => {
  const published = ["218d1f59b9b83cc8", "be552412f8387315", "064f39ef7c50eb57", "ce0f1a45f7060679", "d5e78a175be52ea1"];
  const hexOf = (length: number): string => {
    const out = new DataView(new ArrayBuffer(8));
    const [first, second] = slowHalfSipHash(
      Uint8Array.from({ length }, (_, at) => at),
      key,
      2,
      4,
    );
    out.setUint32(0, first, true);
    out.setUint32(4, second, true);
    return Buffer.from(out.buffer).toString("hex");
  };
  assert.deepEqual(
    published.map((_, length) => hexOf(length)),
    published,
  );
});

test("a fingerprint is HalfSipHash-1-3 of the id's UTF-8 bytes", () => {
  const text = fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: "grapheme", maxLength: 80 }));
  const keys = fc.record({ low: fc.nat(0xffffffff), high: fc.nat(0xffffffff) });
  fc.assert(
    fc.property(text, keys, (id, anyKey) => {
      assert.deepEqual([...fingerprintOf(anyKey, id)], slowHalfSipHash(new TextEncoder().encode(id), anyKey, 1, 3));
    }),
    { numRuns: 500 },
  );
});

function isKnown(dedup: Deduplicator, id: string): boolean {
  dedup.hash(TextColumn.of([id]), Int32Array.of(0), 0, 1);
  return dedup.lookupHashed(0);
}

function takes(dedup: Deduplicator, id: string, ingestTimeMs: number): boolean {
  dedup.advance(ingestTimeMs);
  if (isKnown(dedup, id)) return false;
  dedup.remember();
  return true;
}

test("ids that were hashed together are decided as one by one, also while the table grows and time passes", () => {
  const batch = fc.record({
    // Some are new, some come again, within a batch and in a later one.
    ids: fc.array(fc.nat(700), { minLength: 1, maxLength: HASHED_MAX, size: "max" }),
    afterSlots: fc.constantFrom(0, 0, 0, 1, 26),
  });
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
      const together = new Deduplicator(key, HORIZON_MS);
      const oneByOne = new Deduplicator(key, HORIZON_MS);
      let timeMs = START_MS;
      for (const { ids, afterSlots } of batches) {
        timeMs += afterSlots * SLOT_MS;
        const texts = ids.map((id) => `id-${id}`);
        // Rows lie the other way round, behind one that is not to be taken.
        const rows = Int32Array.from([0, ...texts.map((_, index) => texts.length - 1 - index)]);
        together.hash(TextColumn.of(texts.toReversed()), rows, 1, rows.length);
        texts.forEach((text, index) => {
          together.advance(timeMs);
          const isKnown = together.lookupHashed(index);
          if (!isKnown) together.remember();
          assert.equal(!isKnown, takes(oneByOne, text, timeMs));
        });
        assert.equal(together.count, oneByOne.count);
      }
    }),
  );
});

test("an id counts once for the whole horizon, and again some time after it", () => {
  const dedup = new Deduplicator(key, HORIZON_MS);
  assert.ok(takes(dedup, "a", START_MS + SLOT_MS - 1));
  assert.ok(!takes(dedup, "a", START_MS + SLOT_MS - 1 + HORIZON_MS), "to the last millisecond of the horizon");
  assert.ok(takes(dedup, "a", START_MS + HORIZON_MS + 2 * SLOT_MS), "a slot after it");
  assert.equal(dedup.count, 1);
});

test("time that runs backwards forgets nothing and is taken as the present", () => {
  const dedup = new Deduplicator(key, HORIZON_MS);
  takes(dedup, "a", START_MS + 10 * SLOT_MS);
  assert.ok(takes(dedup, "b", START_MS));
  assert.ok(!takes(dedup, "a", START_MS - HORIZON_MS * 3));
  assert.ok(!takes(dedup, "b", START_MS + 10 * SLOT_MS + HORIZON_MS), "b is as young as the clock was, not as its own time says");
});

test("it grows past its load and still knows every id", () => {
  const dedup = new Deduplicator(key, HORIZON_MS);
  const ids = Array.from({ length: 20_000 }, (_, index) => `id-${index}`);
  for (const id of ids) assert.ok(takes(dedup, id, START_MS));
  for (const id of ids) assert.ok(!takes(dedup, id, START_MS));
  assert.ok(!isKnown(dedup, "id-20000"));
  assert.equal(dedup.count, ids.length);
});

async function commitSnapshot(dedup: Deduplicator, store: MemoryStore): Promise<void> {
  const writes: StateWrite[] = [];
  dedup.snapshot("dedup", "acme", writes);
  await store.commit(writes);
}

function restored(store: MemoryStore, slot: number): Deduplicator {
  const dedup = new Deduplicator(key, HORIZON_MS);
  dedup.restore(store.range("dedup", ["acme"], ["acme\0"]), slot);
  return dedup;
}

test("law: snapshots at any time and a restore leave the memory of a set with expiry by slot", async () => {
  const step = fc.record({
    id: fc.nat(60),
    slots: fc.integer({ min: -2, max: 9 }),
    snapshot: fc.boolean(),
    restart: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const store = new MemoryStore();
      let dedup = new Deduplicator(key, HORIZON_MS);
      const model = new Map<string, number>();
      let slot = START_MS / SLOT_MS;
      let highest = 0;
      for (const { id, slots, snapshot, restart } of steps) {
        slot += slots;
        highest = Math.max(highest, slot);
        for (const [known, since] of model) if (since < highest - 24) model.delete(known);
        const isNew = takes(dedup, `id-${id}`, slot * SLOT_MS);
        assert.equal(isNew, !model.has(`id-${id}`));
        if (isNew) model.set(`id-${id}`, highest);
        assert.equal(dedup.count, model.size);
        if (!snapshot && !restart) continue;
        await commitSnapshot(dedup, store);
        if (restart) dedup = restored(store, dedup.slot);
      }
    }),
    { numRuns: 300 },
  );
});

test("expired ids leave the store: its size is bounded by the horizon", async () => {
  const store = new MemoryStore();
  const dedup = new Deduplicator(key, HORIZON_MS);
  for (let slot = 0; slot < 200; slot++) {
    for (let index = 0; index < 50; index++) takes(dedup, `${slot}/${index}`, START_MS + slot * SLOT_MS);
    await commitSnapshot(dedup, store);
  }
  const slots = [...store.range("dedup", ["acme"], ["acme\0"])].map(({ key: [, slot] }) => slot);
  assert.equal(slots.length, 25);
  assert.equal(restored(store, dedup.slot).count, 25 * 50);
  assert.equal(dedup.count, 25 * 50);
  assert.ok(dedup.sizeBytes <= 4096 * 9, "the table does not grow with all ids ever seen");
});

test("the table shrinks when a flood of ids has expired, and knows those that are left", () => {
  const dedup = new Deduplicator(key, HORIZON_MS);
  for (let index = 0; index < 50_000; index++) takes(dedup, `flood/${index}`, START_MS);
  const flood = { sizeBytes: dedup.sizeBytes, countedBytes: dedup.countedBytes };
  assert.ok(flood.countedBytes >= 50_000 * 9 && flood.sizeBytes <= 2 * flood.countedBytes);
  const later = START_MS + 25 * SLOT_MS;
  for (let index = 0; index < 100; index++) takes(dedup, `later/${index}`, later - SLOT_MS);
  for (let index = 100; index < 200; index++) takes(dedup, `later/${index}`, later);
  assert.equal(dedup.count, 200);
  assert.ok(dedup.sizeBytes <= 1_024 * 9 && dedup.countedBytes <= flood.countedBytes / 50);
  for (let index = 0; index < 200; index++) assert.equal(takes(dedup, `later/${index}`, later), false);
});
