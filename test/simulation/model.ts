/**
 * What the server should know, the naive way. Two sources, held against each other:
 *
 *   what was said     each ack that left the server, event by event
 *   what is on disk   each record of a journal from the moment when it cannot be lost any more
 *
 * From these follow the ids that count, the counts of each metric by hour and series, and the ledger.
 */
import { readEvents } from "../../protocol/event-reader.ts";
import type { AckFrame } from "../../protocol/frames.ts";
import { openRecord } from "../../workers/sealed-record.ts";
import { ACCEPTED, codeOf, isDeadLetter, kindOf, type VerdictKind } from "../../protocol/verdicts.ts";
import { HOUR_MS } from "../../protocol/windows.ts";
import { ALLOWED_LATENESS_MS, type SimEvent } from "./events.ts";

/** The events of a record in a journal, each with its verdict. */
export interface DurableRecord {
  readonly eventIds: readonly string[];
  readonly verdicts: readonly number[];
}

/** Of one metric, hour and series. */
export interface Totals {
  count: number;
  sum: number;
  readonly users: Set<string>;
}

export class Model {
  /** All that was ever sent, by id. */
  readonly sent = new Map<string, SimEvent>();
  /** Ids that an ack called accepted or duplicate: they count. */
  readonly counted = new Set<string>();
  readonly #acceptedIds = new Set<string>();
  readonly #answered = new Set<string>();
  readonly #records = new Map<string, DurableRecord>();
  readonly ledger: Record<VerdictKind, number> = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  /** Accepted events on disk: all of them, and by series. */
  readonly durableBySeries = new Map<string, number>();
  #newestMs = -Infinity;
  acks = 0;

  get unanswered(): string[] {
    return [...this.sent.keys()].filter((id) => !this.#answered.has(id));
  }

  get received(): number {
    const { accepted, duplicate, late, invalid } = this.ledger;
    return accepted + duplicate + late + invalid;
  }

  send(event: SimEvent): void {
    this.sent.set(event.eventId, event);
    if (!event.broken) this.#newestMs = Math.max(this.#newestMs, event.timeMs);
  }

  /** A record of a host's journal is on disk. Returns what is wrong with it. */
  durable(host: number, offset: number, bytes: Uint8Array, partitionCount: number): string | undefined {
    const record = openRecord(bytes);
    if (record.kind !== "frame") return undefined;
    const { format, tenant, ingestTimeMs } = record;
    const verdicts = [...record.verdicts];
    for (const verdict of verdicts) this.ledger[kindOf(verdict)]++;
    const request = { format, bytes: record.bytes, tenant, ingestTimeMs, partitionCount };
    const eventIds = record.decodable ? readEvents(request).eventIds.texts() : [""];
    this.#records.set(`${host}:${offset}`, { eventIds, verdicts });
    for (const [index, id] of eventIds.entries()) {
      if (verdicts[index] !== ACCEPTED) continue;
      if (this.#acceptedIds.has(id)) return `${id} was accepted twice, now in record ${offset} of host ${host}`;
      this.#acceptedIds.add(id);
      const event = this.sent.get(id);
      if (event === undefined) return `${id} was never sent`;
      for (const series of ["", seriesOf(event)]) {
        this.durableBySeries.set(series, (this.durableBySeries.get(series) ?? 0) + 1);
      }
    }
    return undefined;
  }

  /** An ack leaves the server. Returns what is wrong with it. */
  acked(events: readonly SimEvent[], ack: AckFrame): string | undefined {
    this.acks++;
    if (ack.totalEvents !== events.length) return `an ack of ${events.length} events speaks of ${ack.totalEvents}`;
    const results = ack.results ?? [];
    if (results.some(({ index }, at) => index <= (results[at - 1]?.index ?? -1))) return "results are not in input order";
    const onDisk = new Map<string, number[]>();
    for (const receipt of ack.receipt.split(",")) {
      const record = this.#records.get(receipt);
      if (record === undefined) return `an ack was sent for record ${receipt}, which is not on disk`;
      record.eventIds.forEach((id, index) => onDisk.set(id, [...(onDisk.get(id) ?? []), record.verdicts[index] ?? -1]));
    }
    for (const [index, event] of events.entries()) {
      const result = results.find((each) => each.index === index);
      const verdict = onDisk.get(event.eventId)?.shift();
      if (verdict === undefined) return `${event.eventId} was acknowledged, but is in none of ${ack.receipt}`;
      if (result?.code !== codeOf(verdict)) return `${event.eventId} was told ${result?.code}, the journal says ${verdict}`;
      if (result !== undefined && result.eventId !== event.eventId) return `result ${index} names ${result.eventId}`;
      const wrong = this.#answer(event, verdict);
      if (wrong !== undefined) return wrong;
    }
    const failed = events.length - ack.successfulEvents;
    return failed === ack.failedEvents ? undefined : `${failed} events failed, the ack says ${ack.failedEvents}`;
  }

  #answer(event: SimEvent, verdict: number): string | undefined {
    this.#answered.add(event.eventId);
    const kind = kindOf(verdict);
    if (event.broken !== (kind === "invalid")) return `${event.eventId} was told ${codeOf(verdict)}`;
    if (kind === "late" && event.timeMs >= this.#newestMs - ALLOWED_LATENESS_MS) return `${event.eventId} is not late`;
    if (!isDeadLetter(verdict)) this.counted.add(event.eventId);
    return undefined;
  }

  /** Totals of the events that count, by hour and, for a metric with dimensions, series. */
  totals(seriesOfEvent: (event: SimEvent) => string): Map<string, Totals> {
    const totals = new Map<string, Totals>();
    for (const id of this.counted) {
      const event = this.sent.get(id);
      if (event === undefined) continue;
      const key = `${Math.floor(event.timeMs / HOUR_MS) * HOUR_MS} ${seriesOfEvent(event)}`;
      let each = totals.get(key);
      if (each === undefined) totals.set(key, (each = { count: 0, sum: 0, users: new Set() }));
      each.count++;
      each.sum += event.value;
      each.users.add(event.userId);
    }
    return totals;
  }
}

export function seriesOf(event: SimEvent): string {
  return JSON.stringify([event.eventType, event.country]);
}
