/**
 * The columns that the plain reader fills. What nobody said to want beforehand (the decoded events, other fields) the reference
 * reads when somebody asks, from the frame's bytes, which must stay as they are for so long.
 */
import type { EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import type { FieldValue } from "./field-path.ts";
import type { FrameBytes } from "./interner.ts";
import { sliceEvent } from "./msgpack-slices.ts";
import { TextColumn } from "./text-column.ts";
import { ACCEPTED } from "./verdicts.ts";

/** Event time, start and length of the id, start of the event, partition, verdict. */
const NUMBER_BYTES_PER_ROW = 8 + 4 + 4 + 4 + 2 + 1;

export class PlainColumns implements EventColumns {
  readonly count: number;
  readonly verdicts: Uint8Array;
  wrongPaths: ReadonlyMap<number, string> = nothingWrong;
  /** In the frame itself. */
  readonly eventIds: TextColumn;
  readonly sessionIds: string[];
  readonly userIds: (string | undefined)[];
  readonly eventTypes: string[];
  readonly eventTimesMs: Float64Array;
  readonly partitions: Uint16Array;
  /** Where each event begins in the frame. */
  readonly starts: Int32Array;
  /** Where the definitions of record shapes begin, ascending. */
  definitions: readonly number[] = [];
  readonly derived = new Map<object, unknown>();
  /** The wanted columns, by their number. */
  readonly wanted: FieldValue[][] = [];
  readonly #request: ReadRequest;
  readonly #columnOf: ReadonlyMap<string, number>;
  /** Rows that the reference has refused. */
  readonly #refused: number[] = [];
  readonly #accepted = new Map<string, FieldValue[]>();
  #reference: EventColumns | undefined;

  constructor(request: ReadRequest, frame: FrameBytes, count: number, columnOf: ReadonlyMap<string, number>) {
    this.#request = request;
    this.#columnOf = columnOf;
    this.count = count;
    // One piece of memory for all numbers of the frame; zeros, so that every row is ACCEPTED.
    const numbers = new ArrayBuffer(count * NUMBER_BYTES_PER_ROW);
    this.eventTimesMs = new Float64Array(numbers, 0, count);
    const starts = new Int32Array(numbers, count * 8, count);
    const lengths = new Int32Array(numbers, count * 12, count);
    this.eventIds = new TextColumn(frame.bytes, frame.view, starts, lengths);
    this.starts = new Int32Array(numbers, count * 16, count);
    this.partitions = new Uint16Array(numbers, count * 20, count);
    this.verdicts = new Uint8Array(numbers, count * 22, count);
    this.sessionIds = new Array<string>(count).fill("");
    this.userIds = new Array<string | undefined>(count).fill(undefined);
    this.eventTypes = new Array<string>(count).fill("");
    for (let column = 0; column < columnOf.size; column++) this.wanted.push(new Array<FieldValue>(count).fill(undefined));
  }

  get events(): readonly unknown[] {
    return this.#read().events;
  }

  field(path: string): readonly FieldValue[] {
    switch (path) {
      case "eventId":
        return this.#ofAccepted(path, this.eventIds.texts());
      case "sessionId":
        return this.#ofAccepted(path, this.sessionIds);
      case "userId":
        return this.#ofAccepted(path, this.userIds);
      case "eventType":
        return this.#ofAccepted(path, this.eventTypes);
      default:
        return this.wanted[this.#columnOf.get(path) ?? -1] ?? this.#read().field(path);
    }
  }

  /** Refused events have no fields. */
  #ofAccepted(path: string, column: readonly FieldValue[]): readonly FieldValue[] {
    if (this.#refused.length === 0) return column;
    let accepted = this.#accepted.get(path);
    if (accepted === undefined) {
      accepted = column.slice();
      for (const row of this.#refused) accepted[row] = undefined;
      this.#accepted.set(path, accepted);
    }
    return accepted;
  }

  /**
   * Takes a row from the columns of its event alone, which lies in the frame from `from` to before `to`; false: they have an id
   * that does not stand there as it is.
   */
  takeRow(row: number, alone: EventColumns, from: number, to: number): boolean {
    const { bytes, starts, lengths } = alone.eventIds;
    const length = lengths[0] ?? 0;
    const at = length === 0 ? 0 : findBytes(this.#request.bytes, from, to, bytes, starts[0] ?? 0, length);
    if (at < 0) return false;
    this.eventIds.starts[row] = at;
    this.eventIds.lengths[row] = length;
    this.sessionIds[row] = alone.sessionIds[0] ?? "";
    this.userIds[row] = alone.userIds[0];
    this.eventTypes[row] = alone.eventTypes[0] ?? "";
    this.eventTimesMs[row] = alone.eventTimesMs[0] ?? 0;
    this.partitions[row] = alone.partitions[0] ?? 0;
    const verdict = alone.verdicts[0] ?? ACCEPTED;
    this.verdicts[row] = verdict;
    if (verdict !== ACCEPTED) this.#refused.push(row);
    const path = alone.wrongPaths.get(0);
    if (path !== undefined) this.wrongPaths = new Map([...this.wrongPaths, [row, path]]);
    for (const [wanted, column] of this.#columnOf) {
      const values = this.wanted[column];
      if (values !== undefined) values[row] = alone.field(wanted)[0];
    }
    return true;
  }

  raw(row: number): Uint8Array {
    return sliceEvent(this.#request.bytes, this.definitions, this.starts[row] ?? 0);
  }

  #read(): EventColumns {
    return (this.#reference ??= readEvents(this.#request));
  }
}

const nothingWrong: ReadonlyMap<number, string> = new Map();

/** Where `text[start .. start + length]` stands first in `bytes[from .. to]`; -1: nowhere. */
function findBytes(bytes: Uint8Array, from: number, to: number, text: Uint8Array, start: number, length: number): number {
  for (let at = from; at + length <= to; at++) {
    let same = 0;
    while (same < length && bytes[at + same] === text[start + same]) same++;
    if (same === length) return at;
  }
  return -1;
}
