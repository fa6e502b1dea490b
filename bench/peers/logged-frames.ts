/** For peers that keep a log and count nothing: the same frames that Weir gets, and the count of a log that is read back. */
import { Unpackr } from "msgpackr";
import { encodePublish } from "../../protocol/frames.ts";
import { sortAnswer, type AnswerRow, type WorkloadEvent } from "../workload.ts";

export function encodeLogged(events: readonly WorkloadEvent[]): Uint8Array {
  return encodePublish(1, events);
}

/** Counts all events of the frames that it is given. */
export class LogCount {
  readonly #counts = new Map<string, { eventType: string; country: string; count: number }>();
  readonly #reader = new Unpackr({ useRecords: true, mapsAsObjects: true });

  add(frame: Uint8Array): void {
    const { events } = this.#reader.unpack(frame) as { events: readonly WorkloadEvent[] };
    for (const { eventType, context } of events) {
      const { country } = context.location;
      const key = `${eventType}\t${country}`;
      const row = this.#counts.get(key);
      if (row === undefined) this.#counts.set(key, { eventType, country, count: 1 });
      else row.count++;
    }
  }

  answer(): AnswerRow[] {
    return sortAnswer([...this.#counts.values()]);
  }
}
