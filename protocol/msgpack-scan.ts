/**
 * The head of a client's frame: what kind it is and what a publish says before its events, without decoding them. The gateway
 * calls it for every frame, so it stops at the events when `t` and `seq` stand before them; otherwise it skips the list.
 */
import { WeirError } from "./error-codes.ts";
import { scalarAt } from "./msgpack-decode.ts";
import { KIND, malformed, MsgpackScanner, NESTING_MAX } from "./msgpack-scanner.ts";

export interface PublishHead {
  readonly t: "pub";
  readonly seq: number;
  readonly id?: undefined;
  /** Where the first event begins. */
  readonly eventsAt: number;
  /** As the list's head says; nothing behind it has been looked at. */
  readonly eventCount: number;
}

/** Any other frame: small, and decoded whole. `t` is undefined when it is missing or no kind of frame. */
export interface OtherHead {
  readonly t: "hello" | "sub" | "unsub" | "ping" | undefined;
  readonly seq: number | undefined;
  readonly id: number | undefined;
}

export type FrameHead = PublishHead | OtherHead;

/**
 * Throws WEIR_FRAME_MALFORMED for bytes that are not msgpack as far as they were read, WEIR_FRAME_TYPE_UNKNOWN for what is not
 * a map, and WEIR_FRAME_FIELD_INVALID for a publish without a usable `seq` or `events`.
 */
export function scanHead(bytes: Uint8Array): FrameHead {
  const scanner = new MsgpackScanner(bytes);
  const kind = scanner.next();
  const isRecord = kind === KIND.record && scanner.shape !== undefined;
  if (!isRecord && kind !== KIND.map) throw new WeirError("WEIR_FRAME_TYPE_UNKNOWN");
  const names = isRecord && scanner.shape !== undefined ? scanner.fieldNames(scanner.shape) : undefined;
  const fields = names?.length ?? scanner.length;
  let t: unknown;
  let seq: unknown;
  let id: unknown;
  let events: { at: number; count: number } | undefined;
  for (let field = 0; field < fields; field++) {
    const name = names === undefined ? keyOf(scanner) : names[field];
    if (name === "t") t = shortValue(scanner);
    else if (name === "seq") seq = shortValue(scanner);
    else if (name === "id") id = shortValue(scanner);
    else if (name === "events") {
      const eventsKind = scanner.next();
      events = eventsKind === KIND.list ? { at: scanner.at, count: scanner.length } : undefined;
      if (events !== undefined && t === "pub" && typeof seq === "number") return publishHead(seq, events);
      scanner.skipRest(eventsKind, NESTING_MAX - 1);
    } else scanner.skip(NESTING_MAX - 1);
  }
  if (!scanner.done) throw malformed();
  if (t === "pub") return publishHead(seq, events);
  const known = t === "hello" || t === "sub" || t === "unsub" || t === "ping" ? t : undefined;
  return { t: known, seq: numberOf(seq), id: numberOf(id) };
}

function publishHead(seq: unknown, events: { at: number; count: number } | undefined): PublishHead {
  if (typeof seq !== "number" || !Number.isFinite(seq)) throw fieldInvalid("seq", "It must be a number.");
  if (events === undefined) throw fieldInvalid("events", "It must be a list of events.");
  return { t: "pub", seq, eventsAt: events.at, eventCount: events.count };
}

function fieldInvalid(path: string, detail: string): WeirError {
  return new WeirError("WEIR_FRAME_FIELD_INVALID", detail, { path });
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function keyOf(scanner: MsgpackScanner): string | undefined {
  return scanner.key() ? scanner.text(scanner.at - scanner.length, scanner.length) : undefined;
}

/** A scalar or text; anything else is passed over and reads as undefined. */
function shortValue(scanner: MsgpackScanner): unknown {
  const from = scanner.at;
  const kind = scanner.next();
  if (kind === KIND.scalar) return scalarAt(scanner, from);
  scanner.skipRest(kind, NESTING_MAX - 1);
  return kind === KIND.text ? scanner.text(scanner.at - scanner.length, scanner.length) : undefined;
}
