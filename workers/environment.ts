/**
 * What a host takes from its surroundings: time, turns of the event loop, and its disks. The server runs on the real ones
 * below; the simulation (`test/simulation/`) puts others in their place, all driven by one seed.
 */
import type { Offset } from "../protocol/ids.ts";
import { LmdbJournal, openJournalReader } from "../storage/lmdb/journal.ts";
import { LmdbStore } from "../storage/lmdb/store.ts";
import type { Journal, JournalEntry, Store } from "../storage/ports.ts";

export interface HostEnvironment {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds since some start: how long something took. */
  elapsed(): number;
  /** Runs the work in a later turn of the event loop, after the messages that are already here. */
  soon(work: () => void): void;
  /** Runs the work once, not before so many milliseconds have passed, unless the answer is called before. */
  after(ms: number, work: () => void): () => void;
  /** Runs the work again and again until the answer is called. */
  every(ms: number, work: () => void): () => void;
  openJournal(path: string): Journal;
  /** `fresh`: others write it too. */
  openStore(path: string, options?: { fresh?: boolean }): Store;
  /** All durable records from an offset on, of a journal that another host wrote; fleeting (`JournalReadOptions`). */
  readJournal(path: string, from: Offset): Iterable<JournalEntry>;
}

export const realEnvironment: HostEnvironment = {
  now: Date.now,
  elapsed: () => performance.now(),
  soon: (work) => void setImmediate(work),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
  every: (ms, work) => {
    const timer = setInterval(work, ms);
    return () => clearInterval(timer);
  },
  openJournal: (path) => LmdbJournal.open(path),
  openStore: (path, options) => LmdbStore.open(path, options),
  *readJournal(path, from) {
    const reader = openJournalReader(path);
    try {
      yield* reader.read(from, undefined, { fleeting: true });
    } finally {
      void reader.close();
    }
  },
};
