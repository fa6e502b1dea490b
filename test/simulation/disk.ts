/**
 * The disk under the simulated server: journals and stores by path, behind the storage ports. What was flushed survives a
 * crash. Of what was not, a crash keeps a random beginning: records of a journal one by one, commits of a store each whole.
 * Commits take time, and stall or fail when they are told to. A failed commit's fate shows after the crash that follows.
 */
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset } from "../../protocol/ids.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Journal, JournalEntry, JournalReadOptions, Store, StoreEntry, StoreKey, StoreWrite } from "../../storage/ports.ts";
import type { Random } from "./random.ts";
import type { Process, Scheduler } from "./scheduler.ts";

/** The durable records of a journal. */
export interface JournalFile {
  readonly path: string;
  first: number;
  readonly records: Uint8Array[];
}

interface Waiter {
  readonly target: number;
  readonly resolve: (offset: Offset) => void;
  readonly reject: (error: unknown) => void;
}

export class SimDisk {
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  #process: Process;
  readonly #journals = new Map<string, JournalFile>();
  readonly #stores = new Map<string, MemoryStore>();
  readonly #openJournals = new Set<SimJournal>();
  readonly #openStores = new Set<SimStore>();
  /** Told of each record when it can no longer be lost. */
  onDurable: (path: string, offset: number, record: Uint8Array) => void = () => undefined;
  /** Commits take this much longer. */
  stallMs = 0;
  #commitsToFailure = Infinity;
  failures = 0;

  constructor(random: Random, scheduler: Scheduler) {
    this.#random = random;
    this.#scheduler = scheduler;
    this.#process = scheduler.process("disk");
  }

  /** Work of the disk itself; a crash ends it. */
  after(delayMs: number, work: () => void): void {
    this.#process.after(delayMs, work);
  }

  journalFile(path: string): JournalFile {
    let file = this.#journals.get(path);
    if (file === undefined) this.#journals.set(path, (file = { path, first: 1, records: [] }));
    return file;
  }

  openJournal(path: string, process: Process): SimJournal {
    const journal = new SimJournal(this, this.journalFile(path), process);
    this.#openJournals.add(journal);
    return journal;
  }

  openStore(path: string, process: Process): Store {
    const store = new SimStore(this, this.#storeAt(path), process);
    this.#openStores.add(store);
    return store;
  }

  /** One of the next commits fails. */
  failSoon(): void {
    this.#commitsToFailure = this.#random.integer(1, 4);
  }

  /** Nothing fails or stalls from here on. */
  heal(): void {
    this.#commitsToFailure = Infinity;
    this.stallMs = 0;
  }

  /** All handles are dead. Returns what became of the records and commits that were not flushed. */
  crash(): { kept: number; lost: number } {
    const outcome = { kept: 0, lost: 0 };
    this.#process.kill();
    this.#process = this.#scheduler.process("disk");
    const settled = [
      ...[...this.#openJournals].map((journal) => this.settle(journal)),
      ...[...this.#openStores].map((store) => this.settleStore(store)),
    ];
    for (const { kept, lost } of settled) {
      outcome.kept += kept;
      outcome.lost += lost;
    }
    this.heal();
    return outcome;
  }

  /** A journal is closed, or dead: decides what stays of its records that were not flushed. */
  settle(journal: SimJournal): { kept: number; lost: number } {
    this.#openJournals.delete(journal);
    const pending = journal.crash();
    const kept = this.#random.integer(0, pending.length);
    for (const record of pending.slice(0, kept)) this.makeDurable(journal.file, record);
    return { kept, lost: pending.length - kept };
  }

  settleStore(store: SimStore): { kept: number; lost: number } {
    this.#openStores.delete(store);
    return store.crash(this.#random);
  }

  makeDurable(file: JournalFile, record: Uint8Array): void {
    file.records.push(record);
    this.onDurable(file.path, file.first + file.records.length - 1, record);
  }

  latencyMs(): number {
    return this.#random.duration(0.1, 10) + (this.stallMs > 0 ? this.#random.next() * this.stallMs : 0);
  }

  takeFailure(): boolean {
    if (--this.#commitsToFailure > 0) return false;
    this.#commitsToFailure = Infinity;
    this.failures++;
    return true;
  }

  #storeAt(path: string): MemoryStore {
    let store = this.#stores.get(path);
    if (store === undefined) this.#stores.set(path, (store = new MemoryStore({ manual: true })));
    return store;
  }
}

export class SimJournal implements Journal {
  readonly file: JournalFile;
  readonly #disk: SimDisk;
  readonly #process: Process;
  /** Appended, not durable. */
  #pending: Uint8Array[] = [];
  #waiting: Waiter[] = [];
  #committing = false;
  #failure: WeirError | undefined;
  #open = true;

  constructor(disk: SimDisk, file: JournalFile, process: Process) {
    this.#disk = disk;
    this.file = file;
    this.#process = process;
  }

  get firstOffset(): Offset {
    return this.file.first as Offset;
  }

  get appendedOffset(): Offset {
    return (this.durableOffset + this.#pending.length) as Offset;
  }

  get durableOffset(): Offset {
    return (this.file.first + this.file.records.length - 1) as Offset;
  }

  append(record: Uint8Array): Offset {
    this.#assertUsable();
    assert(record.length > 0, "a journal record has 1 byte to 16 MiB");
    this.#pending.push(record);
    return this.appendedOffset;
  }

  flush(): Promise<Offset> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#pending.length === 0) return Promise.resolve(this.durableOffset);
    const target = this.appendedOffset;
    const flushed = new Promise<Offset>((resolve, reject) => this.#waiting.push({ target, resolve, reject }));
    flushed.catch(() => undefined);
    this.#commit();
    return flushed;
  }

  *read(from: Offset, options?: JournalReadOptions): Generator<JournalEntry, void> {
    yield* readFile(this.file, from, options);
  }

  async trim(before: Offset): Promise<void> {
    this.#assertUsable();
    assert(before <= this.durableOffset + 1, "only durable records can be trimmed");
    await new Promise<void>((resolve) => this.#process.after(this.#disk.latencyMs(), resolve));
    const forgotten = Math.max(0, before - this.file.first);
    this.file.records.splice(0, forgotten);
    this.file.first += forgotten;
  }

  sizeBytes(): number {
    return this.file.records.length;
  }

  /** After a failed commit, what became of it shows when the journal is opened anew. */
  async close(): Promise<void> {
    if (!this.#open) return;
    if (this.#failure === undefined) await this.flush();
    this.#open = false;
    this.#disk.settle(this);
  }

  /** What was not durable. */
  crash(): readonly Uint8Array[] {
    this.#open = false;
    return this.#pending;
  }

  /** One at a time: takes what has gathered by now. */
  #commit(): void {
    if (this.#committing) return;
    this.#committing = true;
    const taken = this.#pending.map((record) => record.slice());
    this.#process.after(this.#disk.latencyMs(), () => {
      this.#committing = false;
      if (this.#disk.takeFailure()) {
        this.#failure = commitFailed();
        for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
        return;
      }
      this.#pending = this.#pending.slice(taken.length);
      for (const record of taken) this.#disk.makeDurable(this.file, record);
      const settled = this.#waiting.filter(({ target }) => target <= this.durableOffset);
      this.#waiting = this.#waiting.filter(({ target }) => target > this.durableOffset);
      for (const { resolve } of settled) resolve(this.durableOffset);
      if (this.#waiting.length > 0) this.#commit();
    });
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#open, "the journal is closed");
  }
}

interface PendingCommit {
  readonly writes: readonly StoreWrite[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A handle of a process on a store; all handles see the commits that have reached the disk. */
class SimStore implements Store {
  readonly #disk: SimDisk;
  readonly #file: MemoryStore;
  readonly #process: Process;
  #pending: PendingCommit[] = [];
  #committing = false;
  #failure: WeirError | undefined;
  #open = true;

  constructor(disk: SimDisk, file: MemoryStore, process: Process) {
    this.#disk = disk;
    this.#file = file;
    this.#process = process;
  }

  get(table: string, key: StoreKey): Uint8Array | undefined {
    assert(this.#open, "the store is closed");
    return this.#file.get(table, key);
  }

  range(
    table: string,
    from?: StoreKey,
    to?: StoreKey,
    options?: { reverse?: boolean; limit?: number },
  ): Generator<StoreEntry, void> {
    assert(this.#open, "the store is closed");
    return this.#file.range(table, from, to, options);
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#open, "the store is closed");
    if (writes.length === 0) return;
    const committed = new Promise<void>((resolve, reject) => {
      this.#pending.push({ writes: writes.slice(), resolve, reject });
    });
    this.#flush();
    await committed;
  }

  sizeBytes(): number {
    return this.#file.sizeBytes();
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    while (this.#pending.length > 0 && this.#failure === undefined) await this.#process.sleep(1);
    this.#disk.settleStore(this);
  }

  /** Keeps a beginning of what was under way, each commit whole. */
  crash(random: Random): { kept: number; lost: number } {
    this.#open = false;
    const kept = random.integer(0, this.#pending.length);
    for (const { writes } of this.#pending.slice(0, kept)) applyTo(this.#file, writes);
    return { kept, lost: this.#pending.length - kept };
  }

  #flush(): void {
    if (this.#committing || this.#pending.length === 0) return;
    this.#committing = true;
    const taken = this.#pending.slice();
    // The disk's own work: it goes on when the thread that asked for it has ended.
    this.#disk.after(this.#disk.latencyMs(), () => {
      this.#committing = false;
      if (this.#disk.takeFailure()) {
        this.#failure = commitFailed();
        if (this.#process.alive) for (const { reject } of this.#pending) reject(this.#failure);
        return;
      }
      this.#pending = this.#pending.slice(taken.length);
      for (const { writes, resolve } of taken) {
        applyTo(this.#file, writes);
        if (this.#process.alive) resolve();
      }
      this.#flush();
    });
  }
}

function applyTo(file: MemoryStore, writes: readonly StoreWrite[]): void {
  void file.commit(writes);
  file.flushNow();
}

function commitFailed(): WeirError {
  return new WeirError("WEIR_JOURNAL_COMMIT_FAILED", undefined, { cause: new Error("EIO") });
}

/** As the warehouse writer sees a journal that a host writes: what is on disk. */
export class SimJournalReader {
  readonly #file: JournalFile;

  constructor(file: JournalFile) {
    this.#file = file;
  }

  ends(): { first: Offset; last: Offset } {
    const { first, records } = this.#file;
    return { first: first as Offset, last: (first + records.length - 1) as Offset };
  }

  *read(from: Offset): Generator<JournalEntry, void> {
    yield* readFile(this.#file, from);
  }
}

export function* readFile(
  file: JournalFile,
  from: number,
  { fleeting = false }: JournalReadOptions = {},
): Generator<JournalEntry, void> {
  assert(from >= file.first, `records before ${file.first} were trimmed, ${from} was asked for`);
  const end = file.first + file.records.length;
  for (let offset = from; offset < end; offset++) {
    const record = file.records[offset - file.first];
    assert(record !== undefined, `the journal has no record ${offset}`);
    const bytes = record.slice();
    yield { offset: offset as Offset, record: bytes };
    if (fleeting) bytes.fill(0xff);
  }
}
