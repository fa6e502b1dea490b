/**
 * The books of a crash test: numbered events, which of them were sent, and which were acknowledged.
 *
 * Event `n` is all that follows from its number, so it can be made again at any time, and found again in any answer. Fifty
 * neighbours share a *cell*: one minute of event time and one value of the dimension `part`; each adds another power of two.
 *
 *   n        0 ... 49 | 50 ... 99 | ... | 250 ... 299 | 300 ... 349 | ...
 *   minute   0          0                 0             1
 *   part     p0         p1                p5            p0
 *   bit      2^(n % 50)
 *
 * A cell's `count` and `sum` tell which of its events were counted: the sum of c powers of two has c binary ones exactly when
 * no power is in it twice, and then the ones are the events.
 */
import type { EventInput } from "../../client/index.ts";
import type { MetricDefinitionInput } from "../../protocol/metric-definition.ts";
import { MINUTE_MS } from "../../protocol/windows.ts";

const CELL_EVENTS = 50;
const PARTS = 6;
export const MINUTE_EVENTS = CELL_EVENTS * PARTS;
const EVENT_EVERY_MS = MINUTE_MS / MINUTE_EVENTS;
const SESSIONS_AT_ONCE = 9;

export const cellsMetric: MetricDefinitionInput = {
  name: "cells",
  value: "properties.bit",
  aggregates: ["count", "sum"],
  dimensions: [{ name: "part", field: "properties.part" }],
};

/** A cell as an answer shows it. */
export interface Cell {
  readonly timeMs: number;
  readonly part: string;
  readonly count: number;
  readonly sum: number;
}

export interface Comparison {
  /** Acknowledged and not there. */
  readonly lost: readonly number[];
  /** There more than once; for cells, any event of the cell. */
  readonly doubled: readonly number[];
  /** There and never sent, or not of this test at all. */
  readonly unsent: readonly string[];
}

/** What was acknowledged at some moment. */
export interface Acked {
  has(n: number): boolean;
  readonly count: number;
}

export class Books implements Acked {
  readonly baseMs: number;
  #sent = 0;
  #acked = new Uint8Array(1024);
  #ackedCount = 0;

  /** `baseMs` is the event time of number 0; it is a whole minute, and long enough ago that no event is in the future. */
  constructor(baseMs: number) {
    this.baseMs = Math.floor(baseMs / MINUTE_MS) * MINUTE_MS;
  }

  get sentCount(): number {
    return this.#sent;
  }

  /** Acknowledged by now. */
  get count(): number {
    return this.#ackedCount;
  }

  get endMs(): number {
    return this.timeOf(this.#sent - 1) + 1;
  }

  /** So many new numbers; from here on they count as sent. */
  take(count: number): number[] {
    const first = this.#sent;
    this.#sent += count;
    return Array.from({ length: count }, (_, index) => first + index);
  }

  ack(numbers: Iterable<number>): void {
    if (this.#acked.length < this.#sent) {
      const larger = new Uint8Array(this.#sent * 2);
      larger.set(this.#acked);
      this.#acked = larger;
    }
    for (const n of numbers) {
      if (this.#acked[n] === 1) continue;
      this.#acked[n] = 1;
      this.#ackedCount++;
    }
  }

  has(n: number): boolean {
    return this.#acked[n] === 1;
  }

  /** What is acknowledged now: later acks do not change it. */
  copy(): Acked {
    const acked = this.#acked.slice();
    return { has: (n) => acked[n] === 1, count: this.#ackedCount };
  }

  timeOf(n: number): number {
    return this.baseMs + n * EVENT_EVERY_MS;
  }

  event(n: number): EventInput {
    return {
      eventId: idOf(n),
      sessionId: `s-${Math.floor(n / 2_000)}-${n % SESSIONS_AT_ONCE}`,
      eventType: "numbered",
      eventCategory: "test",
      timestamp: this.timeOf(n),
      properties: { n, part: `p${Math.floor(n / CELL_EVENTS) % PARTS}`, bit: 2 ** (n % CELL_EVENTS) },
      context: { userAgent: "", ipAddress: "", deviceType: "", platform: "" },
      source: "crash-test",
      version: "1",
      environment: "test",
    };
  }

  /** Compares an answer's cells with what has to be in it: all of `acked` in [from, to), nothing but what is sent by now. */
  compareCells(cells: Iterable<Cell>, acked: Acked, from: number, to: number): Comparison {
    const present = new Map<number, number>();
    const doubled: number[] = [];
    const unsent: string[] = [];
    for (const { timeMs, part, count, sum } of cells) {
      const first = ((timeMs - this.baseMs) / MINUTE_MS) * MINUTE_EVENTS + Number(part.slice(1)) * CELL_EVENTS;
      const bits = bitsOf(sum);
      if (!Number.isInteger(first) || first < 0) unsent.push(`a cell at ${timeMs}, ${part}`);
      // Which one it is cannot be told: the powers of two have carried over.
      else if (bits.length !== count) doubled.push(first);
      if (bits.length === count) for (const bit of bits) present.set(first + bit, 1);
    }
    // Of a cell with a double its other events are in doubt: they are not lost for that.
    const inDoubt = new Set(doubled.map(cellOf));
    const { lost, ...rest } = this.#compare(present, doubled, unsent, acked, from, to);
    return { ...rest, lost: lost.filter((n) => !inDoubt.has(cellOf(n))) };
  }

  /** Compares how often each id was found. */
  compareIds(found: Iterable<readonly [eventId: string, times: number]>, acked: Acked, from: number, to: number): Comparison {
    const present = new Map<number, number>();
    const doubled: number[] = [];
    const unsent: string[] = [];
    for (const [eventId, times] of found) {
      const n = Number(eventId.slice(2));
      if (eventId !== idOf(n)) unsent.push(eventId);
      present.set(n, times);
      if (times > 1) doubled.push(n);
    }
    return this.#compare(present, doubled, unsent, acked, from, to);
  }

  #compare(
    present: ReadonlyMap<number, number>,
    doubled: number[],
    unsent: string[],
    acked: Acked,
    from: number,
    to: number,
  ): Comparison {
    const lost: number[] = [];
    for (let n = from; n < to; n++) if (acked.has(n) && !present.has(n)) lost.push(n);
    for (const n of present.keys()) if (n >= this.#sent) unsent.push(idOf(n));
    return { lost, doubled, unsent };
  }
}

function cellOf(n: number): number {
  return Math.floor(n / CELL_EVENTS);
}

function idOf(n: number): string {
  return `e-${n}`;
}

/** The places of the ones of a whole number below 2^53. */
function bitsOf(sum: number): number[] {
  const bits: number[] = [];
  for (let bit = 0, rest = sum; rest > 0; bit++, rest = Math.floor(rest / 2)) if (rest % 2 === 1) bits.push(bit);
  return bits;
}
