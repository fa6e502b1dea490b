/**
 * The session actor: what one session did, as separate visits ("segments") with more than `gapMs` between them.
 * Segments depend on the set of events only, never on their order: an event joins every segment that it is within the gap
 * of, and may so merge two. A closed session reopens when a late event moves its end.
 *
 *   events   x  x x        x         gap = 30 min
 *   segments [------]      [x]       a late event in between within the gap of both: [----------------]
 */
import { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import { flatText } from "../protocol/flat-text.ts";
import { limits } from "../protocol/limits.ts";
import { OTHER_SERIES } from "../protocol/metric-definition.ts";

export interface SessionSegment {
  startMs: number;
  endMs: number;
  events: number;
}

export class Session {
  readonly id: string;
  /** The user of the latest event that names one; of two at the same time the greater text. */
  userId: string | undefined;
  #userAtMs = -Infinity;
  /** Ascending; never empty after the first event. */
  segments: SessionSegment[] = [];
  readonly eventTypes = new Map<string, number>();
  /** Starts that were in the store and are no segment's start any more: their warehouse rows are void. */
  superseded: number[] = [];
  /** The starts as they are in the store. Starts that come and go between two snapshots have no rows to void. */
  #storedStarts: number[] = [];
  /** Events in segments past the limit. */
  prunedEvents = 0;
  prunedStartMs = Infinity;
  /** Changed since the last snapshot. */
  dirty = false;
  /** On the wheel of `sessions.ts`. */
  watched = false;
  /** Its number in the partition's change feed; 0 before the first. */
  changeSeq = 0;

  constructor(id: string) {
    this.id = id;
  }

  get startMs(): number {
    return Math.min(this.prunedStartMs, this.segments[0]?.startMs ?? Infinity);
  }

  get endMs(): number {
    return this.segments.at(-1)?.endMs ?? -Infinity;
  }

  get events(): number {
    return this.segments.reduce((sum, segment) => sum + segment.events, this.prunedEvents);
  }

  /** Open: the watermark is not more than the gap past the last event. */
  isOpen(watermarkMs: number, gapMs: number): boolean {
    return watermarkMs - this.endMs <= gapMs;
  }

  apply(eventTimeMs: number, eventType: string, userId: string | undefined, gapMs: number): void {
    this.#place(eventTimeMs, gapMs);
    const count = this.eventTypes.get(eventType);
    if (count !== undefined) this.eventTypes.set(eventType, count + 1);
    else this.#countNewType(eventType);
    if (
      userId !== undefined &&
      (eventTimeMs > this.#userAtMs || (eventTimeMs === this.#userAtMs && userId > (this.userId ?? "")))
    ) {
      this.userId = userId === this.userId ? this.userId : flatText(userId);
      this.#userAtMs = eventTimeMs;
    }
    this.dirty = true;
  }

  /** Before it is written to the store: notes which starts of the last time are gone, and keeps within the limits. */
  settle(): void {
    const starts = new Set(this.segments.map(({ startMs }) => startMs));
    this.superseded.push(...this.#storedStarts.filter((startMs) => !starts.has(startMs)));
    this.#prune();
    this.#storedStarts = this.segments.map(({ startMs }) => startMs);
  }

  /**
   * Keeps the latest segments and voided starts within their limits. Age alone is no reason to let one go: the warehouse may
   * not have its row yet, and a replay of old data moves the watermark past all of them between two snapshots.
   */
  #prune(): void {
    while (this.segments.length > limits.sessionSegmentsMax) {
      const oldest = this.segments.shift();
      this.prunedEvents += oldest?.events ?? 0;
      this.prunedStartMs = Math.min(this.prunedStartMs, oldest?.startMs ?? Infinity);
    }
    this.superseded.splice(0, this.superseded.length - limits.sessionSegmentsMax);
  }

  #countNewType(eventType: string): void {
    const type = this.eventTypes.size < limits.sessionTypesMax ? flatText(eventType) : OTHER_SERIES;
    this.eventTypes.set(type, (this.eventTypes.get(type) ?? 0) + 1);
  }

  #place(eventTimeMs: number, gapMs: number): void {
    const segments = this.segments;
    // Nearly always the event belongs to the last segment or after it.
    let at = segments.length - 1;
    while (at >= 0 && eventTimeMs < (segments[at]?.startMs ?? 0) - gapMs) at--;
    const segment = segments[at];
    if (segment === undefined || eventTimeMs > segment.endMs + gapMs) {
      segments.splice(at + 1, 0, { startMs: eventTimeMs, endMs: eventTimeMs, events: 1 });
      return;
    }
    segment.events++;
    if (eventTimeMs > segment.endMs) segment.endMs = eventTimeMs;
    if (eventTimeMs >= segment.startMs) return;
    segment.startMs = eventTimeMs;
    // Only a start that moved can have come within the gap of its neighbour; the next segment is out of reach by the choice above.
    const previous = segments[at - 1];
    if (previous === undefined || eventTimeMs - previous.endMs > gapMs) return;
    previous.endMs = segment.endMs;
    previous.events += segment.events;
    segments.splice(at, 1);
  }

  encode(): Uint8Array {
    const writer = new ByteWriter();
    writer.text(this.id);
    writer.u8(this.userId === undefined ? 0 : 1);
    writer.text(this.userId ?? "");
    writer.f64(this.#userAtMs);
    writer.varint(this.segments.length);
    for (const segment of this.segments) {
      writer.f64(segment.startMs);
      writer.f64(segment.endMs);
      writer.varint(segment.events);
    }
    writer.varint(this.eventTypes.size);
    for (const [type, count] of [...this.eventTypes].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      writer.text(type);
      writer.varint(count);
    }
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
    if (hasUser) session.userId = userId;
    session.#userAtMs = reader.f64();
    for (let left = reader.varint(); left > 0; left--) {
      session.segments.push({ startMs: reader.f64(), endMs: reader.f64(), events: reader.varint() });
    }
    for (let left = reader.varint(); left > 0; left--) session.eventTypes.set(reader.text(), reader.varint());
    for (let left = reader.varint(); left > 0; left--) session.superseded.push(reader.f64());
    session.prunedEvents = reader.varint();
    session.prunedStartMs = reader.f64();
    session.changeSeq = reader.varint();
    session.#storedStarts = session.segments.map(({ startMs }) => startMs);
    return session;
  }
}
