/**
 * Tables of what has been seen before (interned texts) are bounded whatever is sent: once they are full, another
 * million different texts takes no more memory, what has been let go is counted, and what is read is right all the same. Nothing
 * but speed may depend on them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { FRAME_FORMATS, type EventColumns } from "../../protocol/event-columns.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { Interner } from "../../protocol/interner.ts";
import { readerEvictions, readFrame } from "../../workers/frame-reader.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { profiles } from "../../bench/frame-profiles.ts";
import { StampedFrames } from "../../bench/stamped-frames.ts";

const MIB = 2 ** 20;
/** A million texts kept would be 50 MiB and more. */
const GROWTH_MAX = 12 * MIB;
const INGEST_MS = Date.UTC(2026, 0, 15, 12);
const wanted: readonly string[] = ["properties.path", "properties.shop", "context.userAgent", "source"];

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Does the work twice: the first time fills the tables, the second must not take more memory. */
function takesNoMore(work: (pass: number) => void): void {
  work(0);
  const before = heapBytes();
  work(1);
  const grown = heapBytes() - before;
  assert.ok(grown < GROWTH_MAX, `grown by ${(grown / MIB).toFixed(1)} MiB`);
}

function read(bytes: Uint8Array): EventColumns {
  return readFrame({
    format: FRAME_FORMATS.msgpack,
    bytes,
    tenant: "acme",
    ingestTimeMs: INGEST_MS,
    partitionCount: 16,
    wanted,
  });
}

test("an interner: a million texts, each given back as it is, and the one that came just before as the same", () => {
  const interner = new Interner(1_024);
  const bytes = new Uint8Array(16);
  const frame = { bytes, view: new DataView(bytes.buffer) };
  const encoder = new TextEncoder();
  takesNoMore((pass) => {
    for (let number = 0; number < 500_000; number++) {
      const text = `${pass}-text-${number}`;
      const { written } = encoder.encodeInto(text, bytes);
      if (interner.text(frame, 0, written) !== text || interner.text(frame, 0, written) !== text) assert.fail(text);
      if (pass === 0 && number === 99) assert.equal(interner.evicted, 0);
    }
  });
  assert.ok(interner.evicted >= 1_000_000 - 1_024 && interner.evicted < 1_000_000, `${interner.evicted}`);
});

test("the reader: 1.4 million texts that come once, in every place of an event, and columns that are right", () => {
  const batch = 100;
  const frames = new StampedFrames(profiles.uniqueTexts({ run: 1, batch, sessions: 1, series: 1, nowMs: INGEST_MS }));
  const digits = (number: number): string => number.toString(16).padStart(12, "0");
  takesNoMore((pass) => {
    for (let frame = pass * 1_000; frame < (pass + 1) * 1_000; frame++) {
      const columns = read(frames.frame(frame));
      const fields = wanted.map((path) => columns.field(path));
      for (let row = 0; row < batch; row++) {
        const number = digits(frame * batch + row);
        const texts = [
          columns.sessionIds[row],
          columns.userIds[row],
          columns.eventTypes[row],
          ...fields.map((field) => field[row]),
        ];
        const expected = [
          `5e550000-0000-4000-8000-${number}`,
          `user-${number}`,
          `type-${number}`,
          `/${number}`,
          number,
          `agent-${number}`,
          `source-${number}`,
        ];
        for (let at = 0; at < expected.length; at++) if (texts[at] !== expected[at]) assert.deepEqual(texts, expected);
        assert.equal(columns.verdicts[row], ACCEPTED);
      }
    }
  });
  const { texts, ids } = readerEvictions();
  // Ids of sessions and users; four fields and the types of events.
  assert.ok(ids > 250_000 && ids < 400_000, `${ids}`);
  assert.ok(texts > 900_000 && texts < 1_000_000, `${texts}`);
});

test("the reader: 4,000 shapes of records, and columns that are right", () => {
  const batch = 50;
  const longKeys = (number: number): string[] => Array.from({ length: 8 }, (_, key) => `${number}-${key}-`.padEnd(200, "x"));
  const event = (number: number): Record<string, unknown> => ({
    eventId: `e-${number}`,
    sessionId: "s",
    eventType: "click",
    eventCategory: "web",
    timestamp: INGEST_MS,
    properties: { path: `/${number}`, ...Object.fromEntries(longKeys(number).map((key) => [key, 1])) },
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "" },
    source: "shop",
    version: "1",
    environment: "test",
  });
  takesNoMore((pass) => {
    for (let first = pass * 2_000; first < (pass + 1) * 2_000; first += batch) {
      const columns = read(
        encodePublish(
          1,
          Array.from({ length: batch }, (_, row) => event(first + row)),
        ),
      );
      const expected = Array.from({ length: batch }, (_, row) => `/${first + row}`);
      assert.deepEqual([...columns.field("properties.path")], expected);
    }
  });
});
