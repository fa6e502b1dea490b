/**
 * The random part for a few seconds, always from the same seed: that it runs, and that what it has found once stays mended. For new
 * cases run `npm run fuzz -- --seconds 600`. And that it can fail: a reader that reads otherwise is noticed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { goodFields } from "./corpus/event-bytes.ts";
import { fuzz } from "./fuzz-run.ts";
import { pack } from "./msgpack-bytes.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { checkReaders } from "./readers-agree.ts";
import { seedFrame } from "./seed-frames.ts";

test("damaged frames, bodies and connections have coded answers, the same from one host as from two", async () => {
  const report = await fuzz({ seed: 20_260_101, seconds: 10, casesMax: 3_000 });
  assert.ok(report.cases > 0);
});

test("the readers agree on four thousand damaged frames", () => {
  let plain = 0;
  for (let index = 0; index < 4_000; index++) {
    const random = Random.ofCase(1, index);
    const bytes = seedFrame(random, index);
    if (checkReaders(FRAME_FORMATS.msgpack, random.chance(0.2) ? bytes : mutate(bytes, random, bytes), Date.now())) plain++;
  }
  assert.ok(plain > 100, `${plain} were read the plain way`);
});

test("a case is the same whenever it is made again, and damage is done", () => {
  const numbers = (seed: number, index: number) =>
    Array.from({ length: 8 }, () => Random.ofCase(seed, index)).map((each) => each.next());
  assert.equal(new Set(numbers(1, 2)).size, 1);
  assert.notEqual(numbers(1, 2)[0], numbers(1, 3)[0]);
  assert.notEqual(numbers(1, 2)[0], numbers(2, 2)[0]);
  const bytes = pack({ t: "pub", seq: 1, events: [goodFields()] });
  let same = 0;
  for (let index = 0; index < 100; index++) if (Buffer.from(mutate(bytes, new Random(index), bytes)).equals(bytes)) same++;
  assert.ok(same < 10, `${same} of 100 were not damaged`);
});
