/**
 * The columns that the plain reader fills: all that is flat lies in one piece of memory, in the order of `wasm/read-columns.ts`, and
 * is copied in one go from there. What nobody said to want beforehand (the decoded events, other fields) the reference
 * reads when somebody asks, from the frame's bytes, which must stay as they are for so long.
 */
import { assert } from "./assert.ts";
import type { ColumnsPool } from "./columns-pool.ts";
import { FRAME_FORMATS, type EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import { FieldColumn, UNKNOWN } from "./field-column.ts";
import type { FieldValue } from "./field-path.ts";
import { isAscii, noFrame, textOf, type FrameBytes } from "./interner.ts";
import { sliceEvent } from "./msgpack-slices.ts";
import { FrameShapes, plainListOfOne } from "./plain-slicer.ts";
import { TextColumn } from "./text-column.ts";
import { ACCEPTED } from "./verdicts.ts";

/** Event time, start and length of the id, start of the event, partition, verdict. */
const NUMBER_BYTES_PER_ROW = 8 + 4 + 4 + 4 + 2 + 1;
/** The columns that every frame has kinds for, in front of the wanted ones; the first two have hashes. */
const SESSION_COLUMN = 0;
const USER_COLUMN = 1;
const TYPE_COLUMN = 2;
const FIRST_WANTED_COLUMN = 3;
const NO_COLUMN = -1;
const HASH_BYTES_PER_ROW = 2 * 8;
const VIEW_WORDS_MIN = 128;

export class PlainColumns implements EventColumns {
  readonly count: number;
  readonly verdicts: Uint8Array;
  wrongPaths: ReadonlyMap<number, string> = nothingWrong;
  /** In the frame itself. */
  eventIds: TextColumn;
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
  /** The wanted columns, by their number; where kinds say NUMBER, the value is in `numbers`. */
  readonly wanted: FieldValue[][] = [];
  /** Of all columns, one after the other: as `FieldColumn` has them. `numbers` are of the wanted ones. */
  readonly kinds: Int32Array;
  readonly hashes: Uint32Array;
  readonly numbers: Float64Array;
  /** All of these numbers. */
  readonly #flat: Int32Array;
  #request: ReadRequest;
  frame: FrameBytes;
  readonly #pool: ColumnsPool;
  #isSpare = false;
  /** Something was derived from columns that the reference has read, and not from those here. */
  #derivesForeign = false;
  readonly #columnOf: ReadonlyMap<string, number>;
  /** Rows that the reference has refused. */
  readonly #refused: number[] = [];
  readonly #accepted = new Map<string, FieldValue[]>();
  readonly #values = new Map<string, FieldValue[]>();
  readonly #fieldColumns: (FieldColumn | undefined)[] = [];
  #reference: EventColumns | undefined;
  #shapes: FrameShapes | undefined;

  private constructor(
    request: ReadRequest,
    frame: FrameBytes,
    count: number,
    columnOf: ReadonlyMap<string, number>,
    pool: ColumnsPool,
  ) {
    this.#request = request;
    this.frame = frame;
    this.#columnOf = columnOf;
    this.#pool = pool;
    this.count = count;
    const wanted = columnOf.size;
    const kinds = count * (FIRST_WANTED_COLUMN + wanted);
    const bytes = count * (NUMBER_BYTES_PER_ROW + HASH_BYTES_PER_ROW + 8 * wanted) + 4 * kinds;
    const memory = new ArrayBuffer((bytes + 3) & ~3);
    this.#flat = new Int32Array(memory);
    let at = 0;
    const take = (bytes: number): number => (at += bytes) - bytes;
    this.eventTimesMs = new Float64Array(memory, take(8 * count), count);
    this.numbers = new Float64Array(memory, take(8 * count * wanted), count * wanted);
    const starts = new Int32Array(memory, take(4 * count), count);
    const lengths = new Int32Array(memory, take(4 * count), count);
    this.eventIds = new TextColumn(frame.bytes, frame.view, starts, lengths);
    this.starts = new Int32Array(memory, take(4 * count), count);
    this.kinds = new Int32Array(memory, take(4 * kinds), kinds);
    this.hashes = new Uint32Array(memory, take(HASH_BYTES_PER_ROW * count), 4 * count);
    this.partitions = new Uint16Array(memory, take(2 * count), count);
    this.verdicts = new Uint8Array(memory, at, count);
    this.sessionIds = new Array<string>(count).fill("");
    this.userIds = new Array<string | undefined>(count).fill(undefined);
    this.eventTypes = new Array<string>(count).fill("");
    for (let column = 0; column < columnOf.size; column++) this.wanted.push(new Array<FieldValue>(count).fill(undefined));
  }

  /** Empty columns, used ones if there are some. `columnOf`: the number of each wanted path; the same instance as long as they are. */
  static of(
    request: ReadRequest,
    frame: FrameBytes,
    count: number,
    columnOf: ReadonlyMap<string, number>,
    pool: ColumnsPool,
  ): PlainColumns {
    const spare = pool.take(columnOf, count);
    if (spare === undefined) return new PlainColumns(request, frame, count, columnOf, pool);
    spare.#reopen(request, frame);
    return spare;
  }

  #reopen(request: ReadRequest, frame: FrameBytes): void {
    this.#isSpare = false;
    this.#request = request;
    this.frame = frame;
    this.eventIds = new TextColumn(frame.bytes, frame.view, this.eventIds.starts, this.eventIds.lengths);
  }

  /**
   * Takes the columns of the frame from the reader's memory, where they begin at `columnsAt`, and where those of values begin at
   * `firstCell` as cells: the number of one of `values`, or -1 - the place of a text in the frame.
   */
  take(memory: Int32Array, columnsAt: number, firstCell: number, values: readonly FieldValue[]): void {
    const flat = this.#flat;
    // A view costs more than to copy the words of few rows.
    if (flat.length > VIEW_WORDS_MIN) flat.set(memory.subarray(columnsAt, columnsAt + flat.length));
    else for (let word = 0; word < flat.length; word++) flat[word] = memory[columnsAt + word] ?? 0;
    const { count, frame } = this;
    takeValues(this.sessionIds as FieldValue[], memory, firstCell + SESSION_COLUMN * count, values, frame);
    takeValues(this.userIds as FieldValue[], memory, firstCell + USER_COLUMN * count, values, frame);
    takeValues(this.eventTypes as FieldValue[], memory, firstCell + TYPE_COLUMN * count, values, frame);
    let at = firstCell + FIRST_WANTED_COLUMN * count;
    for (let column = 0; column < this.wanted.length; column++, at += count) {
      takeValues(this.wanted[column] ?? [], memory, at, values, frame);
    }
  }

  release(): void {
    assert(!this.#isSpare, "columns are given back once");
    this.#isSpare = true;
    this.#request = noRequest;
    this.frame = noFrame;
    this.wrongPaths = nothingWrong;
    this.definitions = [];
    this.#shapes = undefined;
    this.#reference = undefined;
    this.#refused.length = 0;
    this.#accepted.clear();
    this.#values.clear();
    if (this.#derivesForeign) this.derived.clear();
    this.#derivesForeign = false;
    this.#pool.give(this.#columnOf, this);
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
        return this.#wantedValues(path) ?? this.#read().field(path);
    }
  }

  column(path: string): FieldColumn {
    const number = this.#columnNumber(path);
    if (number === NO_COLUMN) {
      this.#derivesForeign = true;
      return FieldColumn.of(this.field(path));
    }
    return (this.#fieldColumns[number] ??= this.#makeColumn(number));
  }

  #makeColumn(number: number): FieldColumn {
    const { kinds, numbers, hashes, count } = this;
    const firstKind = number * count;
    const firstHash = 2 * firstKind;
    switch (number) {
      case SESSION_COLUMN:
        return new FieldColumn(this.sessionIds, kinds, firstKind, numbers, 0, hashes, firstHash);
      case USER_COLUMN:
        return new FieldColumn(this.userIds, kinds, firstKind, numbers, 0, hashes, firstHash);
      case TYPE_COLUMN:
        return new FieldColumn(this.eventTypes, kinds, firstKind);
      default: {
        const wanted = number - FIRST_WANTED_COLUMN;
        return new FieldColumn(this.wanted[wanted] ?? [], kinds, firstKind, numbers, wanted * count);
      }
    }
  }

  #columnNumber(path: string): number {
    switch (path) {
      case "sessionId":
        return SESSION_COLUMN;
      case "userId":
        return USER_COLUMN;
      case "eventType":
        return TYPE_COLUMN;
      default:
        return this.#columnOf.has(path) ? FIRST_WANTED_COLUMN + (this.#columnOf.get(path) ?? 0) : NO_COLUMN;
    }
  }

  /** With the numbers among the others: made for those who ask for values as they are. */
  #wantedValues(path: string): readonly FieldValue[] | undefined {
    if (!this.#columnOf.has(path)) return undefined;
    let values = this.#values.get(path);
    if (values === undefined) {
      const column = this.column(path);
      values = Array.from({ length: this.count }, (_, row) => column.value(row));
      this.#values.set(path, values);
    }
    return values;
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
    const at = length === 0 ? 0 : findText(this.#request.bytes, from, to, bytes, starts[0] ?? 0, length);
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
    if (path !== undefined) this.#setWrongPath(row, path);
    for (const [wanted, column] of this.#columnOf) {
      const values = this.wanted[column];
      if (values !== undefined) values[row] = alone.field(wanted)[0];
    }
    // What was known of it came from a reading that was given up.
    for (let at = row; at < this.kinds.length; at += this.count) this.kinds[at] = UNKNOWN;
    return true;
  }

  #setWrongPath(row: number, path: string): void {
    if (this.wrongPaths === nothingWrong) this.wrongPaths = new Map();
    (this.wrongPaths as Map<number, string>).set(row, path);
  }

  raw(row: number): Uint8Array {
    const start = this.starts[row] ?? 0;
    const list = plainListOfOne(this.frame, this.shapes(this.definitions), start);
    return list?.subarray(1) ?? sliceEvent(this.frame.bytes, this.definitions, start);
  }

  /** Where shapes are defined, as far as the list of those places goes. */
  shapes(definitions: readonly number[]): FrameShapes {
    this.#shapes ??= new FrameShapes();
    this.#shapes.take(this.frame.bytes, definitions);
    return this.#shapes;
  }

  #read(): EventColumns {
    return (this.#reference ??= readEvents(this.#request));
  }
}

const nothingWrong: ReadonlyMap<number, string> = new Map();
const noRequest: ReadRequest = {
  format: FRAME_FORMATS.msgpack,
  bytes: noFrame.bytes,
  tenant: "",
  ingestTimeMs: 0,
  partitionCount: 1,
};

function takeValues(
  column: FieldValue[],
  cells: Int32Array,
  firstCell: number,
  values: readonly FieldValue[],
  frame: FrameBytes,
): void {
  for (let row = 0; row < column.length; row++) {
    const cell = cells[firstCell + row] ?? 0;
    column[row] = cell >= 0 ? values[cell] : textBehind(frame, -1 - cell);
  }
}

/** The text whose head is at `at`, well-formed, within the frame. */
function textBehind({ bytes, view }: FrameBytes, at: number): string {
  const token = bytes[at] ?? 0;
  let length = token - 0xa0;
  let from = at + 1;
  if (token === 0xd9) length = bytes[from++] ?? 0;
  else if (token === 0xda) {
    length = view.getUint16(from);
    from += 2;
  }
  return textOf(bytes, from, from + length, isAscii({ bytes, view }, from, length));
}

/**
 * Where a msgpack text with the bytes `text[start .. start + length]` stands first in `bytes[from .. to]`; -1: nowhere. Looking at
 * the head of a text first, it compares no byte many times, whatever is searched.
 */
function findText(bytes: Uint8Array, from: number, to: number, text: Uint8Array, start: number, length: number): number {
  for (let at = from + 1; at + length <= to; at++) {
    if (!isTextHead(bytes, at, length)) continue;
    let same = 0;
    while (same < length && bytes[at + same] === text[start + same]) same++;
    if (same === length) return at;
  }
  return -1;
}

/** Whether what stands before `at` can be the head of a text of so many bytes, up to 65,535. */
function isTextHead(bytes: Uint8Array, at: number, length: number): boolean {
  const before = bytes[at - 1] ?? 0;
  if (length < 32 && before === (0xa0 | length)) return true;
  if (before !== (length & 0xff)) return false;
  if (length < 0x100 && bytes[at - 2] === 0xd9) return true;
  return bytes[at - 2] === length >> 8 && bytes[at - 3] === 0xda;
}
