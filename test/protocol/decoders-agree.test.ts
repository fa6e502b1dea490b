/**
 * What a frame's bytes mean depends neither on whether msgpackr has its native part on this machine nor on what else is in the
 * frame: a replay elsewhere, or a share of the frame, would give other verdicts and values.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { readFrame } from "../../workers/frame-reader.ts";
import { codeOf } from "../../protocol/verdicts.ts";
import { event } from "../fuzz/corpus/event-bytes.ts";
import { bytes, extension, map, pack, publish, shape, textOf, uint32 } from "../fuzz/msgpack-bytes.ts";

const INGEST_MS = Date.UTC(2026, 0, 15);
const SECONDS = INGEST_MS / 1000 - 60;
const MARK = "efbbbf";
const marked = (length: number): Uint8Array => textOf(bytes(MARK, Buffer.alloc(length - 3, "x")));
const seconds96 = (high: string): Uint8Array => bytes(high, uint32(SECONDS));
const timestamp96 = (nanoseconds: number, seconds: Uint8Array): Uint8Array =>
  extension(0xff, bytes(uint32(nanoseconds), seconds));

const cases: Readonly<Record<string, Uint8Array>> = {
  "a label with a byte order mark": event({ timestamp: INGEST_MS, eventType: marked(70) }),
  "an id with one": event({ timestamp: INGEST_MS, eventId: marked(100) }),
  "a short one": event({ timestamp: INGEST_MS, eventType: marked(20) }),
  "a property with one": event({ timestamp: INGEST_MS, properties: map(["x", marked(300)]) }),
  "a key with one": event({ timestamp: INGEST_MS, properties: map([marked(80), pack(1)]) }),
  "a record's key with one": event({
    timestamp: INGEST_MS,
    properties: bytes(shape(0x40, `\uFEFF${"k".repeat(80)}`), pack(1)),
  }),
  "a timestamp of 96 bits": event({ timestamp: timestamp96(5_000_000, seconds96("00000000")) }),
  "one with more nanoseconds than a second has": event({ timestamp: timestamp96(1_000_000_000, seconds96("00000000")) }),
  "one with the highest bit of its nanoseconds": event({ timestamp: timestamp96(2 ** 31, seconds96("00000000")) }),
  "one whose seconds pass 48 bits": event({ timestamp: timestamp96(0, seconds96("00010000")) }),
  "one with negative seconds": event({ timestamp: timestamp96(0, seconds96("ffffffff")) }),
  "one of three bytes": event({ timestamp: extension(0xff, bytes("000001")) }),
};

/** What the reader makes of the first event. */
function readingOf(frame: Uint8Array): unknown {
  const request = { format: FRAME_FORMATS.msgpack, bytes: frame, tenant: "t", ingestTimeMs: INGEST_MS, partitionCount: 4 };
  const [reference, fast] = [readEvents(request), readFrame({ ...request, wanted: ["properties.x", "eventType"] })].map(
    (columns) => ({
      code: codeOf(columns.verdicts[0] ?? 0) ?? "accepted",
      path: columns.wrongPaths.get(0),
      timeMs: columns.eventTimesMs[0],
      id: columns.eventIds.text(0),
      event: JSON.stringify(columns.events[0]),
      values: [columns.field("properties.x")[0], columns.field("eventType")[0]],
    }),
  );
  assert.deepEqual(fast, reference);
  return reference;
}

const readings = (frames: Readonly<Record<string, Uint8Array>>): string =>
  JSON.stringify(Object.entries(frames).map(([name, frame]) => [name, readingOf(frame)]));

const frames = Object.fromEntries(Object.entries(cases).map(([name, each]) => [name, publish(each)]));
const childMark = "WEIR_TEST_READS_FRAMES";

if (process.env[childMark] !== undefined) {
  const given = JSON.parse(process.env[childMark]) as Record<string, string>;
  process.stdout.write(readings(Object.fromEntries(Object.entries(given).map(([name, hex]) => [name, bytes(hex)]))));
  process.exit(0);
}

test("msgpackr with its native part reads what it reads without it", () => {
  const hex = Object.fromEntries(Object.entries(frames).map(([name, frame]) => [name, Buffer.from(frame).toString("hex")]));
  const read = (disabled: boolean): unknown => {
    const env = { ...process.env, MSGPACKR_NATIVE_ACCELERATION_DISABLED: String(disabled), [childMark]: JSON.stringify(hex) };
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url)], { env, encoding: "utf8" });
    assert.equal(child.status, 0, child.stderr);
    return JSON.parse(child.stdout) as unknown;
  };
  assert.deepEqual(read(true), read(false));
});

test("what else is in the frame makes no difference", () => {
  const foreign = event({ timestamp: INGEST_MS, properties: map(["x", extension(0x7b, bytes("01"))]) });
  for (const [name, each] of Object.entries(cases)) {
    assert.deepEqual(readingOf(publish(each, foreign)), readingOf(publish(each)), name);
  }
});

test("texts keep their byte order mark, and a timestamp is one or is refused", () => {
  const reading = (name: string) => readingOf(frames[name] ?? bytes()) as { code: string; path?: string; values: unknown[] };
  assert.equal(reading("a label with a byte order mark").values[1], `\uFEFF${"x".repeat(67)}`);
  assert.equal(reading("a timestamp of 96 bits").code, "accepted");
  const refused = Object.keys(cases).filter((name) => name.startsWith("one "));
  assert.deepEqual(
    refused.map((name) => reading(name).path),
    refused.map(() => "timestamp"),
  );
});
