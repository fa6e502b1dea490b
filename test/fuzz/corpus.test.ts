/**
 * Every case of the corpus against a real server: it gets exactly the answer that it states, and after it the process lives, a
 * well-behaved client of another tenant counts exactly, the senders' ledger has exactly the verdicts that were answered, and memory
 * is where it was.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../support/real-server.ts";
import { countedIn } from "./answers.ts";
import { bombs } from "./corpus/bombs.ts";
import { extensions } from "./corpus/extensions.ts";
import { hostileNames } from "./corpus/names.ts";
import type { CorpusCase } from "./corpus-case.ts";
import { FuzzTarget } from "./fuzz-target.ts";
import { runCase } from "./run-case.ts";
import type { MemoryBytes } from "./server-under-fuzz.ts";

const MIB = 1024 * 1024;
/** Over all cases together: dead letters that wait for a snapshot, sessions, panes and remembered ids of what was accepted. */
const HEAP_GROWTH_MAX = 48 * MIB;
/** Memory that a process has been given it rarely gives back: this is for leaks outside the heap. */
const RESIDENT_GROWTH_MAX = 768 * MIB;

const corpus: Readonly<Record<string, readonly CorpusCase[]>> = { bombs, extensions, names: hostileNames };

let target: FuzzTarget;
let memoryBefore: MemoryBytes;
let owedMiB = 0;

before(async () => {
  target = await FuzzTarget.start();
  await target.checkNeighbour();
  memoryBefore = await target.memory();
});
after(() => target.close());

async function checkMemory(): Promise<void> {
  let found = await target.memory();
  const fits = () => found.heap + found.external < memoryBefore.heap + memoryBefore.external + HEAP_GROWTH_MAX + owedMiB * MIB;
  await eventually(async () => {
    found = await target.memory();
    return fits();
  }, "the heap is where it was");
  assert.ok(found.resident < memoryBefore.resident + RESIDENT_GROWTH_MAX + owedMiB * MIB, `${found.resident / MIB} MiB`);
}

async function check(each: CorpusCase): Promise<void> {
  const ledgerBefore = await target.ledger();
  assert.equal(await runCase(target, each), each.answer);
  await target.checkNeighbour();
  const counted = countedIn(each.answer);
  const kept = each.isKept === true ? 1 : 0;
  const { received, imbalance, ...ledger } = await target.checkLedger();
  assert.deepEqual(ledger, {
    accepted: ledgerBefore.accepted + counted.accepted,
    duplicate: ledgerBefore.duplicate + counted.duplicate,
    late: ledgerBefore.late + counted.late,
    invalid: ledgerBefore.invalid + counted.invalid + kept,
  });
  assert.equal(imbalance, 0);
  owedMiB += each.memoryMiB ?? 0;
  await checkMemory();
}

for (const [family, cases] of Object.entries(corpus)) {
  describe(family, () => {
    for (const each of cases) test(each.name, () => check(each));
  });
}
