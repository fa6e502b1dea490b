/** Law: under any commands, LMDB and the fakes answer as a naive model does, and so as each other. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { LmdbJournal } from "../../storage/lmdb/journal.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { MemoryJournal } from "../../storage/memory/journal.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { journalCommands, runJournal, runStore, storeCommands } from "./ports-conformance.ts";

const RUNS = { numRuns: 40 };

async function inFolder(action: (path: string) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "weir-storage-"));
  try {
    await action(path);
  } finally {
    rmSync(path, { recursive: true });
  }
}

test("journals behave as the model", async () => {
  await fc.assert(
    fc.asyncProperty(journalCommands, async (commands) => {
      await inFolder((path) => runJournal(commands, () => LmdbJournal.open(path)));
      await runJournal(commands, (last) => new MemoryJournal(last instanceof MemoryJournal ? { image: last.image() } : {}));
    }),
    RUNS,
  );
});

test("stores behave as the model", async () => {
  await fc.assert(
    fc.asyncProperty(storeCommands, async (commands) => {
      await inFolder((path) => runStore(commands, () => LmdbStore.open(path)));
      await runStore(commands, (last) => new MemoryStore(last instanceof MemoryStore ? { image: last.image() } : {}));
    }),
    RUNS,
  );
});
