/**
 * A process that writes until it is killed, for `crash.test.ts`: `node writer-process.js journal|small|store|failing PATH`;
 * `tenant` makes a tenant and ends, for `control.test.ts`.
 * Prints a line for each thing that it was told is on disk.
 */
import { writeSync } from "node:fs";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset, TenantId } from "../../protocol/ids.ts";
import { openControl } from "../../storage/control.ts";
import { LmdbJournal } from "../../storage/lmdb/journal.ts";
import { LmdbStore } from "../../storage/lmdb/store.ts";
import { expectedRecord, expectedSmallRecord } from "./expected-record.ts";

const report = (line: string | number) => writeSync(1, `${line}\n`);

async function writeJournal(path: string, recordOf: (offset: number) => Uint8Array, keeps: number): Promise<void> {
  const journal = LmdbJournal.open(path);
  for (;;) {
    for (let index = 0; index < 20; index++) journal.append(recordOf(journal.appendedOffset + 1));
    report(await journal.flush());
    if (journal.durableOffset % 400 === 0) {
      await journal.trim((journal.appendedOffset - keeps) as Offset);
      report(`first ${journal.firstOffset}`);
    }
  }
}

/** Every commit writes the same number to 3000 keys and removes one key of the commit before. */
async function writeStore(path: string): Promise<void> {
  const store = LmdbStore.open(path);
  for (let generation = Date.now(); ; generation++) {
    const value = Buffer.from(String(generation));
    const writes = Array.from({ length: 3_000 }, (_, key) => ({ table: "t", key: [key], value }));
    const previous = [...store.range("last")].map(({ key }) => ({ table: "last", key, value: undefined }));
    await store.commit([...writes, ...previous, { table: "last", key: [generation], value }]);
    report(generation);
  }
}

/** Runs under a limit on the size of files: a commit will fail. Prints what then happens to each call. */
async function writeUntilFailure(path: string): Promise<void> {
  process.on("unhandledRejection", () => report("unhandled"));
  const journal = LmdbJournal.open(path);
  const code = (error: unknown) => (error instanceof WeirError ? error.code : String(error));
  let failed: string | undefined;
  while (failed === undefined) {
    for (let index = 0; index < 20; index++) journal.append(expectedRecord(journal.appendedOffset + 1));
    void journal.flush();
    await journal.flush().then(report, (error: unknown) => (failed = code(error)));
  }
  report(`flush ${failed}`);
  try {
    journal.append(expectedRecord(1));
  } catch (error) {
    report(`append ${code(error)}`);
  }
  await journal.flush().catch((error: unknown) => report(`flush ${code(error)}`));
  await journal.trim(journal.firstOffset).catch((error: unknown) => report(`trim ${code(error)}`));
  await journal.close();
  report("closed");
}

async function makeTenant(path: string): Promise<void> {
  const control = openControl(path);
  await control.ensureTenant("demo" as TenantId, 1);
  await control.close();
}

const [mode, path = ""] = process.argv.slice(2);
if (mode === "journal") await writeJournal(path, expectedRecord, 0);
// It trims in the middle of an entry that 20 records share.
else if (mode === "small") await writeJournal(path, expectedSmallRecord, 29);
else if (mode === "store") await writeStore(path);
else if (mode === "tenant") await makeTenant(path);
else await writeUntilFailure(path);
