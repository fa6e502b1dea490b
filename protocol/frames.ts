/**
 * The frames of the WebSocket protocol (`docs/protocol.md`, section 3): their shapes, and their msgpack form.
 * The server writes plain maps, so that any msgpack client reads them; publishers may write msgpackr inline records.
 * Used by the gateway and by the client SDK, so it runs in browsers too.
 */
import { Packr, Unpackr } from "msgpackr";
import { z } from "zod";
import { WeirError } from "./error-codes.ts";
import { limits } from "./limits.ts";

/** A row of a channel: one entry per dimension and output, or its dimensions and `removed: true`. */
export type ChannelRow = Readonly<Record<string, unknown>>;

const helloFrame = z.object({
  t: z.literal("hello"),
  key: z.string().max(512).optional(),
  client: z.string().max(256).optional(),
  receipts: z.boolean().optional(),
});
const id = z.int().min(0);
const subFrame = z.object({
  t: z.literal("sub"),
  id,
  channel: z.string().min(1).max(256),
  since: z.object({ epoch: z.string().min(1).max(64), seq: z.int().min(0) }).optional(),
  every: z.number().min(0).optional(),
});
const unsubFrame = z.object({ t: z.literal("unsub"), id });
const pingFrame = z.object({ t: z.literal("ping"), id: id.optional() });

const schemas = { hello: helloFrame, sub: subFrame, unsub: unsubFrame, ping: pingFrame } as const;

export type HelloFrame = z.output<typeof helloFrame>;
export type SubFrame = z.output<typeof subFrame>;
/** What a client sends, but for `pub`, whose events the gateway does not decode (`msgpack-scan.ts` reads its head). */
export type ClientFrame = HelloFrame | SubFrame | z.output<typeof unsubFrame> | z.output<typeof pingFrame>;

export interface HelloAnswer {
  readonly t: "hello";
  readonly protocol: 1;
  readonly server: string;
  readonly tenant: string;
  readonly scopes: readonly string[];
  readonly credit: number;
  readonly serverTimeMs: number;
  readonly limits: { readonly frameBytesMax: number; readonly frameEventsMax: number };
}

/** An event of a batch that was not plainly accepted. */
export interface EventOutcome {
  readonly index: number;
  readonly eventId: string;
  readonly success: boolean;
  readonly duplicate?: boolean;
  readonly code?: string;
  readonly error?: string;
  readonly path?: string;
}

export interface AckFrame {
  readonly t: "ack";
  readonly seq: number;
  readonly totalEvents: number;
  readonly successfulEvents: number;
  readonly failedEvents: number;
  readonly receipt: string;
  /** For a connection that asked for receipts in `hello`. */
  readonly proof?: string;
  readonly credit: number;
  readonly results?: readonly EventOutcome[];
}

export interface ErrorFrame {
  readonly t: "error";
  readonly seq?: number;
  readonly id?: number;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly path?: string;
  readonly retryAfterMs?: number;
}

interface ChannelPosition {
  readonly channel: string;
  readonly epoch: string;
  readonly seq: number;
}

interface WindowSpan {
  readonly from: number;
  readonly to: number;
}

export interface SnapshotFrame extends ChannelPosition {
  readonly t: "snap";
  readonly id: number;
  readonly window: WindowSpan;
  readonly cause: "snapshot";
  readonly values: readonly ChannelRow[];
}

export interface ResumedFrame extends ChannelPosition {
  readonly t: "resumed";
  readonly id: number;
}

export interface DeltaFrame extends ChannelPosition {
  readonly t: "delta";
  readonly every: number;
  readonly window: WindowSpan;
  readonly cause: "live" | "late";
  readonly values: readonly ChannelRow[];
}

export type ServerFrame =
  | HelloAnswer
  | AckFrame
  | ErrorFrame
  | SnapshotFrame
  | ResumedFrame
  | DeltaFrame
  | { readonly t: "credit"; readonly credit: number }
  | { readonly t: "unsubbed"; readonly id: number }
  | { readonly t: "pong"; readonly id?: number; readonly serverTimeMs: number };

const maps = new Packr({ useRecords: false, variableMapSize: true });
const reader = new Unpackr({ useRecords: true, mapsAsObjects: true });

/** As a plain msgpack map. */
export function encodeFrame(frame: ServerFrame | ClientFrame): Uint8Array {
  // msgpackr gives out slices of a shared buffer; a frame must outlive the next call.
  return Uint8Array.prototype.slice.call(maps.pack(frame));
}

/**
 * A `pub` frame of events as msgpackr inline records, `t` and `seq` first. Every definition is in the frame, so it can be sent
 * again on another connection, and be journaled as it is.
 */
export function encodePublish(seq: number, events: readonly unknown[]): Uint8Array {
  // A new Packr each time: one that has been used may refer to record definitions of frames before.
  const body = new Packr({ useRecords: true, variableMapSize: true, maxSharedStructures: 0 }).pack(events);
  const head = publishHead(seq);
  const frame = new Uint8Array(head.length + body.length);
  frame.set(head, 0);
  frame.set(body, head.length);
  return frame;
}

const encoder = new TextEncoder();
const publishStart = Uint8Array.of(
  0x83,
  0xa1,
  ...encoder.encode("t"),
  0xa3,
  ...encoder.encode("pub"),
  0xa3,
  ...encoder.encode("seq"),
);
const publishEvents = Uint8Array.of(0xa6, ...encoder.encode("events"));

/** `{t: "pub", seq, events:` up to where the list of events begins. */
function publishHead(seq: number): Uint8Array {
  const number = maps.pack(seq);
  const head = new Uint8Array(publishStart.length + number.length + publishEvents.length);
  head.set(publishStart, 0);
  head.set(number, publishStart.length);
  head.set(publishEvents, publishStart.length + number.length);
  return head;
}

/** Decodes and checks a client's frame. Errors: WEIR_FRAME_MALFORMED, _TYPE_UNKNOWN, _FIELD_INVALID with the path. */
export function decodeClientFrame(bytes: Uint8Array): ClientFrame {
  if (bytes.length > limits.queryBodyBytesMax) throw new WeirError("WEIR_FRAME_TOO_LARGE");
  const value = decode(bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new WeirError("WEIR_FRAME_TYPE_UNKNOWN");
  const type = (value as Record<string, unknown>)["t"];
  if (typeof type !== "string" || !Object.hasOwn(schemas, type))
    throw new WeirError("WEIR_FRAME_TYPE_UNKNOWN", undefined, { path: "t" });
  const checked = schemas[type as keyof typeof schemas].safeParse(value);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  throw new WeirError("WEIR_FRAME_FIELD_INVALID", issue?.message, { path: issue?.path.join(".") ?? "" });
}

/** What the server sent. Its shape is trusted: the client chose the server. */
export function decodeServerFrame(bytes: Uint8Array): ServerFrame {
  return decode(bytes) as ServerFrame;
}

function decode(bytes: Uint8Array): unknown {
  try {
    return reader.unpack(bytes);
  } catch (cause) {
    throw new WeirError("WEIR_FRAME_MALFORMED", undefined, { cause });
  }
}
