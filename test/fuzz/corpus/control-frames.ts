/** Frames of every kind but events, with everything wrong that can be. */
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, map, pack, textOf, repeat } from "../msgpack-bytes.ts";
import { event } from "./event-bytes.ts";

const frame = (fields: Readonly<Record<string, unknown>>): Uint8Array => pack(fields);
const fieldInvalid = (path: string) => `WEIR_FRAME_FIELD_INVALID at ${path}`;

export const controlFrames: readonly CorpusCase[] = [
  { name: "a text", frame: "hello", answer: "WEIR_FRAME_NOT_BINARY" },
  { name: "a text of JSON", frame: '{"t":"ping"}', answer: "WEIR_FRAME_NOT_BINARY" },
  { name: "an empty text", frame: "", answer: "WEIR_FRAME_NOT_BINARY" },
  { name: "nothing", frame: new Uint8Array(0), answer: "WEIR_FRAME_MALFORMED", isKept: true },
  { name: "an empty map", frame: frame({}), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  { name: "a list", frame: pack([1]), answer: "WEIR_FRAME_TYPE_UNKNOWN" },
  { name: "a type that is a list", frame: frame({ t: ["pub"] }), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  { name: "a type that is bytes", frame: map(["t", bytes("c4 03 707562")]), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  { name: "an ack", frame: frame({ t: "ack", seq: 1 }), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  { name: "a snapshot", frame: frame({ t: "snap", id: 1 }), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  { name: "a pub that is a map of maps", frame: frame({ t: "pub", seq: 1, events: { 0: {} } }), answer: fieldInvalid("events") },
  { name: "a pub of no events", frame: frame({ t: "pub", seq: 1, events: [] }), answer: "ack" },
  { name: "a pub whose seq is a map", frame: frame({ t: "pub", seq: {}, events: [] }), answer: fieldInvalid("seq") },
  {
    name: "a pub whose events stand before its type",
    frame: map(["events", bytes(0x91, event())], ["t", pack("pub")], ["seq", pack(1)]),
    answer: "ack ok",
  },
  { name: "hello again", frame: frame({ t: "hello" }), answer: "hello" },
  { name: "hello with a key that is a list", frame: frame({ t: "hello", key: ["x"] }), answer: fieldInvalid("key") },
  { name: "hello with a key of 513 characters", frame: frame({ t: "hello", key: "k".repeat(513) }), answer: fieldInvalid("key") },
  {
    name: "hello with another key",
    frame: frame({ t: "hello", key: "weir_strangers_x" }),
    answer: "WEIR_AUTH_KEY_UNKNOWN; closed 4401",
  },
  {
    name: "hello from a client of 257 characters",
    frame: frame({ t: "hello", client: "c".repeat(257) }),
    answer: fieldInvalid("client"),
  },
  { name: "ping with an id of 2^53", frame: frame({ t: "ping", id: 2 ** 53 }), answer: fieldInvalid("id") },
  {
    name: "ping with an id of 2^64 - 1",
    frame: map(["t", pack("ping")], ["id", bytes("cf ffffffffffffffff")]),
    answer: fieldInvalid("id"),
  },
  { name: "ping with half an id", frame: frame({ t: "ping", id: 0.5 }), answer: fieldInvalid("id") },
  { name: "ping with a negative id", frame: frame({ t: "ping", id: -1 }), answer: fieldInvalid("id") },
  { name: "ping with NaN", frame: frame({ t: "ping", id: Number.NaN }), answer: fieldInvalid("id") },
  { name: "ping with unknown fields", frame: frame({ t: "ping", a: { b: [1, 2, { c: "d" }] } }), answer: "pong" },
  { name: "sub without an id", frame: frame({ t: "sub", channel: "events" }), answer: fieldInvalid("id") },
  { name: "sub without a channel", frame: frame({ t: "sub", id: 1 }), answer: fieldInvalid("channel") },
  {
    name: "sub to a channel of 257 characters",
    frame: frame({ t: "sub", id: 1, channel: "c".repeat(257) }),
    answer: fieldInvalid("channel"),
  },
  {
    name: "sub to a channel of another tenant",
    frame: frame({ t: "sub", id: 1, channel: "neighbours/events" }),
    answer: "WEIR_METRIC_UNKNOWN at channel",
  },
  {
    name: "sub to a topic of the server",
    frame: frame({ t: "sub", id: 1, channel: "#" }),
    answer: "WEIR_METRIC_UNKNOWN at channel",
  },
  {
    name: "sub every infinity",
    frame: frame({ t: "sub", id: 1, channel: "events", every: Number.POSITIVE_INFINITY }),
    answer: fieldInvalid("every"),
  },
  { name: "sub every -1", frame: frame({ t: "sub", id: 1, channel: "events", every: -1 }), answer: fieldInvalid("every") },
  { name: "sub since a list", frame: frame({ t: "sub", id: 1, channel: "events", since: [] }), answer: fieldInvalid("since") },
  {
    name: "sub since half a position",
    frame: frame({ t: "sub", id: 1, channel: "events", since: { epoch: "e", seq: 1.5 } }),
    answer: fieldInvalid("since.seq"),
  },
  {
    name: "sub since an epoch of 65 characters",
    frame: frame({ t: "sub", id: 1, channel: "events", since: { epoch: "e".repeat(65), seq: 1 } }),
    answer: fieldInvalid("since.epoch"),
  },
  {
    name: "sub since the last position of all",
    frame: frame({ t: "sub", id: 1, channel: "events@1m", since: { epoch: "e", seq: 2 ** 53 - 1 } }),
    answer: "snap",
  },
  { name: "unsub of nothing", frame: frame({ t: "unsub", id: 7 }), answer: "WEIR_SUBSCRIPTION_UNKNOWN at id" },
  { name: "unsub of a text", frame: frame({ t: "unsub", id: "7" }), answer: fieldInvalid("id") },
  { name: "a control frame of 60 KiB", frame: map(["t", pack("ping")], ["x", textOf(repeat(60 * 1024, 0x61))]), answer: "pong" },
];
