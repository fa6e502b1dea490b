/**
 * The sessions in memory as numbers in flat memory: 80 bytes each, one piece for the texts of its id and user, and one for the
 * types past the second. An event touches the place in the index, the record and the texts; a `Session` object, found by text in
 * a Map, is a dozen pieces of memory, all of which the garbage collector goes through (887 bytes against 146, and half the
 * time of an event where there are a million: `npm run bench -- memory`, `npm run bench -- scale --micro`).
 *
 * A record holds a plain session: one segment, few types, stored as it is or not at all. That is what nearly all are. What does
 * not fit becomes a `Session` object under its number, and stays one while it is in memory. Which form it is shows in memory and
 * speed only: the session is the one that `Session` would be (`test/actors/session-table.property.test.ts`).
 *
 *   index: hash -> number    record: start end userAt changeSeq | texts lengths next flags events types numbers | two types
 *                                                                    |                                  |
 *   blocks:                                                     [id, user]              [number count, number count...]
 */
import { assert } from "../protocol/assert.ts";
import type { FieldColumn } from "../protocol/field-column.ts";
import { NOT_KNOWN, TextMemo } from "../protocol/text-memo.ts";
import { NO_TEXT_NUMBER, textGeneration } from "../protocol/text-numbers.ts";
import { countedBytes } from "./counted-bytes.ts";
import type { DedupKey } from "./deduplicate.ts";
import { NumberIndex } from "./number-index.ts";
import { PagedWords } from "./paged-words.ts";
import { prepared } from "./prepared-rows.ts";
import { Session, type PlainSession } from "./session.ts";
import { FLAGS, RECORD_WORDS, SessionTypes, TYPES_MAX } from "./session-types.ts";
import { equalsLoaded, hashLoaded, loadText, storedText, storeLoaded, wordsOf } from "./text-words.ts";
import { lengthOf, offsetIn, WordBlocks } from "./word-blocks.ts";

export const NO_SESSION = -1;

const PAGE_BITS = 10;
const PAGE_RECORDS = 1 << PAGE_BITS;
const FIRST_RECORDS = 4;

// Floats, by pair of words.
const START = 0;
const END = 1;
const USER_AT = 2;
const CHANGE_SEQ = 3;
// Words; those from 11 on that are not here are of `session-types.ts`.
const TEXTS = 8;
/** Bytes of the id, and of the user in the high half. */
const LENGTHS = 9;
/** The next one of the same list: of a minute of the wheel, or of free records. */
const NEXT = 10;
const EVENTS = 12;
/** The number of the text of its user, of this generation or of none (`protocol/text-numbers.ts`); and that of its id. */
const USER_NUMBER = 14;
const ID_NUMBER = 15;

const DIRTY = 1;
const WATCHED = 2;
const HAS_USER = 4;
/** Its only segment is in the store, with the start that it has now. */
const STORED = 8;
/** Not plain: all but texts, flags and end are in an object. */
const WHOLE = 16;

/** Fewer stay in the processor's cache, where `prepare` would cost more than it saves. */
const PREPARE_MIN = 1_024;
const RECENT_MIN = 16;
const RECENT_MAX = 16_384;
/** Places for each session, until there are the most: with one, more than a third of them would drive out another. */
const RECENT_ROOM = 2;
const EVENTS_MAX = 0x7fff_ffff;

export class SessionTable {
  readonly #key: DedupKey;
  readonly #prepareMin: number;
  readonly #index = new NumberIndex();
  readonly #records = new PagedWords(PAGE_RECORDS * RECORD_WORDS, FIRST_RECORDS * RECORD_WORDS);
  readonly #blocks = new WordBlocks();
  readonly #types = new SessionTypes(this.#blocks);
  /** Sessions by the number of their id's text: a hit spares looking at the text, and hashing it. */
  #recent = new TextMemo(RECENT_MIN);
  #recentCapacity = RECENT_MIN;
  /** The one that the users' numbers are of. */
  #generation = textGeneration();
  readonly #whole = new Map<number, Session>();
  /** Of the sessions in `#whole`, estimated. */
  #wholeBytes = 0;
  #end = 0;
  #free = NO_SESSION;

  constructor(key: DedupKey, prepareMin = PREPARE_MIN) {
    this.#key = key;
    this.#prepareMin = prepareMin;
  }

  get count(): number {
    return this.#index.count;
  }

  get wholeCount(): number {
    return this.#whole.size;
  }

  get typeCount(): number {
    return this.#types.count;
  }

  get sizeBytes(): number {
    return this.#flatBytes + this.#types.sizeBytes + this.#wholeBytes;
  }

  /** See `counted-bytes.ts`. All flat memory grows with the records that were ever in use at once. */
  get countedBytes(): number {
    const usedBytes = this.#end === 0 ? 0 : this.#flatBytes * (this.count / this.#end);
    return countedBytes(usedBytes, this.#flatBytes) + this.#types.sizeBytes + this.#wholeBytes;
  }

  get #flatBytes(): number {
    return this.#index.sizeBytes + this.#records.sizeBytes + this.#blocks.sizeBytes + this.#recent.sizeBytes;
  }

  /** Most of the memory is free: a table of what is left would be much smaller. */
  get isSparse(): boolean {
    return this.#end > 4 * PAGE_RECORDS && this.count * 4 < this.#end;
  }

  /**
   * Hashes the ids of `rows[from]` to before `rows[to]` (no more than PREPARED_MAX), where they are not known by the numbers of their
   * texts, and touches what `find` will look at, so that the processor waits for all of that memory together: of a million sessions
   * nearly all lie in memory that is slow to reach (`npm run bench -- scale --micro`). The hashes are `preparedHash`.
   */
  prepare(ids: readonly string[], idNumbers: FieldColumn, rows: Int32Array, from: number, to: number): void {
    const { hashes, unknowns, numbers } = prepared;
    prepared.count = this.count < this.#prepareMin ? 0 : to - from;
    if (prepared.count === 0) return;
    let unknown = 0;
    for (let at = from; at < to; at++) {
      const row = rows[at] ?? 0;
      // Others may drive it out before it is looked for.
      hashes[at - from] = 0;
      if (this.#known(idNumbers.kind(row)) !== NO_SESSION) continue;
      hashes[at - from] = hashLoaded(this.#key, loadText(ids[row] ?? ""));
      unknowns[unknown++] = at - from;
    }
    const index = this.#index;
    for (let at = 0; at < unknown; at++) {
      const place = index.first(hashes[unknowns[at] ?? 0] ?? 0);
      numbers[at] = place < 0 ? NO_SESSION : index.numberAt(place);
    }
    // Then where their texts are.
    for (let at = 0; at < unknown; at++) {
      const number = numbers[at] ?? NO_SESSION;
      if (number !== NO_SESSION) numbers[at] = this.#record(number)[wordIn(number) + TEXTS] as number;
    }
    let seen = 0;
    for (let at = 0; at < unknown; at++) {
      const texts = numbers[at] ?? NO_SESSION;
      if (texts !== NO_SESSION) seen |= this.#blocks.page(texts)[offsetIn(texts)] as number;
    }
    prepared.touched = seen;
  }

  /**
   * The number of the session; `NO_SESSION` when it is not in memory. `idNumber`: of its text, where that is known; `hash`: what
   * `prepare` found, or 0.
   */
  find(id: string, idNumber = NO_TEXT_NUMBER, hash = 0): number {
    const known = this.#known(idNumber);
    if (known !== NO_SESSION) return known;
    const number = this.#lookUp(id, hash);
    if (number !== NO_SESSION && idNumber !== NO_TEXT_NUMBER) {
      this.#record(number)[wordIn(number) + ID_NUMBER] = idNumber;
      this.#recent.put(idNumber, number);
    }
    return number;
  }

  #known(idNumber: number): number {
    const recent = this.#recent.get(idNumber);
    // Whoever has its number now has another text.
    return recent !== NOT_KNOWN && this.#record(recent)[wordIn(recent) + ID_NUMBER] === idNumber ? recent : NO_SESSION;
  }

  #lookUp(id: string, known: number): number {
    const lengthBytes = loadText(id);
    const hash = known === 0 ? hashLoaded(this.#key, lengthBytes) : known;
    const index = this.#index;
    for (let place = index.first(hash); place !== -1; place = index.next(place, hash)) {
      const number = index.numberAt(place);
      const record = this.#record(number);
      const at = wordIn(number);
      if (((record[at + LENGTHS] as number) & 0xffff) !== lengthBytes) continue;
      const texts = record[at + TEXTS] as number;
      if (!equalsLoaded(this.#blocks.page(texts), offsetIn(texts), lengthBytes)) continue;
      return number;
    }
    return NO_SESSION;
  }

  /** A new session with its first event. */
  begin(id: string, eventTimeMs: number, eventType: string, userId: string | undefined): number {
    const number = this.#newRecord(id);
    const record = this.#record(number);
    const floats = this.#floats(number);
    const pair = pairIn(number);
    floats[pair + START] = floats[pair + END] = eventTimeMs;
    record[wordIn(number) + EVENTS] = 1;
    this.#types.add(record, wordIn(number), eventType, 1);
    if (userId !== undefined) this.#takeUser(number, eventTimeMs, userId);
    return number;
  }

  /** A session as it was in the store. */
  add(session: Session): number {
    const number = this.#newRecord(session.id);
    const { plain } = session;
    if (plain !== undefined && plain.types.size <= TYPES_MAX && plain.events < EVENTS_MAX) this.#fill(number, plain);
    else this.#makeWhole(number, session);
    return number;
  }

  /** `typeNumber`, `userNumber`: of their texts, where they are known. */
  apply(
    number: number,
    eventTimeMs: number,
    eventType: string,
    userId: string | undefined,
    gapMs: number,
    typeNumber = NO_TEXT_NUMBER,
    userNumber = NO_TEXT_NUMBER,
  ): void {
    if (!this.#applyPlain(number, eventTimeMs, eventType, gapMs, typeNumber)) {
      const session = this.#whole.get(number) ?? this.#makeWhole(number, this.session(number));
      const { sizeBytes } = session;
      session.apply(eventTimeMs, eventType, userId, gapMs);
      this.#wholeBytes += session.sizeBytes - sizeBytes;
      this.#floats(number)[pairIn(number) + END] = session.endMs;
    } else if (userId !== undefined) {
      this.#takeUser(number, eventTimeMs, userId, userNumber);
    }
  }

  /** All but the user; false when the session would not be plain afterwards, and then nothing has changed. */
  #applyPlain(number: number, eventTimeMs: number, eventType: string, gapMs: number, typeNumber: number): boolean {
    const record = this.#record(number);
    const at = wordIn(number);
    const flags = record[at + FLAGS] as number;
    if ((flags & WHOLE) !== 0) return false;
    const floats = this.#floats(number);
    const pair = pairIn(number);
    const startMs = floats[pair + START] as number;
    const endMs = floats[pair + END] as number;
    if (eventTimeMs > endMs + gapMs || eventTimeMs < startMs - gapMs) return false;
    if (eventTimeMs < startMs && (flags & STORED) !== 0) return false;
    const events = record[at + EVENTS] as number;
    if (events === EVENTS_MAX || !this.#types.increase(record, at, eventType, typeNumber)) return false;
    record[at + EVENTS] = events + 1;
    if (eventTimeMs > endMs) floats[pair + END] = eventTimeMs;
    if (eventTimeMs < startMs) floats[pair + START] = eventTimeMs;
    return true;
  }

  /** As `Session` does it: the user of the latest event that names one; of two at the same time the greater text. */
  #takeUser(number: number, eventTimeMs: number, userId: string, userNumber = NO_TEXT_NUMBER): void {
    const record = this.#record(number);
    const at = wordIn(number);
    const floats = this.#floats(number);
    const pair = pairIn(number);
    const hasUser = ((record[at + FLAGS] as number) & HAS_USER) !== 0;
    const userAtMs = floats[pair + USER_AT] as number;
    if (hasUser && eventTimeMs < userAtMs) return;
    if (this.#generation !== textGeneration()) this.#forgetNumbers();
    const isKnown = hasUser && userNumber !== NO_TEXT_NUMBER && record[at + USER_NUMBER] === userNumber;
    if (!isKnown && !this.#hasUser(record, at, userId, hasUser)) {
      if (hasUser && eventTimeMs === userAtMs && userId <= (this.#userId(record, at) ?? "")) return;
      this.#storeUser(record, at, loadText(userId));
    }
    record[at + USER_NUMBER] = userNumber;
    floats[pair + USER_AT] = eventTimeMs;
  }

  #hasUser(record: Int32Array, at: number, userId: string, hasUser: boolean): boolean {
    const lengthBytes = loadText(userId);
    const lengths = record[at + LENGTHS] as number;
    const texts = record[at + TEXTS] as number;
    if (!hasUser || lengths >>> 16 !== lengthBytes) return false;
    return equalsLoaded(this.#blocks.page(texts), offsetIn(texts) + wordsOf(lengths & 0xffff), lengthBytes);
  }

  /** O(sessions), once in 2^30 texts: their numbers may be other texts' in the generation after this one. */
  #forgetNumbers(): void {
    this.#generation = textGeneration();
    for (let number = 0; number < this.#end; number++) this.#record(number)[wordIn(number) + USER_NUMBER] = NO_TEXT_NUMBER;
  }

  /** Puts the loaded text behind the id, in another piece of memory when it needs one of another length. */
  #storeUser(record: Int32Array, at: number, lengthBytes: number): void {
    const lengths = record[at + LENGTHS] as number;
    const idWords = wordsOf(lengths & 0xffff);
    const before = idWords + wordsOf(lengths >>> 16);
    const after = idWords + wordsOf(lengthBytes);
    let texts = record[at + TEXTS] as number;
    if (lengthOf(before) !== lengthOf(after)) {
      const moved = this.#blocks.take(after);
      const from = this.#blocks.page(texts);
      const to = this.#blocks.page(moved);
      for (let word = 0; word < idWords; word++) to[offsetIn(moved) + word] = from[offsetIn(texts) + word] as number;
      this.#blocks.giveBack(texts, before);
      record[at + TEXTS] = texts = moved;
    }
    storeLoaded(this.#blocks.page(texts), offsetIn(texts) + idWords, lengthBytes);
    record[at + LENGTHS] = (lengths & 0xffff) | (lengthBytes << 16);
    record[at + FLAGS] = (record[at + FLAGS] as number) | HAS_USER;
  }

  /** The session as an object: for one that is plain a copy as of now. */
  session(number: number): Session {
    const whole = this.#whole.get(number);
    if (whole !== undefined) return whole;
    const record = this.#record(number);
    const at = wordIn(number);
    const floats = this.#floats(number);
    const pair = pairIn(number);
    return Session.ofPlain({
      id: this.id(number),
      userId: this.#userId(record, at),
      userAtMs: floats[pair + USER_AT] as number,
      startMs: floats[pair + START] as number,
      endMs: floats[pair + END] as number,
      events: record[at + EVENTS] as number,
      types: this.#types.of(record, at),
      isStored: ((record[at + FLAGS] as number) & STORED) !== 0,
      changeSeq: this.changeSeq(number),
    });
  }

  id(number: number): string {
    const record = this.#record(number);
    const at = wordIn(number);
    const texts = record[at + TEXTS] as number;
    return storedText(this.#blocks.page(texts), offsetIn(texts), (record[at + LENGTHS] as number) & 0xffff);
  }

  endMs(number: number): number {
    return this.#floats(number)[pairIn(number) + END] as number;
  }

  changeSeq(number: number): number {
    return this.#floats(number)[pairIn(number) + CHANGE_SEQ] as number;
  }

  isDirty(number: number): boolean {
    return this.#hasFlag(number, DIRTY);
  }

  isWatched(number: number): boolean {
    return this.#hasFlag(number, WATCHED);
  }

  setDirty(number: number, isDirty: boolean): void {
    this.#setFlag(number, DIRTY, isDirty);
  }

  setWatched(number: number, isWatched: boolean): void {
    this.#setFlag(number, WATCHED, isWatched);
  }

  /** For lists of sessions that each is in at most one of. */
  next(number: number): number {
    return this.#record(number)[wordIn(number) + NEXT] as number;
  }

  setNext(number: number, next: number): void {
    this.#record(number)[wordIn(number) + NEXT] = next;
  }

  /** The session as bytes for the store, in which it will be the change `changeSeq`. */
  encode(number: number, changeSeq: number): Uint8Array {
    this.#floats(number)[pairIn(number) + CHANGE_SEQ] = changeSeq;
    const session = this.session(number);
    const { sizeBytes } = session;
    session.settle();
    session.changeSeq = changeSeq;
    if (this.#hasFlag(number, WHOLE)) this.#wholeBytes += session.sizeBytes - sizeBytes;
    else this.#setFlag(number, STORED, true);
    return session.encode();
  }

  /** Its number is another session's from now on. */
  remove(number: number): void {
    const record = this.#record(number);
    const at = wordIn(number);
    record[at + ID_NUMBER] = NO_TEXT_NUMBER;
    const hash = hashLoaded(this.#key, loadText(this.id(number)));
    const whole = this.#whole.get(number);
    if (whole === undefined) this.#types.letGo(record, at);
    else {
      this.#wholeBytes -= whole.sizeBytes;
      this.#whole.delete(number);
    }
    const lengths = record[at + LENGTHS] as number;
    this.#blocks.giveBack(record[at + TEXTS] as number, wordsOf(lengths & 0xffff) + wordsOf(lengths >>> 16));
    this.#index.remove(hash, number);
    record[at + NEXT] = this.#free;
    this.#free = number;
  }

  #newRecord(id: string): number {
    const lengthBytes = loadText(id);
    const hash = hashLoaded(this.#key, lengthBytes);
    const number = this.#freeNumber();
    const record = this.#record(number);
    const at = wordIn(number);
    record.fill(0, at, at + RECORD_WORDS);
    const texts = this.#blocks.take(wordsOf(lengthBytes));
    storeLoaded(this.#blocks.page(texts), offsetIn(texts), lengthBytes);
    record[at + TEXTS] = texts;
    record[at + LENGTHS] = lengthBytes;
    this.#index.add(hash, number);
    if (this.count * RECENT_ROOM > this.#recentCapacity && this.#recentCapacity < RECENT_MAX) {
      this.#recentCapacity *= 4;
      this.#recent = new TextMemo(this.#recentCapacity);
    }
    return number;
  }

  #freeNumber(): number {
    const number = this.#free;
    if (number !== NO_SESSION) {
      this.#free = this.next(number);
      return number;
    }
    this.#records.reserve((this.#end + 1) * RECORD_WORDS);
    return this.#end++;
  }

  #fill(number: number, plain: PlainSession): void {
    const record = this.#record(number);
    const floats = this.#floats(number);
    const pair = pairIn(number);
    floats[pair + START] = plain.startMs;
    floats[pair + END] = plain.endMs;
    floats[pair + CHANGE_SEQ] = plain.changeSeq;
    record[wordIn(number) + EVENTS] = plain.events;
    this.#setFlag(number, STORED, plain.isStored);
    for (const [type, count] of plain.types) this.#types.add(record, wordIn(number), type, count);
    if (plain.userId !== undefined) this.#takeUser(number, plain.userAtMs, plain.userId);
  }

  #makeWhole(number: number, session: Session): Session {
    assert(!this.#whole.has(number), "a session becomes an object once");
    const record = this.#record(number);
    const at = wordIn(number);
    this.#types.letGo(record, at);
    this.#setFlag(number, WHOLE, true);
    const floats = this.#floats(number);
    floats[pairIn(number) + END] = session.endMs;
    floats[pairIn(number) + CHANGE_SEQ] = session.changeSeq;
    this.#whole.set(number, session);
    this.#wholeBytes += session.sizeBytes;
    return session;
  }

  #userId(record: Int32Array, at: number): string | undefined {
    if (((record[at + FLAGS] as number) & HAS_USER) === 0) return undefined;
    const lengths = record[at + LENGTHS] as number;
    const texts = record[at + TEXTS] as number;
    return storedText(this.#blocks.page(texts), offsetIn(texts) + wordsOf(lengths & 0xffff), lengths >>> 16);
  }

  #hasFlag(number: number, flag: number): boolean {
    return ((this.#record(number)[wordIn(number) + FLAGS] as number) & flag) !== 0;
  }

  #setFlag(number: number, flag: number, isSet: boolean): void {
    const record = this.#record(number);
    const at = wordIn(number) + FLAGS;
    const flags = record[at] as number;
    record[at] = isSet ? flags | flag : flags & ~flag;
  }

  /** The page that holds the record, from `wordIn(number)` on. Callers stay inside what `reserve` has made. */
  #record(number: number): Int32Array {
    return this.#records.ints[number >>> PAGE_BITS] as Int32Array;
  }

  #floats(number: number): Float64Array {
    return this.#records.floats[number >>> PAGE_BITS] as Float64Array;
  }
}

function wordIn(number: number): number {
  return (number & (PAGE_RECORDS - 1)) * RECORD_WORDS;
}

function pairIn(number: number): number {
  return (number & (PAGE_RECORDS - 1)) * (RECORD_WORDS / 2);
}
