/** The text of a dead letter: JSON where the bytes are plain values, base64 where they are not, never larger than a few times the bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { deadLetterText } from "../../workers/dead-letter-text.ts";
import { bytes, extension, listHead, map, pack, repeat, shape } from "../fuzz/msgpack-bytes.ts";

const textOf = (raw: Uint8Array) => deadLetterText(FRAME_FORMATS.msgpack, raw);
const base64 = (raw: Uint8Array) => JSON.stringify({ undecodableBase64: Buffer.from(raw).toString("base64") });

test("plain values become JSON", () => {
  assert.equal(textOf(pack({ a: [1, "x", null, true] })), '{"a":[1,"x",null,true]}');
  assert.equal(textOf(bytes(shape(0x40, "a"), 5)), '{"a":5}');
  assert.equal(textOf(map(["n", bytes("cf ffffffffffffffff")])), '{"n":"18446744073709551615"}');
  assert.equal(textOf(pack(null)), "null");
  assert.equal(deadLetterText(FRAME_FORMATS.json, Buffer.from('{"a":1}')), '{"a":1}');
});

test("what is no msgpack, has extensions or is nested without end becomes base64", () => {
  for (const raw of [
    bytes(0xc1),
    new Uint8Array(0),
    bytes(1, 2),
    map(["x", extension(0x42, new Uint8Array(100))]),
    map(["x", bytes("d4 78 00", pack("a+"))]),
    repeat(10_000, 0x91),
  ]) {
    assert.equal(textOf(raw), base64(raw));
  }
});

test("lists that refer to each other do not multiply", () => {
  // msgpackr's structured cloning: list n holds list n - 1 twice.
  const lists = Array.from({ length: 40 }, (_, index) => {
    const before = index === 0 ? bytes(1) : bytes("d6 70 000000", index);
    return bytes("d6 69 000000", index + 1, 0x92, before, before);
  });
  const raw = bytes(listHead(lists.length), ...lists);
  assert.equal(textOf(raw), base64(raw));
});
