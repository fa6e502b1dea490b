/** Numbers that a double cannot hold, and times at the ends of every format. */
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, extension, pack } from "../msgpack-bytes.ts";
import { among, event, jsonEvent, property } from "./event-bytes.ts";

const fine = { answer: "ack 3 ok" } as const;
const wrong = { answer: "ack ok, WEIR_EVENT_NUMBER_INVALID at properties.x, ok" } as const;
const noTime = { answer: "ack ok, WEIR_EVENT_TIMESTAMP_INVALID at timestamp, ok" } as const;
const future = { answer: "ack ok, WEIR_EVENT_TIMESTAMP_FUTURE at timestamp, ok" } as const;
const late = { answer: "ack ok, WEIR_EVENT_LATE, ok" } as const;

function at(timestamp: unknown): Uint8Array {
  return among(event({ timestamp }));
}

function int64(token: 0xcf | 0xd3, value: bigint): Uint8Array {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes(token, buffer);
}

const numbers: readonly CorpusCase[] = [
  { name: "NaN", frame: property(Number.NaN), ...wrong },
  { name: "a NaN with bits of its own", frame: property(bytes("cb fff8 dead beef 0001")), ...wrong },
  { name: "a NaN of 32 bits", frame: property(bytes("ca 7fc00001")), ...wrong },
  { name: "infinity", frame: property(bytes("cb 7ff0000000000000")), ...wrong },
  { name: "minus infinity of 32 bits", frame: property(bytes("ca ff800000")), ...wrong },
  { name: "minus zero", frame: property(bytes("cb 8000000000000000")), ...fine },
  { name: "the smallest number", frame: property(5e-324), ...fine },
  { name: "the largest fraction that is exact", frame: property(2 ** 52 - 0.5), ...fine },
  { name: "2^53 - 1", frame: property(int64(0xcf, 2n ** 53n - 1n)), ...fine },
  { name: "2^53", frame: property(int64(0xcf, 2n ** 53n)), ...wrong },
  { name: "2^53 + 1", frame: property(int64(0xcf, 2n ** 53n + 1n)), ...wrong },
  { name: "2^64 - 1", frame: property(int64(0xcf, 2n ** 64n - 1n)), ...wrong },
  { name: "-(2^53 - 1)", frame: property(int64(0xd3, -(2n ** 53n) + 1n)), ...fine },
  { name: "-(2^53) - 1", frame: property(int64(0xd3, -(2n ** 53n) - 1n)), ...wrong },
  { name: "-(2^63)", frame: property(int64(0xd3, -(2n ** 63n))), ...wrong },
  { name: "a small integer in 64 bits", frame: property(int64(0xd3, -1n)), ...fine },
  { name: "1e300", frame: property(1e300), ...wrong },
  { name: "2^53 as a text", frame: property("9007199254740993"), ...fine },
  {
    name: "an integer past 2^53 in JSON",
    body: `[${jsonEvent({}, { properties: '{"x":9007199254740993}' })}]`,
    answer: "200 WEIR_EVENT_NUMBER_INVALID at properties.x",
  },
  {
    name: "1e999 in JSON",
    body: `[${jsonEvent({}, { properties: '{"x":1e999}' })}]`,
    answer: "200 WEIR_EVENT_NUMBER_INVALID at properties.x",
  },
  { name: "1e-999 in JSON", body: `[${jsonEvent({}, { properties: '{"x":1e-999}' })}]`, answer: "200 ok" },
  {
    name: "NaN in JSON",
    body: `[${jsonEvent({}, { properties: '{"x":NaN}' })}]`,
    answer: "400 WEIR_FRAME_MALFORMED",
    isKept: true,
  },
  {
    name: "a number of a million digits in JSON",
    body: `[${jsonEvent({}, { properties: `{"x":${"1".repeat(1e6)}}` })}]`,
    answer: "200 WEIR_EVENT_NUMBER_INVALID at properties.x",
  },
  {
    name: "seq as NaN",
    frame: bytes(0x83, pack("t"), pack("pub"), pack("seq"), "cb 7ff8000000000000", pack("events"), 0x90),
    answer: "WEIR_FRAME_FIELD_INVALID at seq",
  },
  {
    name: "seq as infinity",
    frame: bytes(0x83, pack("t"), pack("pub"), pack("seq"), "cb 7ff0000000000000", pack("events"), 0x90),
    answer: "WEIR_FRAME_FIELD_INVALID at seq",
  },
  {
    name: "seq as 2^64 - 1",
    frame: bytes(0x83, pack("t"), pack("pub"), pack("seq"), "cf ffffffffffffffff", pack("events"), 0x90),
    answer: "WEIR_FRAME_FIELD_INVALID at seq",
  },
  {
    name: "seq below zero and broken",
    frame: bytes(0x83, pack("t"), pack("pub"), pack("seq"), pack(-1.5), pack("events"), 0x90),
    answer: "ack",
  },
];

const iso = (text: string) => at(text);
const now = Date.now();
const eightDays = 8 * 86_400_000;

const times: readonly CorpusCase[] = [
  ...[
    0,
    -1,
    -0.5,
    1e300,
    -1e300,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    8.64e15 + 1,
    Date.UTC(2000) - 1,
    Math.floor(now / 1000),
  ].map((value): CorpusCase => ({
    name: `the time ${value}`,
    frame: at(value),
    ...noTime,
  })),
  { name: "the first time of 2000", frame: at(Date.UTC(2000)), ...late },
  { name: "eight days ago", frame: at(now - eightDays), ...late },
  { name: "ten minutes ahead", frame: at(now + 600_000), ...future },
  { name: "the largest time of all", frame: at(8.64e15), ...future },
  { name: "a fraction of a millisecond", frame: at(now - 1000.5), ...fine },
  { name: "a time as a decimal text", frame: at(String(now)), ...noTime },
  { name: "a time as an integer of 64 bits", frame: at(int64(0xcf, BigInt(now))), ...fine },
  { name: "a time of 2^64 - 1", frame: at(int64(0xcf, 2n ** 64n - 1n)), ...noTime },
  {
    name: "a msgpack time of 32 bits",
    frame: at(bytes("d6 ff", Buffer.from(Math.floor(now / 1000).toString(16), "hex"))),
    ...fine,
  },
  { name: "a msgpack time of 32 bits, all ones", frame: at(bytes("d6 ff ffffffff")), ...future },
  { name: "a msgpack time of 64 bits, all ones", frame: at(bytes("d7 ff ffffffffffffffff")), ...future },
  { name: "a msgpack time of 64 bits, all zeros", frame: at(bytes("d7 ff 0000000000000000")), ...noTime },
  { name: "a msgpack time of 96 bits, all ones", frame: at(bytes("c7 0c ff ffffffff ffffffffffffffff")), ...noTime },
  { name: "a msgpack time of 96 bits, the largest", frame: at(bytes("c7 0c ff 3b9ac9ff 7fffffffffffffff")), ...noTime },
  { name: "a msgpack time of 5 bytes", frame: at(extension(0xff, bytes("0000000001"))), ...noTime },
  { name: "a msgpack time without bytes", frame: at(extension(0xff, new Uint8Array(0))), ...noTime },
  ...[
    "",
    " ",
    "now",
    "2026",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T23:59:60Z",
    "2026-02-29T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-32T00:00:00Z",
    "2026-1-1T0:0:0Z",
    "20260101T000000Z",
    "+275760-09-13T00:00:00Z",
    "-000001-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+0100",
    "2026-01-01T00:00:00Z; DROP TABLE events",
    `2026-01-01T00:00:00.${"0".repeat(10)}Z`,
    "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "Thu, 01 Jan 2026 00:00:00 GMT",
  ].map((text): CorpusCase => ({ name: `the time \`${text}\``, frame: iso(text), ...noTime })),
  { name: "a time of a million digits", frame: iso(`2026-01-01T00:00:00.${"0".repeat(1e6)}Z`), ...noTime },
  { name: "a time of 9999", frame: iso("9999-12-31T23:59:59.999Z"), ...future },
  { name: "a time with a zone", frame: iso(new Date(now + 3_600_000).toISOString().replace("Z", "+01:00")), ...fine },
  ...[null, true, [], {}, ""].map((value): CorpusCase => ({
    name: `the time ${JSON.stringify(value)}, no time at all`,
    frame: at(value),
    ...noTime,
  })),
];

export const numbersAndTimes: readonly CorpusCase[] = [...numbers, ...times];
