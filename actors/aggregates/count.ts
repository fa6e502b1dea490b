/** How many events there were, whatever their value; `rate` shares the state. */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { Aggregate } from "./aggregate.ts";
import { grown, NO_NUMBERS, type RowValues, type StateColumn } from "./state-column.ts";

export interface EventCount {
  events: number;
}

export class EventCounts implements StateColumn {
  #events = NO_NUMBERS;

  eventsAt(place: number): number {
    return this.#events[place] ?? 0;
  }

  grow(capacity: number): void {
    this.#events = grown(this.#events, capacity, 0);
  }

  addRows(places: Int32Array, _rows: RowValues, _indexes: Int32Array, from: number, to: number): void {
    const events = this.#events;
    for (let at = from; at < to; at++) {
      const place = places[at] ?? 0;
      events[place] = (events[place] ?? 0) + 1;
    }
  }

  merge(place: number, from: EventCounts, fromPlace: number): void {
    this.#events[place] = this.eventsAt(place) + from.eventsAt(fromPlace);
  }

  write(place: number, writer: ByteWriter): void {
    writer.varint(this.eventsAt(place));
  }

  read(place: number, reader: ByteReader): void {
    this.#events[place] = reader.varint();
  }

  clear(place: number): void {
    this.#events[place] = 0;
  }

  get placeBytes(): number {
    return 8;
  }

  objectBytesAt(): number {
    return 0;
  }

  stateAt(place: number): EventCount {
    return { events: this.eventsAt(place) };
  }
}

/** What `count` and `rate` have in common. */
export const eventCounting = {
  bound: { kind: "exact" },
  reads: "nothing",
  empty: (): EventCount => ({ events: 0 }),
  add(state: EventCount): void {
    state.events++;
  },
  merge(into: EventCount, from: EventCount): void {
    into.events += from.events;
  },
  write(state: EventCount, writer: ByteWriter): void {
    writer.varint(state.events);
  },
  read: (reader: ByteReader): EventCount => ({ events: reader.varint() }),
  sizeBytes: (): number => 32,
  newColumn: (): StateColumn => new EventCounts(),
} as const;

export const count: Aggregate<EventCount> = {
  ...eventCounting,
  name: "count",
  outputs: ["count"],
  finish: (state) => [state.events],
};
