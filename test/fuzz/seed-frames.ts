/** What the random part starts from: the frames of the corpus, and good ones in every form in which events may come. */
import { Packr } from "msgpackr";
import { encodePublish } from "../../protocol/frames.ts";
import { controlFrames } from "./corpus/control-frames.ts";
import { event, goodFields, type Fields } from "./corpus/event-bytes.ts";
import { extensions } from "./corpus/extensions.ts";
import { hostileNames } from "./corpus/names.ts";
import { numbersAndTimes } from "./corpus/numbers-and-times.ts";
import { injections, texts } from "./corpus/texts.ts";
import { pack, publish } from "./msgpack-bytes.ts";
import type { Random } from "./random.ts";

const SEED_BYTES_MAX = 16 * 1024;

const fromCorpus: readonly Uint8Array[] = [controlFrames, extensions, hostileNames, numbersAndTimes, texts].flatMap((cases) =>
  cases.flatMap((each) =>
    "frame" in each && each.frame instanceof Uint8Array && each.frame.length > 0 && each.frame.length < SEED_BYTES_MAX
      ? [each.frame]
      : [],
  ),
);

const values: readonly unknown[] = [
  ...Object.values(injections),
  0,
  -1,
  1.5,
  2 ** 31,
  2 ** 52,
  true,
  null,
  [],
  [1, "a"],
  {},
  { a: { b: 1 } },
];

function someEvent(random: Random, id: string): Fields {
  const properties = Object.fromEntries(
    Array.from({ length: random.below(5) }, (_, index) => [
      random.chance(0.7) ? `k${index}` : String(random.pick(values)),
      random.pick(values),
    ]),
  );
  return {
    ...goodFields(),
    eventId: id,
    sessionId: `s-${random.below(20)}`,
    properties,
    ...(random.chance(0.5) ? { userId: `u-${random.below(20)}` } : {}),
    ...(random.chance(0.2) ? { campaign: random.pick(values) } : {}),
    ...(random.chance(0.2) ? { timestamp: new Date() } : {}),
    ...(random.chance(0.2) ? { timestamp: new Date().toISOString() } : {}),
  };
}

const encoders: readonly ((events: readonly Fields[]) => Uint8Array)[] = [
  (events) => encodePublish(1, events),
  (events) => pack({ t: "pub", seq: 1, events }),
  (events) => pack({ events, seq: 1, t: "pub" }),
  (events) => pack({ t: "pub", seq: 1, more: { a: [1] }, events }),
  (events) => new Packr({ useRecords: true, maxSharedStructures: 0 }).pack({ t: "pub", seq: 70, events }),
  (events) => publish(...events.map((each) => event(each))),
];

/**
 * Ids are those of the case, so that the same case is the same frame; times are of now. With a `prefix` of its own, no other frame
 * has them.
 */
export function seedFrame(random: Random, index: number, prefix?: string): Uint8Array {
  if (prefix === undefined && random.chance(0.3)) return random.pick(fromCorpus);
  const events = Array.from({ length: 1 + random.below(4) }, (_, row) => someEvent(random, `${prefix ?? "f"}-${index}-${row}`));
  return Uint8Array.from(random.pick(encoders)(events));
}

/** A body of `POST /v1/events` and its type. */
export function seedBody(random: Random, index: number, prefix?: string): { type: string; bytes: Uint8Array } {
  if (random.chance(0.4)) return { type: "application/msgpack", bytes: seedFrame(random, index, prefix) };
  const events = Array.from({ length: 1 + random.below(4) }, (_, row) => someEvent(random, `${prefix ?? "b"}-${index}-${row}`));
  if (random.chance(0.5)) {
    return { type: "application/x-ndjson", bytes: Buffer.from(events.map((each) => JSON.stringify(each)).join("\n")) };
  }
  return { type: "application/json", bytes: Buffer.from(JSON.stringify(random.chance(0.5) ? events : { events })) };
}
