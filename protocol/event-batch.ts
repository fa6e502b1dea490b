/**
 * Where the events of a frame lie in its bytes. The reader and the splitter both start from it, so that a frame which one of
 * them takes is never refused by the other, and so that an event's own bytes can be kept or sent on without decoding it.
 *
 * A frame is a map with a list `events`, a list of events, or one event. Throws WEIR_FRAME_MALFORMED,
 * WEIR_FRAME_FIELD_INVALID or WEIR_FRAME_TOO_MANY_EVENTS.
 */
import { WeirError } from "./error-codes.ts";
import { limits } from "./limits.ts";
import { KIND, malformed, MsgpackScanner, NESTING_MAX, type RecordMark } from "./msgpack-scanner.ts";

/** Event `i` is `bytes[starts[i] .. ends[i]]`. */
export interface EventBatch {
  readonly count: number;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export interface MsgpackBatch extends EventBatch {
  /** The text of each event's `sessionId`; length -1 where it has none that is a text. */
  readonly sessionStarts: readonly number[];
  readonly sessionLengths: readonly number[];
  /** Records of event `i`: `marks[markStarts[i] .. markStarts[i + 1]]`. Empty unless asked for. */
  readonly marks: readonly RecordMark[];
  readonly markStarts: readonly number[];
  /** Some value is for the careful decoder to read (`MsgpackScanner.needsCare`). */
  readonly needsCare: boolean;
}

export function noEvents(): WeirError {
  return new WeirError("WEIR_FRAME_FIELD_INVALID", "It must be a list of events.", { path: "events" });
}

export function checkEventCount(count: number): void {
  if (count > limits.frameEventsMax) throw new WeirError("WEIR_FRAME_TOO_MANY_EVENTS", `At most ${limits.frameEventsMax}.`);
}

export function scanMsgpackBatch(bytes: Uint8Array, withMarks: boolean): MsgpackBatch {
  const found = new BatchScan(bytes, withMarks);
  found.container();
  if (!found.scanner.done) throw malformed();
  const { starts, ends, sessionStarts, sessionLengths, markStarts, scanner } = found;
  const { needsCare, marks = [] } = scanner;
  return { count: starts.length, starts, ends, sessionStarts, sessionLengths, marks, markStarts, needsCare };
}

class BatchScan {
  readonly scanner: MsgpackScanner;
  starts: number[] = [];
  ends: number[] = [];
  sessionStarts: number[] = [];
  sessionLengths: number[] = [];
  markStarts: number[] = [];

  constructor(bytes: Uint8Array, withMarks: boolean) {
    this.scanner = new MsgpackScanner(bytes);
    if (withMarks) this.scanner.marks = [];
  }

  container(): void {
    const { scanner } = this;
    switch (scanner.next()) {
      case KIND.list:
        this.#list(scanner.length, NESTING_MAX - 1);
        return;
      case KIND.map:
        this.#fields(scanner.length, undefined);
        return;
      case KIND.record:
        this.#fields(scanner.shape?.fields ?? 0, scanner.shape === undefined ? [] : scanner.fieldNames(scanner.shape));
        return;
      default:
        throw noEvents();
    }
  }

  /** A map or record at the top: what is under `events`, or itself as the one event. */
  #fields(count: number, names: readonly string[] | undefined): void {
    const { scanner } = this;
    let isPublish = false;
    let found: "none" | "list" | "other" = "none";
    this.markStarts.push(0);
    this.sessionLengths.push(-1);
    this.sessionStarts.push(0);
    for (let field = 0; field < count; field++) {
      const name = names === undefined ? this.#key() : names[field];
      if (name === "events") found = this.#events();
      else if (name === "sessionId" && found === "none") this.#session(NESTING_MAX - 1, 0);
      else if (name === "t") isPublish = this.#isPublish();
      else scanner.skip(NESTING_MAX - 1);
    }
    if (found === "other" || (found === "none" && isPublish)) throw noEvents();
    if (found === "list") return;
    this.starts.push(0);
    this.ends.push(scanner.at);
    this.markStarts.push(scanner.marks?.length ?? 0);
  }

  #key(): string | undefined {
    const { scanner } = this;
    return scanner.key() ? scanner.text(scanner.at - scanner.length, scanner.length) : undefined;
  }

  #isPublish(): boolean {
    const { scanner } = this;
    const from = scanner.at;
    scanner.skip(NESTING_MAX - 1);
    return scanner.at === from + 4 && scanner.bytes[from] === 0xa3 && scanner.text(from + 1, 3) === "pub";
  }

  #events(): "list" | "other" {
    const { scanner } = this;
    // The last of several `events` counts, as it does for decoders.
    this.starts = [];
    this.ends = [];
    this.sessionStarts = [];
    this.sessionLengths = [];
    this.markStarts = [];
    const kind = scanner.next();
    if (kind === KIND.list) {
      this.#list(scanner.length, NESTING_MAX - 2);
      return "list";
    }
    scanner.skipRest(kind, NESTING_MAX - 1);
    return "other";
  }

  #list(count: number, levels: number): void {
    checkEventCount(count);
    for (let index = 0; index < count; index++) {
      this.markStarts.push(this.scanner.marks?.length ?? 0);
      this.starts.push(this.scanner.at);
      this.sessionStarts.push(0);
      this.sessionLengths.push(-1);
      this.#event(index, levels);
      this.ends.push(this.scanner.at);
    }
    this.markStarts.push(this.scanner.marks?.length ?? 0);
  }

  #event(index: number, levels: number): void {
    const { scanner } = this;
    const kind = scanner.next();
    switch (kind) {
      case KIND.map: {
        const entries = scanner.length;
        for (let entry = 0; entry < entries; entry++) {
          if (scanner.key() && scanner.isSessionKey()) this.#session(levels - 1, index);
          else scanner.skip(levels - 1);
        }
        return;
      }
      case KIND.record: {
        const { fields = 0, sessionField = -1 } = scanner.shape ?? {};
        if (sessionField < 0) {
          scanner.skipMany(fields, levels - 1);
          return;
        }
        scanner.skipMany(sessionField, levels - 1);
        this.#session(levels - 1, index);
        scanner.skipMany(fields - sessionField - 1, levels - 1);
        return;
      }
      default:
        // Not a map, so not an event: the reader will say so.
        scanner.skipRest(kind, levels);
    }
  }

  #session(levels: number, index: number): void {
    const { scanner } = this;
    const kind = scanner.next();
    if (kind === KIND.text) {
      this.sessionLengths[index] = scanner.length;
      this.sessionStarts[index] = scanner.at;
      scanner.advance(scanner.length);
      return;
    }
    this.sessionLengths[index] = -1;
    scanner.skipRest(kind, levels);
  }
}
