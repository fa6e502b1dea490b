/** Events per second over the whole window, also over the part of it that has not passed yet. */
import type { Aggregate } from "./aggregate.ts";
import { eventCounting, EventCounts, type EventCount } from "./count.ts";
import { SharedStates } from "./state-column.ts";

export const rate: Aggregate<EventCount> = {
  ...eventCounting,
  name: "rate",
  outputs: ["rate"],
  shares: "count",
  newColumn: (shared) => (shared === undefined ? new EventCounts() : new SharedStates(shared)),
  finish: (state, spanMs) => [(state.events * 1000) / spanMs],
};
