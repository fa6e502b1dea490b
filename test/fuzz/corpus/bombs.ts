/** Little that asks for much: nesting, lengths that lie, shapes that repeat, bodies that inflate. */
import { gzipSync } from "node:zlib";
import { limits } from "../../../protocol/limits.ts";
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, extension, list, listHead, map, pack, publish, repeat, shape, textOf, uint32 } from "../msgpack-bytes.ts";
import { among, event, jsonEvent, property } from "./event-bytes.ts";

const MANY = limits.frameEventsMax;
const MIB = 1024 * 1024;
const malformed = { answer: "WEIR_FRAME_MALFORMED", isKept: true } as const;

/** `{t: "pub", seq: 1, events: [..count]}` up to its events. */
function manyHead(count: number): Uint8Array {
  return bytes(0x83, pack("t"), pack("pub"), pack("seq"), 1, pack("events"), listHead(count));
}

function deepList(levels: number): Uint8Array {
  return bytes(repeat(levels - 1, 0x91), 0x90);
}

/** msgpackr's structured cloning: list n holds list n - 1 twice. */
function laughs(levels: number): Uint8Array {
  const lists = Array.from({ length: levels }, (_, index) => {
    const before = index === 0 ? bytes(1) : bytes("d6 70 000000", index);
    return bytes("d6 69 000000", index + 1, 0x92, before, before);
  });
  return list(lists);
}

const wideShape = shape(0x40, ...Array.from({ length: 100_000 }, (_, index) => index.toString(36)));

const frames: readonly CorpusCase[] = [
  { name: "lists nested 100,000 deep in a property", frame: property(deepList(100_000)), ...malformed },
  { name: "maps nested 100,000 deep", frame: property(bytes(repeat(100_000, 0x81, pack("a")), 0xc0)), ...malformed },
  { name: "extensions nested 100,000 deep", frame: property(bytes(repeat(100_000, "d4 73 00"), 0x90)), ...malformed },
  {
    name: "lists nested deep before the type of the frame",
    frame: map(["x", deepList(100_000)], ["t", pack("pub")], ["seq", pack(1)], ["events", list([event()])]),
    ...malformed,
  },
  { name: "lists nested deep as the frame", frame: deepList(100_000), answer: "WEIR_FRAME_TYPE_UNKNOWN" },
  {
    name: "nine levels in a property",
    frame: property(deepList(9)),
    answer: "ack ok, WEIR_EVENT_PROPERTIES_TOO_LARGE at properties, ok",
  },
  { name: "a list of 2^32 - 1 events", frame: manyHead(0xffff_ffff), ...malformed },
  { name: "a map of 2^32 - 1 entries", frame: property(bytes("df ffffffff")), ...malformed },
  { name: "a list of 2^32 - 1 values", frame: property(bytes("dd ffffffff")), ...malformed },
  { name: "a text of 4 GiB", frame: property(bytes("db ffffffff")), ...malformed },
  { name: "bytes of 4 GiB", frame: property(bytes("c6 ffffffff")), ...malformed },
  { name: "an extension of 4 GiB", frame: property(bytes("c9 ffffffff 01")), ...malformed },
  { name: "a shape of 2^32 - 1 fields", frame: property(bytes("d4 72 40 dd ffffffff")), ...malformed },
  {
    name: "as many events as may be, none of which is one",
    frame: bytes(manyHead(MANY), repeat(MANY, 0xc0)),
    answer: `ack ${MANY} WEIR_EVENT_NOT_A_MAP`,
  },
  {
    name: "the same beside a large value: a frame is not scanned once for each dead letter",
    frame: bytes(manyHead(MANY), listHead(3 * MIB), repeat(3 * MIB, 0x01), repeat(MANY - 1, 0xc0)),
    answer: `ack ${MANY} WEIR_EVENT_NOT_A_MAP`,
  },
  {
    name: "one event too many",
    frame: bytes(manyHead(MANY + 1), repeat(MANY + 1, 0xc0)),
    answer: "WEIR_FRAME_TOO_MANY_EVENTS",
    isKept: true,
  },
  {
    name: "a long shape for ten thousand tiny records: dead letters do not repeat it",
    frame: bytes(manyHead(MANY), shape(0x40, "k".repeat(300_000)), 0xc0, repeat(MANY - 1, 0x40, 0xc0)),
    answer: `ack ${MANY} WEIR_EVENT_FIELD_MISSING at eventId`,
  },
  {
    name: "the same with an extension, for the careful decoder",
    frame: bytes(manyHead(MANY), shape(0x40, "k".repeat(2 * MIB)), "d4 01 00", repeat(MANY - 1, 0x40, 0xc0)),
    answer: `ack ${MANY} WEIR_EVENT_FIELD_MISSING at eventId`,
  },
  {
    name: "a far shape that each reference would define anew",
    frame: publish(
      bytes("d5 72 60 00", list([pack("b")]), 0xc0),
      bytes("d5 72 60 01", list([pack("k".repeat(50_000))]), 0xc0),
      list(new Array<Uint8Array>(1_000).fill(bytes("60 01 c0"))),
    ),
    answer: "ack 2 WEIR_EVENT_FIELD_MISSING at eventId, WEIR_EVENT_NOT_A_MAP",
  },
  {
    name: "a shape of 100,000 fields, four times",
    frame: bytes(manyHead(4), wideShape, repeat(100_000, 1), repeat(3, 0x40, repeat(100_000, 1))),
    answer: "ack 4 WEIR_EVENT_FIELD_MISSING at eventId",
  },
  {
    name: "3 Mi records without fields in a property",
    frame: property(bytes(listHead(3 * MIB), "d4 72 40 90", repeat(3 * MIB - 1, 0x40))),
    answer: "ack ok, WEIR_EVENT_PROPERTIES_TOO_LARGE at properties, ok",
  },
  {
    name: "3 Mi empty maps in a field of its own",
    frame: among(event({ extra: bytes(listHead(3 * MIB), repeat(3 * MIB, 0x80)) })),
    answer: "ack ok, WEIR_EVENT_PROPERTIES_TOO_LARGE at extra, ok",
  },
  {
    name: "a property of 3 MiB",
    frame: property(textOf(repeat(3 * MIB, 0x61))),
    answer: "ack ok, WEIR_EVENT_PROPERTIES_TOO_LARGE at properties, ok",
  },
  {
    name: "lists that refer to each other, so that their text would have 2^40 values",
    frame: property(laughs(40)),
    answer: "ack ok, WEIR_EVENT_VALUE_INVALID at properties.x.0, ok",
  },
  {
    name: "an integer of 8 million bits",
    frame: property(extension(0x42, repeat(MIB, 0x7f))),
    answer: "ack ok, WEIR_EVENT_VALUE_INVALID at properties.x, ok",
  },
  {
    name: "a frame just too large",
    frame: new Uint8Array(limits.frameBytesMax + 1),
    answer: "WEIR_FRAME_TOO_LARGE; closed 1009",
  },
  { name: "a frame of twice the limit", frame: new Uint8Array(2 * limits.frameBytesMax), answer: "ended" },
  {
    name: "a ping of 100 KiB",
    frame: map(["t", pack("ping")], ["x", textOf(repeat(100 * 1024, 0x61))]),
    answer: "WEIR_FRAME_TOO_LARGE; closed 1009",
  },
];

const blanks = (count: number) => Buffer.alloc(count, " ");

const bodies: readonly CorpusCase[] = [
  {
    name: "16 MiB of blanks in 16 KiB of gzip",
    body: blanks(16 * MIB),
    isGzip: true,
    answer: "400 WEIR_FRAME_MALFORMED",
    isKept: true,
  },
  { name: "gzip that inflates past the limit", body: blanks(64 * MIB), isGzip: true, answer: "413 WEIR_FRAME_TOO_LARGE" },
  { name: "gzip in gzip", body: gzipSync(blanks(64 * MIB)), isGzip: true, answer: "400 WEIR_FRAME_MALFORMED", isKept: true },
  { name: "JSON lists nested a million deep", body: "[".repeat(1e6) + "]".repeat(1e6), answer: "200 WEIR_EVENT_NOT_A_MAP" },
  {
    name: "JSON maps nested a million deep in a field",
    body: `[${jsonEvent({}, { extra: `${'{"a":'.repeat(1e6)}1${"}".repeat(1e6)}` })}]`,
    answer: "200 WEIR_EVENT_PROPERTIES_TOO_LARGE at extra",
  },
  { name: "JSON that is never closed", body: "[".repeat(1e6), answer: "400 WEIR_FRAME_MALFORMED", isKept: true },
  { name: "a million events", body: `[${"0,".repeat(1e6)}0]`, answer: "413 WEIR_FRAME_TOO_MANY_EVENTS", isKept: true },
  {
    name: "a million lists of events",
    body: `{${'"events":[],'.repeat(1e6)}"events":[7]}`,
    answer: "200 WEIR_EVENT_NOT_A_MAP",
  },
  {
    name: "ten thousand lines that are nothing",
    body: "x\n".repeat(MANY),
    type: "application/x-ndjson",
    answer: `200 ${MANY} WEIR_FRAME_MALFORMED`,
  },
  {
    name: "ten thousand and one lines",
    body: "x\n".repeat(MANY + 1),
    type: "application/x-ndjson",
    answer: "413 WEIR_FRAME_TOO_MANY_EVENTS",
    isKept: true,
  },
  { name: "eight million blank lines", body: "\r\n".repeat(4 * MIB), type: "application/x-ndjson", answer: "200" },
  {
    name: "msgpack lengths that lie, over HTTP",
    body: bytes(0xdd, uint32(0xffff_ffff)),
    type: "application/msgpack",
    answer: "400 WEIR_FRAME_MALFORMED",
    isKept: true,
  },
];

export const bombs: readonly CorpusCase[] = [...frames, ...bodies];
