/**
 * A host's journal in LMDB: key = offset as 8 bytes, value = the record. `append` only gathers; `flush` commits all that has
 * gathered in one transaction and resolves when it is on disk. Invariant: offsets first..appended are contiguous, and those
 * up to `durableOffset` are on disk. The offset after the last one survives trimming everything.
 * The partition host writes it; the warehouse writer and tools read it from other threads and processes.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { Journal, JournalEntry } from "../ports.ts";
import { type ByteTable, environmentBytes, environmentExists, openEnvironment } from "./environment.ts";
import { GroupCommit, handled } from "./group-commit.ts";

const KIND = "weir-journal/1";
const DATA_FILE = "data.mdb";
/** The offset of the first record kept. Shorter than an offset's key, so before all of them. */
const FIRST_KEY = Uint8Array.of(0, 0);
/** After every offset. */
const LAST_KEY = new Uint8Array(8).fill(0xff);
/** A commit forgets at most so many records, so that trimming a long journal never delays a flush for long. */
const TRIM_RECORDS_MAX = 1024;

export class LmdbJournal implements Journal {
  readonly #path: string;
  readonly #table: ByteTable;
  readonly #commits: GroupCommit;
  #pending: Uint8Array[] = [];
  #first: number;
  #appended: number;
  #durable: number;
  /** The offset that the running commit reaches. */
  #committing: number;
  #trimmingTo: number;
  #closed = false;

  private constructor(path: string, table: ByteTable) {
    this.#path = path;
    this.#table = table;
    const { first, last } = readEnds(table);
    this.#first = first;
    this.#appended = this.#durable = this.#committing = last;
    this.#trimmingTo = first;
    this.#commits = new GroupCommit(table, () => this.#fill());
  }

  /** Opens the journal in a folder of its own, made when missing. Errors: see `openEnvironment`. */
  static open(path: string): LmdbJournal {
    return new LmdbJournal(path, openEnvironment(path, KIND));
  }

  get firstOffset(): Offset {
    return this.#first as Offset;
  }

  get appendedOffset(): Offset {
    return this.#appended as Offset;
  }

  get durableOffset(): Offset {
    return this.#durable as Offset;
  }

  /** Bytes on disk, free pages included. */
  sizeBytes(): number {
    return environmentBytes(this.#path);
  }

  append(record: Uint8Array): Offset {
    this.#assertUsable();
    assert(record.length > 0 && record.length <= limits.journalRecordBytesMax, "a journal record is within its limit");
    this.#pending.push(record);
    return ++this.#appended as Offset;
  }

  flush(): Promise<Offset> {
    return handled(this.#flushTo(this.#appended));
  }

  *read(from: Offset): Generator<JournalEntry, void> {
    assert(from >= this.#first, `records before ${this.#first} were trimmed, ${from} was asked for`);
    for (let offset: number = from; offset <= this.#durable; offset++) {
      yield { offset: offset as Offset, record: recordAt(this.#table, offset) };
    }
  }

  trim(before: Offset): Promise<void> {
    return handled(this.#trimTo(before));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#pending.length > 0 && this.#commits.failure === undefined) void this.#commits.commit();
    await this.#commits.settle();
    await this.#table.close();
  }

  /** Closes it without what was appended and not flushed: whoever appended it has failed. */
  async abandon(): Promise<void> {
    if (this.#closed) return;
    this.#pending = [];
    this.#appended = this.#committing;
    await this.close();
  }

  async #flushTo(target: number): Promise<Offset> {
    const { running, failure } = this.#commits;
    if (failure !== undefined) throw failure;
    if (this.#durable < target) {
      // The commit that is running will do when it has taken the target; otherwise the next one has it.
      await (running !== undefined && this.#committing >= target ? running : this.#commits.commit());
    }
    return this.#durable as Offset;
  }

  async #trimTo(before: number): Promise<void> {
    this.#assertUsable();
    assert(before <= this.#durable + 1, "only durable records can be trimmed");
    this.#trimmingTo = Math.max(this.#trimmingTo, before);
    while (this.#first < before) await this.#commits.commit();
  }

  /** Writes all that is pending into the running transaction; the answer is to be called when it is on disk. */
  #fill(): () => void {
    const records = this.#pending;
    this.#pending = [];
    const committing = (this.#committing = this.#appended);
    let offset = committing - records.length;
    for (const record of records) void this.#table.put(keyOf(++offset), record);
    const first = this.#trimABit();
    return () => {
      assert(committing >= this.#durable && first >= this.#first, "journal offsets never move back");
      this.#durable = committing;
      this.#first = first;
    };
  }

  #trimABit(): number {
    const first = Math.min(this.#trimmingTo, this.#first + TRIM_RECORDS_MAX);
    if (first === this.#first) return first;
    for (let offset = this.#first; offset < first; offset++) void this.#table.remove(keyOf(offset));
    void this.#table.put(FIRST_KEY, Uint8Array.from(keyOf(first)));
    return first;
  }

  #assertUsable(): void {
    if (this.#commits.failure !== undefined) throw this.#commits.failure;
    assert(!this.#closed, "the journal is closed");
  }
}

/** Reads a journal that another thread or process writes. */
export class JournalReader {
  readonly #table: ByteTable;

  /** Use `openJournalReader`. */
  constructor(table: ByteTable) {
    this.#table = table;
  }

  /** What is there now: the first record kept (or the next one to come), and the last one on disk. */
  ends(): { first: Offset; last: Offset } {
    this.#table.resetReadTxn();
    const { first, last } = readEnds(this.#table);
    return { first: first as Offset, last: last as Offset };
  }

  /**
   * Records on disk from `from` up to and with `upTo`, or to the end of what is there. A journal shows nothing before it
   * is on disk; `upTo` is for readers that must not be ahead of the writer's own acknowledgements.
   * The bytes are valid until the next step. Reading what was trimmed is a bug of whoever trimmed it.
   */
  *read(from: Offset, upTo?: Offset): Generator<JournalEntry, void> {
    const { first, last } = this.ends();
    assert(from >= first, `records before ${first} were trimmed, ${from} was asked for`);
    const end = upTo === undefined ? last : Math.min(last, upTo);
    for (let offset: number = from; offset <= end; offset++) {
      yield { offset: offset as Offset, record: recordAt(this.#table, offset) };
    }
  }

  async close(): Promise<void> {
    await this.#table.close();
  }
}

export function journalExists(path: string): boolean {
  return environmentExists(path);
}

/** WEIR_START_DATA_UNUSABLE when there is no journal at the path yet. */
export function openJournalReader(path: string, options: { readOnly?: boolean } = {}): JournalReader {
  if (!environmentExists(path)) throw new WeirError("WEIR_START_DATA_UNUSABLE", `${path} holds no journal.`);
  return new JournalReader(openEnvironment(path, KIND, options));
}

/**
 * Replaces a journal that nobody has open by an empty one that goes on at the next offset; returns how many bytes of disk that
 * gave back. LMDB files never shrink. The old file stands until the new one, whole and on disk, takes its name.
 */
export async function emptyJournal(path: string): Promise<number> {
  const reader = openJournalReader(path);
  const { last } = reader.ends();
  const bytes = environmentBytes(path);
  await reader.close();
  const draft = `${path}.empty`;
  rmSync(draft, { recursive: true, force: true });
  const table = openEnvironment(draft, KIND);
  await table.put(FIRST_KEY, Uint8Array.from(keyOf(last + 1)));
  await table.flushed;
  await table.close();
  renameSync(join(draft, DATA_FILE), join(path, DATA_FILE));
  rmSync(draft, { recursive: true, force: true });
  return bytes - environmentBytes(path);
}

/** The first offset kept and the last one there; `last` is `first - 1` when none is. */
function readEnds(table: ByteTable): { first: number; last: number } {
  const stored = table.getBinary(FIRST_KEY);
  const first = stored === undefined ? 1 : offsetOf(stored);
  let last = first - 1;
  for (const key of table.getKeys({ reverse: true, start: LAST_KEY, end: FIRST_KEY, limit: 1 })) {
    last = offsetOf(key);
  }
  assert(last >= first - 1, `the journal ends at ${last} and begins at ${first}`);
  if (last >= first) recordAt(table, first);
  return { first, last };
}

function recordAt(table: ByteTable, offset: number): Uint8Array {
  const record = table.getBinary(keyOf(offset));
  assert(record !== undefined, `the journal has no record ${offset}`);
  return record;
}

const keyBuffer = Buffer.alloc(8);

/** Valid until the next call: lmdb copies keys at once. */
function keyOf(offset: number): Uint8Array {
  keyBuffer.writeUInt32BE(Math.floor(offset / 2 ** 32), 0);
  keyBuffer.writeUInt32BE(offset >>> 0, 4);
  return keyBuffer;
}

function offsetOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, 8);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}
