/**
 * A host on real LMDB whose storage fails on demand. What makes it fail stands in the events themselves or in a file:
 *
 *   an event with FAULT_THROW       appending its record throws: the turn fails
 *   an event with FAULT_CRASH       appending its record ends the thread, without a word
 *   an event with FAULT_REPLAY      its record comes back from the journal with other verdicts: the replay fails
 *   the file fail-commit-HOST       the next commit of that host's journal fails; the file is removed
 *
 * Started as a worker thread this module is the entry of such a host.
 */
import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset } from "../../protocol/ids.ts";
import { encodeRecord } from "../../protocol/records.ts";
import { openRecord } from "../../workers/sealed-record.ts";
import { LmdbJournal } from "../../storage/lmdb/journal.ts";
import type { Journal, JournalEntry } from "../../storage/ports.ts";
import { realEnvironment, type HostEnvironment } from "../../workers/environment.ts";
import { threadLife, type HostLife } from "../../workers/host-life.ts";
import type { HostOptions } from "../../workers/host-options.ts";
import { threadLine } from "../../workers/line.ts";
import { runHost } from "../../workers/partition-worker.ts";

export const FAULT_THROW = "fault-throw";
export const FAULT_CRASH = "fault-crash";
export const FAULT_REPLAY = "fault-replay";

/** The file whose presence fails the next commit of the host. */
export function failCommitFile({ metricsPath, host }: Pick<HostOptions, "metricsPath" | "host">): string {
  return join(dirname(metricsPath), `fail-commit-${host}`);
}

export function faultyThread(options: HostOptions): HostLife {
  return threadLife(options, new URL(import.meta.url));
}

export function faultyEnvironment(options: HostOptions): HostEnvironment {
  return { ...realEnvironment, openJournal: (path) => faultyJournal(LmdbJournal.open(path), failCommitFile(options)) };
}

function faultyJournal(journal: LmdbJournal, failCommit: string): Journal {
  let failure: WeirError | undefined;
  return {
    get firstOffset() {
      return journal.firstOffset;
    },
    get appendedOffset() {
      return journal.appendedOffset;
    },
    get durableOffset() {
      return journal.durableOffset;
    },
    append(record: Uint8Array): Offset {
      // A refused frame is kept as it is, whatever it holds.
      const { kind } = openRecord(record);
      const applied = kind === "frame" && verdictsOf(record).every((verdict) => verdict <= 1);
      if (applied && holds(record, FAULT_THROW)) throw new Error("injected: apply");
      if (applied && holds(record, FAULT_CRASH)) process.exit(3);
      return journal.append(record);
    },
    async flush(): Promise<Offset> {
      if (failure === undefined && existsSync(failCommit)) {
        rmSync(failCommit);
        failure = new WeirError("WEIR_JOURNAL_COMMIT_FAILED", "injected");
      }
      if (failure !== undefined) throw failure;
      return journal.flush();
    },
    *read(from: Offset): Generator<JournalEntry> {
      for (const { offset, record } of journal.read(from)) {
        yield { offset, record: holds(record, FAULT_REPLAY) ? withOtherVerdicts(record) : record };
      }
    },
    trim: (before) => journal.trim(before),
    sizeBytes: () => journal.sizeBytes(),
    close: () => journal.close(),
    abandon: () => journal.abandon(),
  };
}

function holds(record: Uint8Array, text: string): boolean {
  return Buffer.from(record.buffer, record.byteOffset, record.byteLength).includes(text);
}

function verdictsOf(bytes: Uint8Array): Uint8Array {
  const record = openRecord(bytes);
  return record.kind === "frame" ? record.verdicts : new Uint8Array();
}

function withOtherVerdicts(bytes: Uint8Array): Uint8Array {
  const record = openRecord(bytes);
  if (record.kind !== "frame") return bytes;
  return encodeRecord({ ...record, verdicts: record.verdicts.map((verdict) => (verdict === 0 ? 1 : 0)) });
}

if (!isMainThread && parentPort !== null && (workerData as Partial<HostOptions> | null)?.journalPaths !== undefined) {
  const options = workerData as HostOptions;
  await runHost(options, threadLine(parentPort), faultyEnvironment(options));
  parentPort.close();
}
