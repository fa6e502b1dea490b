/**
 * All sessions of one tenant in one partition: finds them, closes them as the watermark passes, lets idle ones go to the
 * store (passivation) and takes them back when an event comes. Closing follows from event times and the watermark alone.
 *
 * A session is either resident (in memory, perhaps changed since the last snapshot) or cold (only in the store).
 * `due` is a wheel by minute of last event: a session is looked at again when its minute is more than the gap behind, and is
 * on it ("watched", and in the table `open-sessions`) from its first event until then. Only one that is off it may become cold:
 * the wheel would close a copy that has been left behind.
 *
 * In here a session is a number in the flat table (`session-table.ts`); the wheel's lists go through the table too.
 */
import { assert } from "../protocol/assert.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import { FieldColumn } from "../protocol/field-column.ts";
import { NO_TEXT_NUMBER } from "../protocol/text-numbers.ts";
import { MINUTE_MS } from "../protocol/windows.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { StateReader, StateWrite } from "./effects.ts";
import { floorTo } from "./pane.ts";
import type { DedupKey } from "./deduplicate.ts";
import { NumberList } from "./number-list.ts";
import { preparedHash } from "./prepared-rows.ts";
import { NO_SESSION, SessionTable } from "./session-table.ts";
import { Session } from "./session.ts";

const SESSIONS = "sessions";
const OPEN = "open-sessions";
const NO_COLUMN = FieldColumn.of([]);

export interface SessionRules {
  readonly gapMs: number;
  readonly allowedLatenessMs: number;
  /** Also what session ids are hashed with in memory. */
  readonly dedupKey: DedupKey;
}

export class Sessions {
  readonly #tenant: string;
  #rules: SessionRules;
  readonly #cold: StateReader;
  #table: SessionTable;
  /** By minute: the first of a list through the table. */
  readonly #due = new Map<number, number>();
  readonly #dirty = new NumberList();
  readonly #closedSinceSnapshot = new NumberList();
  /** Of the frame whose rows are being applied. */
  #ids = NO_COLUMN;
  #users = NO_COLUMN;
  #types = NO_COLUMN;

  constructor(tenant: string, rules: SessionRules, cold: StateReader) {
    this.#tenant = tenant;
    this.#rules = rules;
    this.#cold = cold;
    this.#table = new SessionTable(rules.dedupKey);
  }

  changeRules(rules: SessionRules): void {
    this.#rules = rules;
  }

  get residentCount(): number {
    return this.#table.count;
  }

  get sizeBytes(): number {
    return this.#table.sizeBytes + this.#dirty.sizeBytes + this.#closedSinceSnapshot.sizeBytes;
  }

  /** See `counted-bytes.ts`. */
  get countedBytes(): number {
    return this.#table.countedBytes + this.#dirty.sizeBytes + this.#closedSinceSnapshot.sizeBytes;
  }

  /** Before rows of a frame are applied. */
  open(columns: EventColumns): void {
    this.#ids = columns.column("sessionId");
    this.#users = columns.column("userId");
    this.#types = columns.column("eventType");
  }

  /** Before some of its rows are applied, `rows[from]` to before `rows[to]`: no more than PREPARED_MAX. */
  prepare({ sessionIds }: EventColumns, rows: Int32Array, from: number, to: number): void {
    this.#table.prepare(sessionIds, this.#ids, rows, from, to);
  }

  /** Applies an accepted row of the frame that was opened: the one that was the `prepared`th of those made ready last, from 0. */
  applyRow({ sessionIds, userIds, eventTypes, eventTimesMs }: EventColumns, row: number, prepared: number): void {
    const idNumber = this.#ids.kind(row);
    const typeNumber = this.#types.kind(row);
    const userNumber = this.#users.kind(row);
    const id = sessionIds[row] ?? "";
    const hash = preparedHash(prepared);
    this.apply(id, eventTimesMs[row] ?? 0, eventTypes[row] ?? "", userIds[row], idNumber, typeNumber, userNumber, hash);
  }

  /** `...Number`: of the texts (`protocol/text-numbers.ts`), where they are known; `hash`: of the id, or 0. */
  apply(
    sessionId: string,
    eventTimeMs: number,
    eventType: string,
    userId: string | undefined,
    idNumber = NO_TEXT_NUMBER,
    typeNumber = NO_TEXT_NUMBER,
    userNumber = NO_TEXT_NUMBER,
    hash = 0,
  ): void {
    const table = this.#table;
    let number = table.find(sessionId, idNumber, hash);
    if (number === NO_SESSION) {
      const cold = this.#wake(sessionId);
      if (cold === undefined) {
        number = table.begin(sessionId, eventTimeMs, eventType, userId);
      } else {
        number = table.add(cold);
        table.apply(number, eventTimeMs, eventType, userId, this.#rules.gapMs);
      }
    } else {
      table.apply(number, eventTimeMs, eventType, userId, this.#rules.gapMs, typeNumber, userNumber);
    }
    this.#markDirty(number);
    // Once on the wheel, a session stays at its minute until that comes up; then it moves to where its end is by then.
    if (!table.isWatched(number)) this.#watch(number);
  }

  /** The session as it is now, to be read only. */
  find(sessionId: string): Session | undefined {
    const number = this.#table.find(sessionId);
    return number === NO_SESSION ? this.#wake(sessionId) : this.#table.session(number);
  }

  /**
   * Closes the sessions whose gap the watermark has passed. Which ones, and in which order, follows from their ends and ids
   * alone, not from when they came onto the wheel: after a restore that is another time.
   */
  close(watermarkMs: number): void {
    const table = this.#table;
    const passed = floorTo(watermarkMs - this.#rules.gapMs, MINUTE_MS);
    const changed: { readonly id: string; readonly number: number }[] = [];
    for (const [minute, first] of this.#due) {
      if (minute >= passed) continue;
      this.#due.delete(minute);
      for (let number = first; number !== NO_SESSION;) {
        const next = table.next(number);
        if (floorTo(table.endMs(number), MINUTE_MS) >= passed) this.#watch(number);
        else {
          table.setWatched(number, false);
          if (!table.isDirty(number)) changed.push({ id: table.id(number), number });
        }
        number = next;
      }
    }
    changed.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const { number } of changed) this.#markDirty(number);
  }

  /**
   * Writes changed sessions, and lets those go that were closed and written with the snapshot before this one.
   * Each written session also gets the next number of the change feed, by which the warehouse writer finds it.
   */
  snapshot(feed: ChangeFeed, writes: StateWrite[]): void {
    const table = this.#table;
    for (const number of this.#closedSinceSnapshot.take()) {
      if (!table.isDirty(number) && !table.isWatched(number)) table.remove(number);
    }
    for (const number of this.#dirty.take()) {
      const key = [this.#tenant, table.id(number)];
      const changeSeq = feed.move(table.changeSeq(number), key, writes);
      table.setDirty(number, false);
      writes.push({ table: SESSIONS, key, value: table.encode(number, changeSeq) });
      const isWatched = table.isWatched(number);
      writes.push({ table: OPEN, key, value: isWatched ? new Uint8Array(0) : undefined });
      // Its write is not committed yet: it may go with the next snapshot.
      if (!isWatched) this.#closedSinceSnapshot.push(number);
    }
    if (table.isSparse) this.#moveToSmallerTable();
  }

  /** After a snapshot: none is dirty, and each is on the wheel or closed since the one before. */
  #moveToSmallerTable(): void {
    const before = this.#table;
    const table = new SessionTable(this.#rules.dedupKey);
    for (const [minute, first] of this.#due) {
      let last = NO_SESSION;
      for (let number = first; number !== NO_SESSION; number = before.next(number)) {
        const moved = table.add(before.session(number));
        table.setWatched(moved, true);
        table.setNext(moved, last);
        last = moved;
      }
      this.#due.set(minute, last);
    }
    for (const number of this.#closedSinceSnapshot.take()) this.#closedSinceSnapshot.push(table.add(before.session(number)));
    assert(table.count === before.count, "a session was lost on the way to a smaller table");
    this.#table = table;
  }

  restore(): void {
    for (const { key } of this.#cold.range(OPEN, [this.#tenant], [`${this.#tenant}\0`])) {
      const session = this.#wake(String(key[1]));
      if (session !== undefined) this.#watch(this.#table.add(session));
    }
  }

  #wake(sessionId: string): Session | undefined {
    const bytes = this.#cold.get(SESSIONS, [this.#tenant, sessionId]);
    return bytes === undefined ? undefined : Session.decode(bytes);
  }

  #watch(number: number): void {
    this.#table.setWatched(number, true);
    const minute = floorTo(this.#table.endMs(number), MINUTE_MS);
    this.#table.setNext(number, this.#due.get(minute) ?? NO_SESSION);
    this.#due.set(minute, number);
  }

  #markDirty(number: number): void {
    if (this.#table.isDirty(number)) return;
    this.#table.setDirty(number, true);
    this.#dirty.push(number);
  }
}
