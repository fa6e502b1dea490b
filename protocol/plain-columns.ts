/**
 * The columns that the plain reader fills. What nobody said to want beforehand (the decoded events, other fields) the reference
 * reads when somebody asks, from the frame's bytes, which must stay as they are for so long.
 */
import type { EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import type { FieldValue } from "./field-path.ts";
import type { FrameBytes } from "./interner.ts";
import { eventSlicer } from "./msgpack-slices.ts";
import { TextColumn } from "./text-column.ts";

/** Event time, start and length of the id, partition, verdict. */
const NUMBER_BYTES_PER_ROW = 8 + 4 + 4 + 2 + 1;

export class PlainColumns implements EventColumns {
  readonly count: number;
  readonly verdicts: Uint8Array;
  readonly wrongPaths: ReadonlyMap<number, string> = nothingWrong;
  /** In the frame itself, all of them ASCII. */
  readonly eventIds: TextColumn;
  readonly sessionIds: string[];
  readonly userIds: (string | undefined)[];
  readonly eventTypes: string[];
  readonly eventTimesMs: Float64Array;
  readonly partitions: Uint16Array;
  readonly derived = new Map<object, unknown>();
  /** The wanted columns, by their number. */
  readonly wanted: FieldValue[][] = [];
  readonly #request: ReadRequest;
  readonly #columnOf: ReadonlyMap<string, number>;
  #reference: EventColumns | undefined;
  #slice: ((row: number) => Uint8Array) | undefined;

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
    this.partitions = new Uint16Array(numbers, count * 16, count);
    this.verdicts = new Uint8Array(numbers, count * 18, count);
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
        return this.eventIds.texts();
      case "sessionId":
        return this.sessionIds;
      case "userId":
        return this.userIds;
      case "eventType":
        return this.eventTypes;
      default:
        return this.wanted[this.#columnOf.get(path) ?? -1] ?? this.#read().field(path);
    }
  }

  raw(row: number): Uint8Array {
    this.#slice ??= eventSlicer(this.#request.bytes);
    return this.#slice(row);
  }

  #read(): EventColumns {
    return (this.#reference ??= readEvents(this.#request));
  }
}

const nothingWrong: ReadonlyMap<number, string> = new Map();
