/** How many events there were, whatever their value; `rate` shares the state. */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { Aggregate } from "./aggregate.ts";

export interface EventCount {
  events: number;
}

/** What `count` and `rate` have in common. */
export const eventCounting = {
  bound: { kind: "exact" },
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
} as const;

export const count: Aggregate<EventCount> = {
  ...eventCounting,
  name: "count",
  outputs: ["count"],
  finish: (state) => [state.events],
};
