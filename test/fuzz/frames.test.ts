/**
 * Some thousand forged frames, always the same: plain reader, reference, split frames and zod schema agree. For others run
 * `npm run fuzz -- --frames 1000000`. And that it can fail: an event that a reader judges otherwise is noticed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { forgeFrame } from "./frames/forge-frame.ts";
import { INGEST_MS } from "./frames/odd-values.ts";
import { FrameFailure, fuzzFrames } from "./frames/frame-fuzz.ts";
import { checkAgainstSchema } from "./frames/schema-agrees.ts";
import { event } from "./corpus/event-bytes.ts";
import { bytes, publish } from "./msgpack-bytes.ts";
import { Random } from "./random.ts";

test("the readers and the schema say the same of forged frames", () => {
  const { frames, plain, accepted, refused } = fuzzFrames({ seed: 20_260_101, frames: 3_000 });
  assert.ok(plain > frames / 8, `${plain} of ${frames} were read the plain way`);
  assert.ok(accepted > frames && refused > frames / 8, `${accepted} events were accepted, ${refused} refused`);
});

test("a frame is the same whenever it is forged again", () => {
  const forged = (seed: number, index: number): string => Buffer.from(forgeFrame(Random.ofCase(seed, index))).toString("hex");
  assert.equal(forged(1, 2), forged(1, 2));
  assert.notEqual(forged(1, 2), forged(1, 3));
  assert.notEqual(forged(1, 2), forged(2, 2));
});

test("an event that the schema would judge otherwise is noticed, and the failure says how to make the frame again", () => {
  const good = event({ timestamp: INGEST_MS });
  assert.deepEqual(checkAgainstSchema(publish(good, event({ timestamp: INGEST_MS, source: "" }))), { accepted: 1, refused: 1 });
  assert.deepEqual(checkAgainstSchema(bytes("c1")), { accepted: 0, refused: 0 });
  // The schema of the check received the event at another time than the reader.
  assert.throws(() => checkAgainstSchema(publish(event({ timestamp: INGEST_MS + 350_000 })), INGEST_MS + 400_000));
  assert.throws(
    () => fuzzFrames({ seed: 7, frames: 500, ingestTimeMs: INGEST_MS - 365 * 86_400_000 }),
    (error) => error instanceof FrameFailure && /--frames 1 --seed 7 --case \d+/.test(error.message),
  );
});
