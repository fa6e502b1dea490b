/** Values, as msgpack, that some field does not take, just takes, or that readers could take for something else. */
import { limits } from "../../../protocol/limits.ts";
import { bytes, extension, map, pack, shape, textOf } from "../msgpack-bytes.ts";
import { MsgpackWriter } from "./byte-writer.ts";

/** When the frames are received. */
export const INGEST_MS = Date.UTC(2026, 0, 15, 12);

const packed = (...values: readonly unknown[]): Uint8Array[] => values.map((value) => pack(value));
const written = (...hex: readonly string[]): Uint8Array[] => hex.map((each) => bytes(each));

export const oddTexts: readonly Uint8Array[] = [
  ...packed("", "größe", "x".repeat(256), "x".repeat(257), "é".repeat(128), "é".repeat(129), "\uFEFFx", "\u0000", "null"),
  ...packed("a\uFFFDb", "\uFFFD".repeat(86), `${"x".repeat(90)}\uFFFD`),
  // Broken UTF-8, and texts with a byte order mark that are longer than some decoders mend.
  ...["ff", "c0af", "eda080", "f4908080", "61e282"].map((hex) => shortTextOf(bytes(hex))),
  ...[70, 300].map((length) => shortTextOf(bytes("efbbbf", Buffer.alloc(length, "m")))),
  shortTextOf(Buffer.alloc(254, "ff", "hex")),
  shortTextOf(Buffer.alloc(5_000, "é")),
  textOf(Buffer.alloc(5_000, "x")),
];

/** With the shortest head, as encoders write it. */
function shortTextOf(content: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter();
  writer.textBytes(content);
  return writer.take();
}

export const oddTimes: readonly Uint8Array[] = [
  ...packed("2026-01-15", "2026-02-30T00:00:00Z", "2026-01-15T12:00:00+02:00", "2026-01-15T12:05:00.001Z"),
  ...packed("1999-12-31T23:59:59Z", "2026-01-15T12:00:00z", "2026-01-15T12:00:00.000000Z", "2026-01-15T24:00:00Z"),
  ...packed(INGEST_MS + 300_000, INGEST_MS + 300_001, Date.UTC(2000), Date.UTC(2000) - 1, INGEST_MS + 0.5),
  // Each form of the extension, and some that are none.
  ...written("d6ff69681f80", "d7ff0000000069681f80", "c70cff000000000000000069681f80"),
  ...written("c70cff3b9aca000000000069681f80", "c70cff000000000001000069681f80", "c703ff000001"),
  ...written("d8ff00000000000000000000000000000000", "d7ffffffffff69681f80"),
];

const oddNumbers: readonly Uint8Array[] = [
  ...packed(0, -1, 127, 64, 1.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 60), 1e300, Number.NaN, Number.POSITIVE_INFINITY),
  // Written longer than they are, and beyond what a double holds.
  ...written("d00a", "cd0001", "d3ffffffffffffffff", "cf0020000000000001", "cfffffffffffffffff", "ca3f800000"),
];

const oddMaps: readonly Uint8Array[] = [
  ...packed([], {}, [[[]]], { "": {} }),
  // Names that mean something to JavaScript, a key twice, a number as key, many keys, many levels.
  map(["__proto__", pack(1)], ["constructor", pack({ name: 1 })], ["toString", pack(null)]),
  map(["a", pack(1)], ["a", pack(2)]),
  bytes("81", 1, pack("one")),
  pack(Object.fromEntries(Array.from({ length: limits.propertiesKeysMax + 1 }, (_, index) => [`k${index}`, index]))),
  pack(Array.from({ length: 7 }).reduce<unknown>((inner) => ({ in: inner }), 1)),
  pack(Array.from({ length: 9 }).reduce<unknown>((inner) => [inner], 1)),
  // Records with a definition: ordinary, with a name twice, with a high byte.
  bytes(shape(0x40, "a", "b"), pack(1), pack("x")),
  bytes(shape(0x41, "a", "a"), pack(1), pack(2)),
  bytes("d5724000", bytes("91a161"), pack(1)),
];

export const oddValues: readonly Uint8Array[] = [
  ...oddTexts,
  ...oddTimes,
  ...oddNumbers,
  ...oddMaps,
  ...packed(null, true),
  // "undefined", bytes, records without a definition, one that defines nothing, what no msgpack begins with.
  ...written("d40000", "c403616263", "40", "7f", "d47273d40001", "c700", "c1"),
  // A bundle, an error, a cycle, a set, a regular expression, and extensions of nobody.
  ...[0x62, 0x65, 0x69, 0x73, 0x78, 0x05, 0x7b].map((type) => extension(type, bytes("90"))),
];
