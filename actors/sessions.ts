/**
 * All sessions of one tenant in one partition: finds them, closes them as the watermark passes, lets idle ones go to the
 * store (passivation) and takes them back when an event comes. Closing follows from event times and the watermark alone.
 *
 * A session is either resident (in memory, perhaps changed since the last snapshot) or cold (only in the store).
 * `due` is a wheel by minute of last event: a session is looked at again when its minute is more than the gap behind, and is
 * on it ("watched", and in the table `open-sessions`) from its first event until then. Only one that is off it may become cold:
 * the wheel would close a copy that has been left behind.
 */
import { MINUTE_MS } from "../protocol/windows.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { StateReader, StateWrite } from "./effects.ts";
import { floorTo } from "./pane.ts";
import { Session } from "./session.ts";

const SESSIONS = "sessions";
const OPEN = "open-sessions";
/** Estimated memory of a resident session: object, id, one segment, a few types. */
const SESSION_BYTES = 600;

export interface SessionRules {
  readonly gapMs: number;
  readonly allowedLatenessMs: number;
}

export class Sessions {
  readonly #tenant: string;
  #rules: SessionRules;
  readonly #cold: StateReader;
  readonly #resident = new Map<string, Session>();
  readonly #due = new Map<number, Session[]>();
  #dirty: Session[] = [];
  #closedSinceSnapshot: Session[] = [];

  constructor(tenant: string, rules: SessionRules, cold: StateReader) {
    this.#tenant = tenant;
    this.#rules = rules;
    this.#cold = cold;
  }

  changeRules(rules: SessionRules): void {
    this.#rules = rules;
  }

  get residentCount(): number {
    return this.#resident.size;
  }

  get sizeBytes(): number {
    return this.#resident.size * SESSION_BYTES;
  }

  apply(sessionId: string, eventTimeMs: number, eventType: string, userId: string | undefined): void {
    let session = this.#resident.get(sessionId);
    if (session === undefined) {
      session = this.#wake(sessionId) ?? new Session(sessionId);
      this.#resident.set(session.id, session);
    }
    if (!session.dirty) this.#dirty.push(session);
    session.apply(eventTimeMs, eventType, userId, this.#rules.gapMs);
    // Once on the wheel, a session stays at its minute until that comes up; then it moves to where its end is by then.
    if (!session.watched) this.#watch(session);
  }

  find(sessionId: string): Session | undefined {
    return this.#resident.get(sessionId) ?? this.#wake(sessionId);
  }

  /**
   * Closes the sessions whose gap the watermark has passed. Which ones, and in which order, follows from their ends and ids
   * alone, not from when they came onto the wheel: after a restore that is another time.
   */
  close(watermarkMs: number): void {
    const passed = floorTo(watermarkMs - this.#rules.gapMs, MINUTE_MS);
    const closed: Session[] = [];
    for (const [minute, sessions] of this.#due) {
      if (minute >= passed) continue;
      this.#due.delete(minute);
      for (const session of sessions) {
        if (floorTo(session.endMs, MINUTE_MS) >= passed) this.#watch(session);
        else closed.push(session);
      }
    }
    closed.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const session of closed) this.#markClosed(session);
  }

  /**
   * Writes changed sessions, and lets those go that were closed and written with the snapshot before this one.
   * Each written session also gets the next number of the change feed, by which the warehouse writer finds it.
   */
  snapshot(feed: ChangeFeed, writes: StateWrite[]): void {
    for (const session of this.#closedSinceSnapshot) {
      if (!session.dirty && !session.watched) this.#resident.delete(session.id);
    }
    this.#closedSinceSnapshot = [];
    for (const session of this.#dirty) {
      session.settle();
      session.dirty = false;
      session.changeSeq = feed.move(session.changeSeq, [this.#tenant, session.id], writes);
      const key = [this.#tenant, session.id];
      writes.push({ table: SESSIONS, key, value: session.encode() });
      writes.push({ table: OPEN, key, value: session.watched ? new Uint8Array(0) : undefined });
      // Its write is not committed yet: it may go with the next snapshot.
      if (!session.watched) this.#closedSinceSnapshot.push(session);
    }
    this.#dirty = [];
  }

  restore(): void {
    for (const { key } of this.#cold.range(OPEN, [this.#tenant], [`${this.#tenant}\0`])) {
      const sessionId = String(key[1]);
      const session = this.#wake(sessionId);
      if (session === undefined) continue;
      this.#resident.set(sessionId, session);
      this.#watch(session);
    }
  }

  #wake(sessionId: string): Session | undefined {
    const bytes = this.#cold.get(SESSIONS, [this.#tenant, sessionId]);
    return bytes === undefined ? undefined : Session.decode(bytes);
  }

  #watch(session: Session): void {
    session.watched = true;
    const minute = floorTo(session.endMs, MINUTE_MS);
    const sessions = this.#due.get(minute);
    if (sessions === undefined) this.#due.set(minute, [session]);
    else sessions.push(session);
  }

  #markClosed(session: Session): void {
    session.watched = false;
    if (session.dirty) return;
    session.dirty = true;
    this.#dirty.push(session);
  }
}
