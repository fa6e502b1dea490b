/**
 * From a frame's bytes to columns: scan -> decode -> validate -> columns. The same bytes with the same `ingestTimeMs` always
 * give the same columns, because replay, the warehouse writer and the first decision all call this.
 *
 * msgpack is scanned first (lengths, nesting, extensions), so that msgpackr, which trusts its input, only sees frames that
 * it decodes into plain values; others go through the careful decoder. No frame leaves anything behind for the next one.
 * Partition hosts, recovery and the warehouse writer call it. Every column is fresh and may be kept.
 */
import { Unpackr } from "msgpackr";
import { scanMsgpackBatch, type EventBatch, type MsgpackBatch } from "./event-batch.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "./event-columns.ts";
import { validateParsed } from "./event-validator.ts";
import { FieldColumn } from "./field-column.ts";
import { fieldReader, type FieldValue } from "./field-path.ts";
import { flatText } from "./flat-text.ts";
import { eventsOf, parseJsonEvents, parseNdjsonEvents, sliceJsonEvents, UNPARSABLE } from "./json-batch.ts";
import { decodeMsgpack } from "./msgpack-decode.ts";
import { eventSlicer } from "./msgpack-slices.ts";
import { partitionOf } from "./partition-hash.ts";
import { isPlainMap } from "./plain-values.ts";
import { TextColumn } from "./text-column.ts";
import { usableId } from "./text-rules.ts";
import { parseTimestamp } from "./timestamp.ts";
import { ACCEPTED, verdictOf } from "./verdicts.ts";

export interface ReadRequest {
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
  readonly tenant: string;
  readonly ingestTimeMs: number;
  readonly partitionCount: number;
}

const MALFORMED = verdictOf("WEIR_FRAME_MALFORMED");

/**
 * Throws WEIR_FRAME_MALFORMED, WEIR_FRAME_FIELD_INVALID or WEIR_FRAME_TOO_MANY_EVENTS for a frame as a whole, and nothing
 * else; what is wrong with one event is its row's verdict. `bytes` must stay as they are while `raw` may be called.
 */
export function readEvents(request: ReadRequest): EventColumns {
  const { format, bytes } = request;
  switch (format) {
    case FRAME_FORMATS.msgpack: {
      const batch = scanMsgpackBatch(bytes, false);
      return new Columns(request, decodeBatch(bytes, batch), eventSlicer(bytes));
    }
    case FRAME_FORMATS.json:
      return new Columns(request, parseJsonEvents(bytes), slices(bytes, sliceJsonEvents));
    case FRAME_FORMATS.ndjson: {
      const batch = parseNdjsonEvents(bytes);
      return new Columns(
        request,
        batch.events,
        slices(bytes, () => batch),
      );
    }
  }
}

// "auto": small integers in eight bytes become numbers, the others BigInt (the type declarations lack it).
const unpackrOptions = { useRecords: true, mapsAsObjects: true, structuredClone: false, int64AsType: "auto" };
const unpackr = new Unpackr(unpackrOptions as ConstructorParameters<typeof Unpackr>[0]);

function decodeBatch(bytes: Uint8Array, batch: MsgpackBatch): readonly unknown[] {
  if (!batch.needsCare) {
    const events = tryUnpack(bytes);
    if (events?.length === batch.count) return events;
  }
  return eventsOf(decodeMsgpack(bytes));
}

function tryUnpack(bytes: Uint8Array): readonly unknown[] | undefined {
  try {
    return eventsOf(unpackr.unpack(bytes));
  } catch {
    return undefined;
  }
}

function ownValue(value: FieldValue): FieldValue {
  return typeof value === "string" ? flatText(value) : value;
}

function slices(bytes: Uint8Array, slice: (bytes: Uint8Array) => EventBatch): (row: number) => Uint8Array {
  let batch: EventBatch | undefined;
  return (row) => {
    batch ??= slice(bytes);
    return bytes.subarray(batch.starts[row], batch.ends[row]);
  };
}

class Columns implements EventColumns {
  readonly count: number;
  readonly verdicts: Uint8Array;
  readonly wrongPaths = new Map<number, string>();
  readonly sessionIds: string[];
  readonly userIds: (string | undefined)[];
  readonly eventTypes: string[];
  readonly eventTimesMs: Float64Array;
  readonly partitions: Uint16Array;
  readonly events: readonly unknown[];
  readonly raw: (row: number) => Uint8Array;
  readonly derived = new Map<object, unknown>();
  readonly #eventIds: string[];
  #idColumn: TextColumn | undefined;
  readonly #fields = new Map<string, readonly FieldValue[]>();

  constructor(
    { format, tenant, ingestTimeMs, partitionCount }: ReadRequest,
    events: readonly unknown[],
    raw: (row: number) => Uint8Array,
  ) {
    const count = events.length;
    this.count = count;
    this.events = events;
    this.raw = raw;
    this.verdicts = new Uint8Array(count);
    this.#eventIds = new Array<string>(count).fill("");
    this.sessionIds = new Array<string>(count).fill("");
    this.userIds = new Array<string | undefined>(count).fill(undefined);
    this.eventTypes = new Array<string>(count).fill("");
    this.eventTimesMs = new Float64Array(count);
    this.partitions = new Uint16Array(count);
    // Escapes in JSON can make lone surrogates; bytes of UTF-8 cannot.
    const isFromUtf8 = format === FRAME_FORMATS.msgpack;
    for (let row = 0; row < count; row++) {
      this.#read(row, events[row], ingestTimeMs, isFromUtf8);
      this.partitions[row] = partitionOf(tenant, this.sessionIds[row] ?? "", partitionCount);
    }
  }

  get eventIds(): TextColumn {
    return (this.#idColumn ??= TextColumn.of(this.#eventIds));
  }

  field(path: string): readonly FieldValue[] {
    let values = this.#fields.get(path);
    if (values === undefined) {
      const { events, verdicts } = this;
      const read = fieldReader(path);
      values = events.map((event, row) => (verdicts[row] === ACCEPTED ? ownValue(read(event)) : undefined));
      this.#fields.set(path, values);
    }
    return values;
  }

  column(path: string): FieldColumn {
    return FieldColumn.of(this.field(path));
  }

  release(): void {
    // They are collected.
  }

  #read(row: number, event: unknown, ingestTimeMs: number, isFromUtf8: boolean): void {
    if (event === UNPARSABLE || !isPlainMap(event)) {
      this.verdicts[row] = event === UNPARSABLE ? MALFORMED : validateParsed(event, Number.NaN, ingestTimeMs).verdict;
      return;
    }
    const eventTimeMs = parseTimestamp(event["timestamp"]);
    const { verdict, path } = validateParsed(event, eventTimeMs, ingestTimeMs, isFromUtf8);
    this.verdicts[row] = verdict;
    if (verdict === ACCEPTED) {
      // The validator has seen that these are texts.
      this.#eventIds[row] = event["eventId"] as string;
      this.sessionIds[row] = flatText(event["sessionId"] as string);
      const userId = event["userId"] as string | undefined;
      this.userIds[row] = userId === undefined ? undefined : flatText(userId);
      this.eventTypes[row] = flatText(event["eventType"] as string);
      this.eventTimesMs[row] = eventTimeMs;
      event["timestamp"] = eventTimeMs;
      return;
    }
    if (path !== undefined) this.wrongPaths.set(row, path);
    this.#eventIds[row] = usableId(event["eventId"]);
    this.sessionIds[row] = usableId(event["sessionId"]);
  }
}
