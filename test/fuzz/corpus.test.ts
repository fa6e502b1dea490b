/**
 * Every case of the corpus against a real server: it gets exactly the answer that it states, and after it the process lives, a
 * well-behaved client of another tenant counts exactly, the senders' ledger has exactly the verdicts that were answered, and memory
 * is where it was.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { LedgerAnswer } from "../../client/index.ts";
import { eventually } from "../support/real-server.ts";
import { countedIn, type Counted } from "./answers.ts";
import { families, slowHeads } from "./corpus/families.ts";
import type { CorpusCase } from "./corpus-case.ts";
import { FuzzTarget } from "./fuzz-target.ts";
import { runCase } from "./run-case.ts";
import type { MemoryBytes } from "./server-under-fuzz.ts";

const MIB = 1024 * 1024;
const CASES_AT_ONCE = 10;
/** Over all cases together: dead letters that wait for a snapshot, sessions, panes and remembered ids of what was accepted. */
const HEAP_GROWTH_MAX = 48 * MIB;
/** Memory that a process has been given it rarely gives back: this is for leaks outside the heap. */
const RESIDENT_GROWTH_MAX = 768 * MIB;

let target: FuzzTarget;
let ledger: LedgerAnswer;
let memoryBefore: MemoryBytes;

before(async () => {
  target = await FuzzTarget.start();
  await target.checkNeighbour();
  ledger = await target.ledger();
  memoryBefore = await target.memory();
});
after(() => target.close());

async function checkMemory(): Promise<void> {
  let found = await target.memory();
  const fits = () => found.heap + found.external < memoryBefore.heap + memoryBefore.external + HEAP_GROWTH_MAX;
  await eventually(async () => {
    found = await target.memory();
    return fits();
  }, "the heap is where it was");
  assert.ok(found.resident < memoryBefore.resident + RESIDENT_GROWTH_MAX, `${found.resident / MIB} MiB`);
}

/** What the answers say, and what of it the ledger has not been asked for yet. */
let unchecked: Counted[] = [];

async function check(each: CorpusCase): Promise<void> {
  const counted = countedIn(each.answer);
  unchecked.push({ ...counted, invalid: counted.invalid + (each.isKept === true ? 1 : 0) });
  const answer = await runCase(target, each);
  if (each.or?.includes(answer) !== true) assert.equal(answer, each.answer);
  await target.checkNeighbour();
}

/** That of the last cases; it takes a snapshot, so it is not asked for after each. */
async function checkLedger(): Promise<void> {
  const before = ledger;
  ledger = await target.checkLedger();
  const grown = (kind: keyof Counted) => ledger[kind] - before[kind];
  const sum = (kind: keyof Counted) => unchecked.reduce((total, counted) => total + counted[kind], 0);
  const kinds = ["accepted", "duplicate", "late", "invalid"] as const;
  const expected = kinds.map(sum);
  unchecked = [];
  assert.deepEqual(kinds.map(grown), expected, kinds.join(", "));
}

for (const [family, cases] of Object.entries(families)) {
  describe(family, () => {
    cases.forEach((each, index) => {
      test(each.name, () => check(each));
      if ((index + 1) % CASES_AT_ONCE === 0 || index === cases.length - 1) {
        test(`the ledger and the memory after ${index + 1} cases`, async () => {
          await checkLedger();
          await checkMemory();
        });
      }
    });
  });
}

/** Started with the others, and looked at in the end: uWS lets them wait for ten seconds. */
test("heads and bodies that do not come are not waited for without end", async () => {
  const found = await Promise.all(slowHeads.map((each) => runCase(target, each)));
  found.forEach((answer, index) => assert.equal(answer, slowHeads[index]?.answer, slowHeads[index]?.name));
  await target.checkNeighbour();
  await checkMemory();
});

test("the log has neither keys nor what was sent, and no error", () => {
  const { log } = target;
  for (const secret of [target.keys.write, target.keys.admin, "DROP TABLE", "<script>", "jndi"])
    assert.ok(!log.includes(secret), secret);
  assert.doesNotMatch(log, /"level":(40|50|60)/);
});

test("a scrape has only what it should have, line by line", async () => {
  const lines = (await target.metricsText()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.ok(lines.length > 50);
  for (const line of lines) assert.match(line, /^(weir|process|nodejs)_\w+(\{(\w+="[\w./{} +-]*",?)*\})? [-+\d.eNaInf]+$/);
});
