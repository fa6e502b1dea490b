/** Events cut out of a frame: whole and decodable alone, in time and size that follow the frame, not its rows times its bytes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMsgpack } from "../../protocol/msgpack-decode.ts";
import { eventSlicer } from "../../protocol/msgpack-slices.ts";
import { bytes, extension, list, listHead, pack, publish, repeat, shape } from "../fuzz/msgpack-bytes.ts";

const EVENTS = 10_000;

test("a row comes with the shapes that others have defined", () => {
  const frame = publish(bytes(shape(0x40, "a", "b"), 1, 2), bytes(0x40, 3, 4), pack(null));
  const slice = eventSlicer(frame);
  assert.deepEqual(decodeMsgpack(slice(1)), { a: 3, b: 4 });
  assert.deepEqual(decodeMsgpack(slice(0)), { a: 1, b: 2 });
  assert.deepEqual(slice(2), Uint8Array.of(0xc0));
});

test("all rows of a frame of many small values are cut in the time of one", () => {
  const large = bytes(listHead(500_000), repeat(500_000, 1));
  const one = bytes(0x81, pack("events"), listHead(EVENTS), large, repeat(EVENTS - 1, 0xc0));
  eventSlicer(one)(1);
  const startMs = performance.now();
  eventSlicer(one)(1);
  const firstMs = performance.now() - startMs;
  const slice = eventSlicer(one);
  let total = 0;
  for (let row = 1; row < EVENTS; row++) total += slice(row).length;
  assert.equal(total, EVENTS - 1);
  // Scanning the frame for each row would take thousands of times as long.
  assert.ok(performance.now() - startMs < firstMs * 200);
});

test("a long shape is not repeated for each tiny record", () => {
  const name = "k".repeat(100_000);
  const records = repeat(EVENTS - 1, 0x40, 0xc0);
  const frame = bytes(0x81, pack("events"), listHead(EVENTS), shape(0x40, name), 0xc0, records);
  const slice = eventSlicer(frame);
  assert.deepEqual(decodeMsgpack(slice(0)), { [name]: null });
  let total = 0;
  for (let row = 0; row < EVENTS; row++) total += slice(row).length;
  assert.ok(total < frame.length * 2, `${total} bytes of a frame of ${frame.length}`);
});

test("far shapes that are defined anew for each reference do not grow without end", () => {
  const far = bytes(0xd5, 0x72, 0x60, 0x01, list([pack("k".repeat(50_000))]), 0xc0);
  const base = bytes(0xd5, 0x72, 0x60, 0x00, list([pack("b")]), 0xc0);
  const references = list(new Array<Uint8Array>(1_000).fill(bytes(0x60, 0x01, 0xc0)));
  const frame = publish(base, far, references);
  assert.ok(eventSlicer(frame)(2).length < frame.length * 20);
});

test("names of a shape are decoded once, whatever the number of its records", () => {
  const name = "k".repeat(1_000_000);
  const first = bytes(shape(0x40, name), extension(1, new Uint8Array(1)));
  const timeOf = (records: number): number => {
    const frame = bytes(listHead(records + 1), first, repeat(records, 0x40, 1));
    const startMs = performance.now();
    const events = decodeMsgpack(frame) as Record<string, unknown>[];
    assert.equal(events.at(-1)?.[name], 1);
    return performance.now() - startMs;
  };
  timeOf(1);
  // Decoding it for each record would take thousands of times as long.
  assert.ok(timeOf(EVENTS) < timeOf(1) * 1_000);
});
