/**
 * The session actor: what one session did, as separate visits ("segments") with more than `gapMs` between them.
 * Segments depend on the set of events only, never on their order: an event joins every segment that it is within the gap
 * of, and may so merge two. A closed session reopens when a late event moves its end.
 * In memory most sessions are records of `session-table.ts` instead, which must equal this one.
 *
 *   events   x  x x        x         gap = 30 min
 *   segments [------]      [x]       a late event in between within the gap of both: [----------------]
 */
import { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import { limits } from "../protocol/limits.ts";
import { TypeCounts } from "./type-counts.ts";

/** A session with one segment that the store has as it is, or not at all. */
export interface PlainSession {
  readonly id: string;
  readonly userId: string | undefined;
  /** Of no meaning without a user. */
  readonly userAtMs: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly events: number;
  readonly types: ReadonlyMap<string, number>;
  readonly isStored: boolean;
  readonly changeSeq: number;
}

export interface SessionSegment {
  readonly startMs: number;
  readonly endMs: number;
  readonly events: number;
}

/** Shared by all that have none, and never changed. */
const NO_SEGMENTS: SessionSegment[] = [];
/** Estimated memory: of a session with one segment and a few types, of a further segment, and of a start in a list. */
const SESSION_BYTES = 700;
const SEGMENT_BYTES = 80;
const START_BYTES = 16;
const NO_STARTS: readonly number[] = [];

export class Session {
  readonly id: string;
  /** The user of the latest event that names one; of two at the same time the greater text. */
  userId: string | undefined;

  // The last segment, which nearly every event belongs to, and the time of `userId`. Times are counted from `#originMs`, that of
  // the first event: V8 keeps small integers in the object itself, and large ones each in a piece of memory of its own, so that
  // an event would touch three more of those (a third of the time of a session: `npm run bench -- ingest`).
  #originMs = 0;
  #start = 0;
  #end = 0;
  #events = 0;
  #userAt = 0;
  readonly #types = new TypeCounts();

  /** The segments before the last one, ascending. */
  #earlier: SessionSegment[] = NO_SEGMENTS;
  /** Starts that were in the store and are no segment's start any more: their warehouse rows are void. */
  superseded: readonly number[] = NO_STARTS;
  /** The starts as they are in the store. Starts that come and go between two snapshots have no rows to void. */
  #storedStarts: readonly number[] = NO_STARTS;
  /** Events in segments past the limit. */
  prunedEvents = 0;
  prunedStartMs = Infinity;
  /** Its number in the partition's change feed; 0 before the first. */
  changeSeq = 0;

  constructor(id: string) {
    this.id = id;
  }

  /** Ascending; never empty after the first event. */
  get segments(): readonly SessionSegment[] {
    if (this.#events === 0) return NO_SEGMENTS;
    return [...this.#earlier, { startMs: this.#originMs + this.#start, endMs: this.endMs, events: this.#events }];
  }

  get eventTypes(): ReadonlyMap<string, number> {
    return this.#types.toMap();
  }

  get startMs(): number {
    return Math.min(this.prunedStartMs, this.segments[0]?.startMs ?? Infinity);
  }

  get endMs(): number {
    return this.#events === 0 ? -Infinity : this.#originMs + this.#end;
  }

  get events(): number {
    return this.#earlier.reduce((sum, segment) => sum + segment.events, this.prunedEvents + this.#events);
  }

  /** About how much memory it takes. O(1). */
  get sizeBytes(): number {
    const starts = this.superseded.length + this.#storedStarts.length;
    return SESSION_BYTES + this.#types.sizeBytes + SEGMENT_BYTES * this.#earlier.length + START_BYTES * starts;
  }

  /** Open: the watermark is not more than the gap past the last event. */
  isOpen(watermarkMs: number, gapMs: number): boolean {
    return watermarkMs - this.endMs <= gapMs;
  }

  apply(eventTimeMs: number, eventType: string, userId: string | undefined, gapMs: number): void {
    if (this.#events === 0) this.#originMs = eventTimeMs;
    this.#place(eventTimeMs - this.#originMs, gapMs);
    this.#types.add(eventType);
    if (userId !== undefined) this.#takeUser(eventTimeMs - this.#originMs, userId);
  }

  /** Before it is written to the store: notes which starts of the last time are gone, and keeps within the limits. */
  settle(): void {
    const starts = new Set(this.segments.map(({ startMs }) => startMs));
    const gone = this.#storedStarts.filter((startMs) => !starts.has(startMs));
    if (gone.length > 0) this.superseded = [...this.superseded, ...gone];
    this.#prune();
    this.#storedStarts = this.segments.map(({ startMs }) => startMs);
  }

  /**
   * Keeps the latest segments and voided starts within their limits. Age alone is no reason to let one go: the warehouse may
   * not have its row yet, and a replay of old data moves the watermark past all of them between two snapshots.
   */
  #prune(): void {
    while (this.#earlier.length + 1 > limits.sessionSegmentsMax) {
      const oldest = this.#earlier.shift();
      this.prunedEvents += oldest?.events ?? 0;
      this.prunedStartMs = Math.min(this.prunedStartMs, oldest?.startMs ?? Infinity);
    }
    const { length } = this.superseded;
    if (length > limits.sessionSegmentsMax) this.superseded = this.superseded.slice(length - limits.sessionSegmentsMax);
  }

  #takeUser(at: number, userId: string): void {
    if (userId === this.userId) {
      if (at > this.#userAt) this.#userAt = at;
      return;
    }
    const isLatest = this.userId === undefined || at > this.#userAt || (at === this.#userAt && userId > this.userId);
    if (!isLatest) return;
    this.userId = userId;
    this.#userAt = at;
  }

  /** `at`: the time of the event, from the origin. */
  #place(at: number, gapMs: number): void {
    if (this.#events === 0 || at > this.#end + gapMs) return this.#begin(at);
    if (at < this.#start - gapMs) return this.#placeEarlier(this.#originMs + at, gapMs);
    this.#events++;
    if (at > this.#end) this.#end = at;
    if (at >= this.#start) return;
    this.#start = at;
    // Only a start that moved can have come within the gap of its neighbour.
    const previous = this.#earlier.at(-1);
    if (previous === undefined || this.#originMs + at - previous.endMs > gapMs) return;
    this.#earlier.pop();
    this.#start = previous.startMs - this.#originMs;
    this.#events += previous.events;
  }

  /** A new last segment. */
  #begin(at: number): void {
    if (this.#events > 0) this.#earlier = [...this.segments];
    this.#start = at;
    this.#end = at;
    this.#events = 1;
  }

  /** The event is before the last segment, and further from it than the gap. */
  #placeEarlier(eventTimeMs: number, gapMs: number): void {
    const segments = [...this.#earlier];
    let index = segments.length - 1;
    while (index >= 0 && eventTimeMs < (segments[index]?.startMs ?? 0) - gapMs) index--;
    const segment = segments[index];
    if (segment === undefined || eventTimeMs > segment.endMs + gapMs) {
      segments.splice(index + 1, 0, { startMs: eventTimeMs, endMs: eventTimeMs, events: 1 });
      this.#earlier = segments;
      return;
    }
    const previous = segments[index - 1];
    const startMs = Math.min(segment.startMs, eventTimeMs);
    const whole = { startMs, endMs: Math.max(segment.endMs, eventTimeMs), events: segment.events + 1 };
    if (previous === undefined || startMs - previous.endMs > gapMs) segments[index] = whole;
    else segments.splice(index - 1, 2, { ...whole, startMs: previous.startMs, events: previous.events + whole.events });
    this.#earlier = segments;
  }

  /** Undefined when there is more to it. */
  get plain(): PlainSession | undefined {
    if (this.#events === 0 || this.#earlier.length > 0 || this.superseded.length > 0) return undefined;
    if (this.prunedEvents > 0 || this.prunedStartMs !== Infinity || this.#storedStarts.length > 1) return undefined;
    const startMs = this.#originMs + this.#start;
    if (this.#storedStarts.some((stored) => stored !== startMs)) return undefined;
    return {
      id: this.id,
      userId: this.userId,
      userAtMs: this.#originMs + this.#userAt,
      startMs,
      endMs: this.endMs,
      events: this.#events,
      types: this.eventTypes,
      isStored: this.#storedStarts.length > 0,
      changeSeq: this.changeSeq,
    };
  }

  static ofPlain(plain: PlainSession): Session {
    const session = new Session(plain.id);
    session.#restore([plain]);
    if (plain.userId !== undefined) {
      session.userId = plain.userId;
      session.#userAt = plain.userAtMs - plain.startMs;
    }
    for (const [type, count] of plain.types) session.#types.add(type, count);
    if (plain.isStored) session.#storedStarts = [plain.startMs];
    session.changeSeq = plain.changeSeq;
    return session;
  }

  encode(): Uint8Array {
    const writer = new ByteWriter();
    writer.text(this.id);
    writer.u8(this.userId === undefined ? 0 : 1);
    writer.text(this.userId ?? "");
    writer.f64(this.userId === undefined ? -Infinity : this.#originMs + this.#userAt);
    const { segments } = this;
    writer.varint(segments.length);
    for (const segment of segments) {
      writer.f64(segment.startMs);
      writer.f64(segment.endMs);
      writer.varint(segment.events);
    }
    this.#types.write(writer);
    writer.varint(this.superseded.length);
    for (const startMs of this.superseded.toSorted((a, b) => a - b)) writer.f64(startMs);
    writer.varint(this.prunedEvents);
    writer.f64(this.prunedStartMs);
    writer.varint(this.changeSeq);
    return writer.finish();
  }

  static decode(bytes: Uint8Array): Session {
    const reader = new ByteReader(bytes);
    const session = new Session(reader.text());
    const hasUser = reader.u8() === 1;
    const userId = reader.text();
    const userAtMs = reader.f64();
    const segments: SessionSegment[] = [];
    for (let left = reader.varint(); left > 0; left--) {
      segments.push({ startMs: reader.f64(), endMs: reader.f64(), events: reader.varint() });
    }
    session.#restore(segments);
    if (hasUser) {
      session.userId = userId;
      session.#userAt = userAtMs - session.#originMs;
    }
    session.#types.read(reader);
    const superseded: number[] = [];
    for (let left = reader.varint(); left > 0; left--) superseded.push(reader.f64());
    if (superseded.length > 0) session.superseded = superseded;
    session.prunedEvents = reader.varint();
    session.prunedStartMs = reader.f64();
    session.changeSeq = reader.varint();
    session.#storedStarts = segments.map(({ startMs }) => startMs);
    return session;
  }

  #restore(segments: readonly SessionSegment[]): void {
    const last = segments.at(-1);
    if (last === undefined) return;
    if (segments.length > 1) this.#earlier = segments.slice(0, -1);
    this.#originMs = last.startMs;
    this.#end = last.endMs - last.startMs;
    this.#events = last.events;
  }
}
