/**
 * What the rest of the server needs from disks and databases. Each port has one conformance suite that runs on the real
 * thing and on the in-memory fake; nothing above knows which one it holds.
 */
import type { Offset } from "../protocol/ids.ts";

/** One host's journal: records in order, offsets 1, 2, 3, ... without a hole. */
export interface Journal {
  /** The offset of the first record still kept, or of the next one when none is. */
  readonly firstOffset: Offset;
  /** The offset of the last record appended, durable or not; 0 before the first. */
  readonly appendedOffset: Offset;
  /** The offset up to which all records are on disk (fdatasync). Never moves back. */
  readonly durableOffset: Offset;
  /** Takes a record for the next commit and returns its offset. The bytes must not change until it is durable. */
  append(record: Uint8Array): Offset;
  /**
   * Resolves with the durable offset once every record appended so far is on disk. Calls made while a commit runs share the
   * next one (group commit). Rejects with WEIR_JOURNAL_COMMIT_FAILED when a commit fails: the fate of its records is unknown
   * and the journal takes nothing more; close it, open it anew, and look.
   */
  flush(): Promise<Offset>;
  /**
   * Durable records from `from` on, in order. The bytes are valid until the next step of the iteration. A record that the disk
   * damaged is given as it is, or as no bytes, which no record is: its neighbours keep their offsets.
   */
  read(from: Offset, options?: JournalReadOptions): Iterable<JournalEntry>;
  /** Forgets records before `before`. */
  trim(before: Offset): Promise<void>;
  /** Bytes on disk. */
  sizeBytes(): number;
  close(): Promise<void>;
  /** Closes it without what was appended and is not on its way to the disk: whoever appended it has failed. */
  abandon?(): Promise<void>;
}

export interface JournalReadOptions {
  /**
   * The bytes are valid only until this thread reads anything else, of whatever store: all records come in the same memory, so
   * that reading a long journal makes no garbage outside of V8's heap.
   */
  readonly fleeting?: boolean;
}

export interface JournalEntry {
  readonly offset: Offset;
  readonly record: Uint8Array;
}

/** Parts are compared one by one, numbers before texts. */
export type StoreKey = readonly (string | number)[];

/** `value` undefined removes the key. */
export interface StoreWrite {
  readonly table: string;
  readonly key: StoreKey;
  readonly value: Uint8Array | undefined;
}

/** One LMDB environment as named tables of ordered keys. */
export interface Store {
  get(table: string, key: StoreKey): Uint8Array | undefined;
  /** Entries with `from <= key < to`, ascending (or descending); both ends may be open. The bytes are the caller's. */
  range(table: string, from?: StoreKey, to?: StoreKey, options?: { reverse?: boolean; limit?: number }): Iterable<StoreEntry>;
  /** All writes in one transaction; resolves when it is on disk. A failed commit rejects and leaves the store unusable. */
  commit(writes: readonly StoreWrite[]): Promise<void>;
  /** A commit has failed: nothing is taken any more, and whoever shares the environment is to close it too. */
  readonly hasFailed?: boolean;
  /** Bytes on disk. */
  sizeBytes(): number;
  close(): Promise<void>;
}

export interface StoreEntry {
  readonly key: StoreKey;
  readonly value: Uint8Array;
}

/** Where rows go. Sending a row again is harmless: every table has upsert keys. */
export interface Warehouse {
  /**
   * Stores rows of one table; each row has one cell for each column of `tables.ts`, in its order. Resolves when the
   * warehouse has answered for all of them. Rejects with WEIR_QUESTDB_UNREACHABLE (try again) or
   * WEIR_QUESTDB_ROW_REFUSED (never will). The caller keeps the rows until then.
   */
  write(table: WarehouseTable, rows: readonly WarehouseRow[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export type WarehouseTable = "events" | "metric_panes" | "sessions" | "dead_letters";
export type WarehouseCell = string | number | boolean | null;
export type WarehouseRow = readonly WarehouseCell[];
