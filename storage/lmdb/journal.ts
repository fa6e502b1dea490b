/**
 * A host's journal in LMDB: key = offset as 8 bytes, value = the record; small records of one commit share entries, whose keys
 * are longer (`record-block.ts`). `append` only gathers; `flush` commits all that has gathered in one transaction and
 * resolves when it is on disk. Invariant: offsets first..appended are contiguous, and those
 * up to `durableOffset` are on disk. The offset after the last one survives trimming everything.
 * The partition host writes it; the warehouse writer and tools read it from other threads and processes.
 */
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Offset } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import type { Journal, JournalEntry, JournalReadOptions } from "../ports.ts";
import { type ByteTable, environmentBytes, environmentExists, openEnvironment, setKind } from "./environment.ts";
import { GroupCommit, handled } from "./group-commit.ts";
import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  BLOCK_HEAD_BYTES,
  BLOCK_RECORD_BYTES_MAX,
  BLOCK_RECORDS_MAX,
  BLOCK_RECORDS_MIN,
  LENGTH_BYTES,
  RecordBlock,
  writeBlock,
} from "./record-block.ts";

/** Without blocks, as every journal begins. */
const KIND_PLAIN = "weir-journal/1";
/** From the first block on, in the commit that writes it: versions that know no blocks refuse it. */
const KIND_BLOCKS = "weir-journal/2";
const KINDS = [KIND_PLAIN, KIND_BLOCKS] as const;
const DATA_FILE = "data.mdb";
/** The offset of the first record kept. Shorter than an offset's key, so before all of them. */
const FIRST_KEY = Uint8Array.of(0, 0);
/**
 * Blocks have keys between this one, of an offset that no record has, and the records'. LMDB fills its pages to their ends only
 * where keys are appended behind all others, which matters for records and not for the few keys of blocks.
 */
const BLOCKS_KEY = new Uint8Array(8);
/** After every block, and before every record of its own; not a key itself, since a search may begin here. */
const RECORDS_KEY = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0xff);
/** After every record of its own. */
const LAST_KEY = new Uint8Array(8).fill(0xff);
/** A commit forgets at most so many records, so that trimming a long journal never delays a flush for long. */
const TRIM_RECORDS_MAX = 1024;

export class LmdbJournal implements Journal {
  readonly #path: string;
  readonly #table: ByteTable;
  readonly #commits: GroupCommit;
  #isPlain: boolean;
  #pending: Uint8Array[] = [];
  #first: number;
  #appended: number;
  #durable: number;
  /** The offset that the running commit reaches. */
  #committing: number;
  #trimmingTo: number;
  #closed = false;

  private constructor(path: string) {
    this.#path = path;
    const { table, kind } = openEnvironment(path, KINDS);
    this.#table = table;
    this.#isPlain = kind === KIND_PLAIN;
    const { first, last } = readEnds(table);
    this.#first = first;
    this.#appended = this.#durable = this.#committing = last;
    this.#trimmingTo = first;
    this.#commits = new GroupCommit(table, () => this.#fill());
  }

  /** Opens the journal in a folder of its own, made when missing. Errors: see `openEnvironment`. */
  static open(path: string): LmdbJournal {
    return new LmdbJournal(path);
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

  *read(from: Offset, options?: JournalReadOptions): Generator<JournalEntry, void> {
    assert(from >= this.#first, `records before ${this.#first} were trimmed, ${from} was asked for`);
    const records = new Records(this.#table, options);
    for (let offset: number = from; offset <= this.#durable; offset++) {
      yield { offset: offset as Offset, record: records.at(offset) };
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
    this.#put(records, committing - records.length + 1);
    const first = this.#trimABit();
    return () => {
      assert(committing >= this.#durable && first >= this.#first, "journal offsets never move back");
      this.#durable = committing;
      this.#first = first;
    };
  }

  /** Small records that follow one another go into blocks, when there are enough of them; the others are entries. */
  #put(records: readonly Uint8Array[], firstOffset: number): void {
    for (let from = 0; from < records.length;) {
      const { end, bytes } = smallRecords(records, from);
      if (end - from < BLOCK_RECORDS_MIN || bytes < BLOCK_BYTES_MIN) {
        for (const entriesEnd = Math.max(end, from + 1); from < entriesEnd; from++) {
          const record = records[from];
          if (record !== undefined) void this.#table.put(keyOf(firstOffset + from), record);
        }
        continue;
      }
      if (this.#isPlain) setKind(this.#table, KIND_BLOCKS);
      this.#isPlain = false;
      const block = Buffer.allocUnsafeSlow(bytes);
      writeBlock(records, from, end, block);
      void this.#table.put(blockKeyOf(firstOffset + from, end - from), block);
      from = end;
    }
  }

  /** Forgets entries that lie wholly before the new first offset: a block stays until its last record may go. */
  #trimABit(): number {
    const first = Math.min(this.#trimmingTo, this.#first + TRIM_RECORDS_MAX);
    if (first === this.#first) return first;
    this.#removeUpTo(first);
    void this.#table.put(FIRST_KEY, Uint8Array.from(keyOf(first)));
    return first;
  }

  /** Only blocks are looked for: the keys of records between them are known. */
  #removeUpTo(first: number): void {
    let offset = this.#first;
    this.#table.resetReadTxn();
    for (const key of this.#table.getKeys({ start: BLOCKS_KEY, end: Uint8Array.from(blockKeyOf(first, 0)) })) {
      for (; offset < offsetOf(key); offset++) void this.#table.remove(keyOf(offset));
      offset = offsetOf(key) + countOf(key);
      if (offset <= first) void this.#table.remove(key);
    }
    for (; offset < first; offset++) void this.#table.remove(keyOf(offset));
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
  *read(from: Offset, upTo?: Offset, options?: JournalReadOptions): Generator<JournalEntry, void> {
    const { first, last } = this.ends();
    assert(from >= first, `records before ${first} were trimmed, ${from} was asked for`);
    const end = upTo === undefined ? last : Math.min(last, upTo);
    const records = new Records(this.#table, options);
    for (let offset: number = from; offset <= end; offset++) {
      yield { offset: offset as Offset, record: records.at(offset) };
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
  return new JournalReader(openEnvironment(path, KINDS, options).table);
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
  const { table } = openEnvironment(draft, KINDS);
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
  for (const start of [RECORDS_KEY, LAST_KEY]) {
    for (const key of table.getKeys({ reverse: true, start, end: FIRST_KEY, limit: 1 })) {
      last = Math.max(last, offsetOf(key) + countOf(key) - 1);
    }
  }
  assert(last >= first - 1, `the journal ends at ${last} and begins at ${first}`);
  if (last >= first) new Records(table).at(first);
  return { first, last };
}

/**
 * Records one by one. An entry of its own is looked up first: it is what most journals have, and a step costs it nothing
 * more. The last block is kept, since its other records are likely to be next.
 */
class Records {
  readonly #table: ByteTable;
  readonly #fleeting: boolean;
  #block: RecordBlock | undefined;

  constructor(table: ByteTable, { fleeting = false }: JournalReadOptions = {}) {
    this.#table = table;
    this.#fleeting = fleeting;
  }

  at(offset: number): Uint8Array {
    if (this.#block?.holds(offset) === true) return this.#block.at(offset);
    const key = keyOf(offset);
    const record = this.#fleeting ? viewOf(this.#table.getBinaryFast(key)) : this.#table.getBinary(key);
    if (record !== undefined) return record;
    this.#block = blockAt(this.#table, offset);
    assert(this.#block?.holds(offset) === true, `the journal has no record ${offset}`);
    return this.#block.at(offset);
  }
}

/** lmdb gives its own buffer, whole, and sets what it says to be its length. */
function viewOf(bytes: Buffer | undefined): Uint8Array | undefined {
  return bytes === undefined ? undefined : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The last block that begins at the offset or before it. */
function blockAt(table: ByteTable, offset: number): RecordBlock | undefined {
  const start = Uint8Array.from(blockKeyOf(offset, 0xffff));
  for (const { key, value } of table.getRange({ reverse: true, start, end: BLOCKS_KEY, limit: 1 })) {
    return new RecordBlock(offsetOf(key), countOf(key), value);
  }
  return undefined;
}

/** The block that begins with this record: it ends before the first large one, and where it is full. `bytes` is its size. */
function smallRecords(records: readonly Uint8Array[], from: number): { end: number; bytes: number } {
  const endMax = Math.min(records.length, from + BLOCK_RECORDS_MAX);
  let bytes = BLOCK_HEAD_BYTES;
  let end = from;
  for (; end < endMax; end++) {
    const length = records[end]?.length ?? 0;
    const next = bytes + LENGTH_BYTES + length;
    if (length > BLOCK_RECORD_BYTES_MAX || next > BLOCK_BYTES_MAX) break;
    bytes = next;
  }
  return { end, bytes };
}

const OFFSET_BYTES = 8;
const BLOCK_KEY_BYTES = 18;
const keyBuffer = Buffer.alloc(OFFSET_BYTES);
const blockKeyBuffer = Buffer.alloc(BLOCK_KEY_BYTES);

/** Valid until the next call: lmdb copies keys at once. */
function keyOf(offset: number): Uint8Array {
  keyBuffer.writeUInt32BE(Math.floor(offset / 2 ** 32), 0);
  keyBuffer.writeUInt32BE(offset >>> 0, 4);
  return keyBuffer;
}

/** The same for a block: behind eight zeros. */
function blockKeyOf(first: number, records: number): Uint8Array {
  blockKeyBuffer.set(keyOf(first), OFFSET_BYTES);
  blockKeyBuffer.writeUInt16BE(records, 2 * OFFSET_BYTES);
  return blockKeyBuffer;
}

/** The offset of the only or the first record of the entry with this key. */
function offsetOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, key.length);
  const at = key.length === BLOCK_KEY_BYTES ? OFFSET_BYTES : 0;
  return view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
}

/** How many records it holds. */
function countOf(key: Uint8Array): number {
  if (key.length !== BLOCK_KEY_BYTES) return 1;
  return new DataView(key.buffer, key.byteOffset, key.length).getUint16(2 * OFFSET_BYTES);
}
