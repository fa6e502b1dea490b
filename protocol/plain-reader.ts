/**
 * The fast way from a msgpack frame's bytes to columns: one pass, no object per event, by WebAssembly (`wasm/read-frame.ts`). It
 * reads an event only when it is plain, which is to say surely valid and without anything unusual; at the first byte of which it
 * is not sure it gives up, and the reference (`event-reader.ts`) decides: on the event alone where such are few (`odd-rows.ts`),
 * else on the frame. So it never refuses an event itself, and what it gives equals what the reference gives (a property test holds
 * it to that). It takes half of what reading cost in JavaScript (`npm run bench -- path`; docs/decisions/0025).
 *
 * Plain are: maps and inline records with text keys; ASCII ids; well-formed texts where somebody wants them; exact numbers,
 * booleans, nil, lists; all well inside of the limits. Partition hosts, recovery and the warehouse writer call it, each by the one
 * reader of its thread.
 *
 *   frame -> the program's memory -> flat columns there -> copied out in one piece; strings by the numbers of values
 *
 * Strings are made here, one for each text that is new to the program's tables; `values` holds them by their numbers.
 */
import { assert } from "./assert.ts";
import { ColumnsPool } from "./columns-pool.ts";
import { FRAME_FORMATS, type EventColumns } from "./event-columns.ts";
import { readEvents, type ReadRequest } from "./event-reader.ts";
import type { FieldValue } from "./field-path.ts";
import { frameBytesOf, noFrame, textOf } from "./interner.ts";
import { limits } from "./limits.ts";
import { areFewOdd, readOddRow, type OddRow } from "./odd-rows.ts";
import { plainTextTime } from "./plain-times.ts";
import { PlainColumns } from "./plain-columns.ts";
import { COLUMNS_MAX, INNER_NODES_MAX, PathTrees, TREE_BYTES_MAX, type PathTree } from "./plain-paths.ts";
import { FrameShapes, walkPlainEvent } from "./plain-slicer.ts";
import { setTenantOf, type SessionProgram } from "./session-program.ts";
import { areTextNumbersSpent, beginTextGeneration, endOfTextNumbers, nextTextNumber, takeTextNumbers } from "./text-numbers.ts";
import { timestampVerdict } from "./timestamp.ts";
import { ACCEPTED } from "./verdicts.ts";

export interface PlainRequest extends ReadRequest {
  /**
   * Full paths of the fields that will be asked for: `properties.value`, `context.location.country`. The same list must come
   * as the same instance, and must not change: what is compiled for it is kept by it.
   */
  readonly wanted: readonly string[];
}

/** What the bounded tables of a reader have let go since its start. It costs speed only: it is made anew. */
export interface ReaderEvictions {
  /** Texts of dimensions and the like, and ids of sessions and users, that others have driven out. */
  readonly texts: number;
  readonly ids: number;
}

interface Exported {
  readonly value: number;
}

/** What `wasm/read-frame.ts` exports; addresses are in bytes. */
export interface ReadProgram extends SessionProgram {
  readonly memory: { readonly buffer: ArrayBuffer };
  // The same as bounds here.
  readonly eventsMax: Exported;
  readonly identifierBytesMax: Exported;
  readonly depthMax: Exported;
  readonly keysMax: Exported;
  readonly columnsMax: Exported;
  readonly innerNodesMax: Exported;
  readonly treeBytesMax: Exported;
  readonly valuesMax: Exported;
  // What is written before a frame is read.
  readonly treeAt: Exported;
  readonly frameAt: Exported;
  hasRoomFor(bytes: number): number;
  forgetTexts(): void;
  // The reading.
  read(
    bytes: number,
    columns: number,
    partitions: number,
    earliestMs: number,
    latestMs: number,
    firstNumber: number,
    endOfNumbers: number,
  ): number;
  resume(at: number): number;
  takeDefinition(at: number): number;
  // What was read, see ANSWER.
  readonly answerAt: Exported;
  readonly definitionsAt: Exported;
  readonly newTextsAt: Exported;
  readonly textsEvicted: Exported;
  readonly idsEvicted: Exported;
}

/** What reading comes to: the event at `oddAt` is not plain. */
const ODD = 2;
const DONE = 1;

/** Words of what has come of a reading. */
const ANSWER = {
  rows: 0,
  row: 1,
  oddAt: 2,
  columnsAt: 3,
  cellsAt: 4,
  definitions: 5,
  newTexts: 6,
  unusualTimes: 7,
  numbersEnd: 8,
} as const;

/** Values that are no texts, by their numbers, and the empty text. */
const simpleValues: readonly FieldValue[] = [undefined, null, false, true, ""];
const NEW_TEXT_WORDS = 3;
const LENGTH_MASK = 0x7fff_ffff;

export class FrameReader {
  readonly #program: ReadProgram;
  readonly #trees = new PathTrees();
  readonly #pool = new ColumnsPool();
  /** Of the texts in the program's tables, and of those that it let go lately, by their numbers. */
  readonly #values: FieldValue[];
  readonly #frameAt: number;
  readonly #treeAt: number;
  /** Places in `#words`. */
  readonly #answerAt: number;
  readonly #definitionsAt: number;
  readonly #newTextsAt: number;
  /** Frames up to this size have room. */
  #roomBytes = -1;
  /** Views of the memory, which end when it grows. */
  #bytes = new Uint8Array(0);
  #words = new Int32Array(0);
  #tenant: string | undefined;
  #tree: PathTree | undefined;

  // Of the frame that is being read.
  #frame = noFrame;
  #definitions: number[] = [];
  #shapes: FrameShapes | undefined;
  readonly #odd: OddRow[] = [];

  constructor(program: ReadProgram) {
    assert(
      program.eventsMax.value === limits.frameEventsMax &&
        program.identifierBytesMax.value === limits.identifierBytesMax &&
        program.depthMax.value === limits.propertiesDepthMax &&
        program.keysMax.value === limits.propertiesKeysMax,
      "the program has the bounds of the limits",
    );
    assert(
      program.columnsMax.value === COLUMNS_MAX &&
        program.innerNodesMax.value === INNER_NODES_MAX &&
        program.treeBytesMax.value >= TREE_BYTES_MAX,
      "the program has room for every tree",
    );
    this.#program = program;
    this.#frameAt = program.frameAt.value;
    this.#treeAt = program.treeAt.value;
    this.#answerAt = program.answerAt.value >> 2;
    this.#definitionsAt = program.definitionsAt.value >> 2;
    this.#newTextsAt = program.newTextsAt.value >> 2;
    this.#values = new Array<FieldValue>(program.valuesMax.value).fill(undefined);
    simpleValues.forEach((value, number) => (this.#values[number] = value));
  }

  get evictions(): ReaderEvictions {
    return { texts: this.#program.textsEvicted.value >>> 0, ids: this.#program.idsEvicted.value >>> 0 };
  }

  /** The columns of a frame, by the fast way if it can be. Throws what `readEvents` throws. */
  read(request: PlainRequest): EventColumns {
    return this.readPlain(request) ?? readEvents(request);
  }

  /** undefined: something in the frame is not plain. Throws nothing. `bytes` must stay as they are while the columns are used. */
  readPlain(request: PlainRequest): EventColumns | undefined {
    if (request.format !== FRAME_FORMATS.msgpack || !this.#hasRoomFor(request.bytes.length)) return undefined;
    if (areTextNumbersSpent()) {
      beginTextGeneration();
      this.#program.forgetTexts();
    }
    if (request.tenant !== this.#tenant && !this.#setTenant(request.tenant)) return undefined;
    const tree = this.#trees.treeOf(request.wanted);
    this.#frame = frameBytesOf(request.bytes);
    try {
      return this.#read(request, tree) ? this.#columns(request, tree) : undefined;
    } finally {
      this.#frame = noFrame;
      this.#definitions = [];
      this.#shapes = undefined;
      this.#odd.length = 0;
    }
  }

  #hasRoomFor(bytes: number): boolean {
    if (bytes <= this.#roomBytes) return true;
    if (this.#program.hasRoomFor(bytes) === 0) return false;
    this.#roomBytes = bytes;
    this.#view();
    return true;
  }

  #answer(word: (typeof ANSWER)[keyof typeof ANSWER]): number {
    return this.#words[this.#answerAt + word] ?? 0;
  }

  #view(): void {
    const { buffer } = this.#program.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  #setTenant(tenant: string): boolean {
    if (!setTenantOf(this.#program, this.#bytes, tenant)) return false;
    this.#tenant = tenant;
    return true;
  }

  /** Whether all of the frame was read; odd events are passed. */
  #read({ bytes, ingestTimeMs, partitionCount }: ReadRequest, tree: PathTree): boolean {
    const program = this.#program;
    if (tree !== this.#tree) {
      this.#bytes.set(tree.image, this.#treeAt);
      this.#tree = tree;
    }
    this.#bytes.set(bytes, this.#frameAt);
    let state = program.read(
      bytes.length,
      tree.columns.size,
      partitionCount,
      limits.timestampMsMin,
      ingestTimeMs + limits.timestampAheadMsMax,
      nextTextNumber(),
      endOfTextNumbers(),
    );
    // Opening the columns may have grown it; nothing later does.
    if (this.#bytes.length === 0) this.#view();
    while (state === ODD) state = this.#passOdd(this.#answer(ANSWER.oddAt), this.#answer(ANSWER.row));
    takeTextNumbers(this.#answer(ANSWER.numbersEnd) >>> 0);
    this.#makeNewTexts(bytes);
    return state === DONE;
  }

  /** Passes an event that is not plain, and goes on behind it. */
  #passOdd(at: number, row: number): number {
    const event = this.#noteOdd(at, row);
    if (event === undefined) return 0;
    // What it defines holds for the events behind it.
    const isTaken = event.definitions.every((from) => this.#program.takeDefinition(from) !== 0);
    return isTaken ? this.#program.resume(event.end) : 0;
  }

  /** undefined: there are too many, or nobody knows where it ends. */
  #noteOdd(start: number, row: number): ReturnType<typeof walkPlainEvent> {
    if (!areFewOdd(this.#odd.length + 1, this.#answer(ANSWER.rows))) return undefined;
    const event = walkPlainEvent(this.#frame, this.#shapesRead(), start);
    if (event !== undefined) this.#odd.push({ row, start, end: event.end });
    return event;
  }

  #takeDefinitions(): void {
    const count = this.#answer(ANSWER.definitions);
    for (let at = this.#definitions.length; at < count; at++) this.#definitions.push(this.#words[this.#definitionsAt + at] ?? 0);
  }

  #shapesRead(): FrameShapes {
    this.#takeDefinitions();
    this.#shapes ??= new FrameShapes();
    this.#shapes.take(this.#frame.bytes, this.#definitions);
    return this.#shapes;
  }

  #makeNewTexts(bytes: Uint8Array): void {
    const words = this.#words;
    const values = this.#values;
    let at = this.#newTextsAt;
    for (let left = this.#answer(ANSWER.newTexts); left > 0; left--, at += NEW_TEXT_WORDS) {
      const from = words[at + 1] ?? 0;
      const length = words[at + 2] ?? 0;
      values[words[at] ?? 0] = textOf(bytes, from, from + (length & LENGTH_MASK), length < 0);
    }
  }

  #columns(request: PlainRequest, tree: PathTree): EventColumns | undefined {
    this.#takeDefinitions();
    const columns = PlainColumns.of(request, this.#frame, this.#answer(ANSWER.rows), tree.columns, this.#pool);
    columns.take(this.#words, this.#answer(ANSWER.columnsAt) >> 2, this.#answer(ANSWER.cellsAt) >> 2, this.#values);
    columns.definitions = this.#definitions;
    if (this.#readUnusualTimes(request, columns) && this.#readOddRows(request, columns)) return columns;
    columns.release();
    return undefined;
  }

  /** Times that the program has left to us. */
  #readUnusualTimes({ ingestTimeMs }: ReadRequest, { eventTimesMs, starts }: PlainColumns): boolean {
    if (this.#answer(ANSWER.unusualTimes) === 0) return true;
    for (let row = 0; row < eventTimesMs.length; row++) {
      const place = eventTimesMs[row] ?? 0;
      if (place >= 0) continue;
      const timeMs = plainTextTime(this.#frame, -1 - place);
      const isGood = timestampVerdict(timeMs, ingestTimeMs) === ACCEPTED;
      eventTimesMs[row] = isGood ? timeMs : 0;
      if (!isGood && this.#noteOdd(starts[row] ?? 0, row) === undefined) return false;
    }
    return true;
  }

  #readOddRows(request: PlainRequest, columns: PlainColumns): boolean {
    return this.#odd.every(({ row, start, end }) => {
      const alone = readOddRow(request, this.#frame, this.#shapesRead(), start);
      return alone !== undefined && columns.takeRow(row, alone, start, end);
    });
  }
}
