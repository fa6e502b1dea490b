/**
 * A `Journal` without a disk, for tests and simulation. What is appended becomes durable when a flush happens: on the next
 * microtask, or, with `manual`, when `flushNow` is called. A crash keeps what was durable and, as a real one may, some of
 * what was not.
 */
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { Journal, JournalEntry, JournalReadOptions } from "../ports.ts";

/** What would be on the disk. */
export interface JournalImage {
  readonly first: number;
  readonly records: readonly Uint8Array[];
}

interface Waiter {
  readonly resolve: (offset: Offset) => void;
  readonly reject: (error: unknown) => void;
}

export class MemoryJournal implements Journal {
  readonly #manual: boolean;
  readonly #records: Uint8Array[];
  #first: number;
  #durable: number;
  #waiting: Waiter[] = [];
  #flushQueued = false;
  #injected: { cause: unknown } | undefined;
  #failure: WeirError | undefined;
  #open = true;

  constructor(options: { manual?: boolean; image?: JournalImage } = {}) {
    this.#manual = options.manual ?? false;
    this.#first = options.image?.first ?? 1;
    this.#records = [...(options.image?.records ?? [])];
    this.#durable = this.appendedOffset;
  }

  get firstOffset(): Offset {
    return this.#first as Offset;
  }

  get appendedOffset(): Offset {
    return (this.#first + this.#records.length - 1) as Offset;
  }

  get durableOffset(): Offset {
    return this.#durable as Offset;
  }

  append(record: Uint8Array): Offset {
    this.#assertUsable();
    assert(record.length > 0 && record.length <= limits.journalRecordBytesMax, "a journal record is within its limit");
    // A copy, as a disk would have, so that a record changed later shows in tests that look for it.
    this.#records.push(record.slice());
    return this.appendedOffset;
  }

  flush(): Promise<Offset> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#durable === this.appendedOffset) return Promise.resolve(this.durableOffset);
    const flushed = new Promise<Offset>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    flushed.catch(() => undefined);
    if (!this.#manual && !this.#flushQueued) {
      this.#flushQueued = true;
      queueMicrotask(() => this.flushNow());
    }
    return flushed;
  }

  /** Commits all that was appended, or fails if a failure was injected, and settles the flushes that wait. */
  flushNow(): void {
    this.#flushQueued = false;
    if (!this.#open || this.#failure !== undefined) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    if (this.#injected !== undefined && this.#durable < this.appendedOffset) {
      this.#failure = new WeirError("WEIR_JOURNAL_COMMIT_FAILED", undefined, { cause: this.#injected.cause });
      for (const waiter of waiting) waiter.reject(this.#failure);
      return;
    }
    this.#durable = this.appendedOffset;
    for (const waiter of waiting) waiter.resolve(this.durableOffset);
  }

  /** The next commit fails. */
  failNextCommit(cause: unknown = new Error("injected")): void {
    this.#injected = { cause };
  }

  *read(from: Offset, { fleeting = false }: JournalReadOptions = {}): Generator<JournalEntry, void> {
    assert(from >= this.#first, `records before ${this.#first} were trimmed, ${from} was asked for`);
    for (let offset: number = from; offset <= this.#durable; offset++) {
      const record = this.#records[offset - this.#first];
      assert(record !== undefined, `the journal has no record ${offset}`);
      const bytes = record.slice();
      yield { offset: offset as Offset, record: bytes };
      if (fleeting) bytes.fill(0xff);
    }
  }

  async trim(before: Offset): Promise<void> {
    this.#assertUsable();
    assert(before <= this.#durable + 1, "only durable records can be trimmed");
    const forgotten = Math.max(0, before - this.#first);
    this.#records.splice(0, forgotten);
    this.#first += forgotten;
  }

  sizeBytes(): number {
    return this.#records.reduce((bytes, record) => bytes + record.length, 0);
  }

  async close(): Promise<void> {
    if (this.#open) this.flushNow();
    this.#open = false;
  }

  /**
   * Stops as a killed process would: flushes that wait never settle. Keeps what was durable and so many of the records
   * appended after it. Open the image anew.
   */
  crash(undurableKept = 0): JournalImage {
    this.#open = false;
    const kept = this.#durable - this.#first + 1 + undurableKept;
    return { first: this.#first, records: this.#records.slice(0, kept) };
  }

  /** What is durable now. */
  image(): JournalImage {
    return { first: this.#first, records: this.#records.slice(0, this.#durable - this.#first + 1) };
  }

  #assertUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#open, "the journal is closed");
  }
}
