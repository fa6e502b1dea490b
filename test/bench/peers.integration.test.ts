/** QuestDB as a peer, by the small size. Apart from the other peers' test, because it is a real QuestDB: see `npm test`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { comparePeers } from "../../bench/load/peers.ts";
import { thisMachine } from "../../bench/peers/machine.ts";
import { questDb } from "../../bench/peers/questdb.ts";

test("QuestDB's view counts what it was sent, each event once", async () => {
  const report = await comparePeers([questDb], thisMachine(), "small", () => undefined, []);
  assert.deepEqual(report.notes, []);
  assert.deepEqual(
    report.results.map(({ name }) => name),
    ["questdb"],
  );
});
