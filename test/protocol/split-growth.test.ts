/** Law: the shares of a frame together are a few times the frame at most, however long the shapes are that one event defines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { FrameSplitter } from "../../protocol/split-frame.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";
import { bytes, list, pack, publish, repeat } from "../fuzz/msgpack-bytes.ts";

test("long shapes do not go to every host whose events use none of them", () => {
  const HOSTS = 16;
  const keys = Array.from({ length: 30 }, (_, key) => `${key}-`.padEnd(250, "x")).map(pack);
  const records = Array.from({ length: 60 }, (_, number) =>
    bytes(0xd4, 0x72, 0x40 + number, 0xdc, 0, 30, ...keys, repeat(30, 1)),
  );
  const event = (session: number, more: Uint8Array): Uint8Array =>
    bytes(0x82, pack("sessionId"), pack(`session-${session}`), pack("properties"), more);
  const frame = publish(event(0, list(records)), ...Array.from({ length: 100 }, (_, session) => event(session, pack({}))));
  const shares = new FrameSplitter(splitProgram()).split({
    format: FRAME_FORMATS.msgpack,
    bytes: frame,
    tenant: "t",
    partitionCount: HOSTS,
    hostOf: (partition) => partition,
  });
  assert.ok(typeof shares !== "number" && shares.length === HOSTS);
  const total = shares.reduce((sum, share) => sum + share.bytes.length, 0);
  assert.ok(total < 2 * frame.length, `${total} bytes of a frame of ${frame.length}`);
  assert.equal(
    shares.reduce((sum, { indexes }) => sum + indexes.length, 0),
    101,
  );
});
