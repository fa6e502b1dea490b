/** Events per second over the whole window, also over the part of it that has not passed yet. */
import type { Aggregate } from "./aggregate.ts";
import { eventCounting, type EventCount } from "./count.ts";

export const rate: Aggregate<EventCount> = {
  ...eventCounting,
  name: "rate",
  outputs: ["rate"],
  finish: (state, spanMs) => [(state.events * 1000) / spanMs],
};
