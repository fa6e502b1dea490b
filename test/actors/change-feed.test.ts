/** The change feed: each thing stands in it once, under its latest number; numbers only rise, also over a restart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ChangeFeed, changedKey } from "../../actors/change-feed.ts";
import type { StateWrite } from "../../actors/effects.ts";
import { MemoryStore } from "../../storage/memory/store.ts";

test("law: the feed holds each thing that was moved and not removed, in the order of its last move", async () => {
  const step = fc.record({ thing: fc.nat(5), remove: fc.boolean(), restart: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const store = new MemoryStore();
      let feed = new ChangeFeed("changes", 0);
      const places = new Map<number, number>();
      let last = 0;
      for (const { thing, remove, restart } of steps) {
        const writes: StateWrite[] = [];
        if (remove) {
          feed.remove(places.get(thing) ?? 0, writes);
          places.delete(thing);
        } else {
          const seq = feed.move(places.get(thing) ?? 0, ["acme", `s${thing}`, thing], writes);
          assert.ok(seq > last);
          places.set(thing, (last = seq));
        }
        await store.commit(writes);
        if (restart) feed = new ChangeFeed("changes", feed.last);
      }
      const entries = [...store.range("changes")].map(({ key, value }) => [Number(key[0]), changedKey(value)] as const);
      const expected = [...places]
        .toSorted(([, a], [, b]) => a - b)
        .map(([thing, seq]) => [seq, ["acme", `s${thing}`, thing]] as const);
      assert.deepEqual(entries, expected);
    }),
  );
});
