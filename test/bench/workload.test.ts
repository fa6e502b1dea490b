import assert from "node:assert/strict";
import { test } from "node:test";
import { Packr } from "msgpackr";
import { encodeTemplate, SEQ_BASE, stampFrame, type FrameEncoder } from "../../bench/frame-template.ts";
import {
  canonicalWorkload,
  distinctEvents,
  expectedAnswer,
  generateTemplates,
  randomFrom,
  zipf,
  type WorkloadEvent,
  type WorkloadParameters,
} from "../../bench/workload.ts";

const workload: WorkloadParameters = { ...canonicalWorkload, templates: 7, batch: 20, nowMs: Date.UTC(2025, 0, 1) };
const packr = new Packr({ useRecords: false });
const encoders: Readonly<Record<string, FrameEncoder>> = {
  json: (seq, events) => Buffer.from(JSON.stringify({ t: "pub", seq, events })),
  maps: (seq, events) => packr.pack({ t: "pub", seq, events }),
  records: (seq, events) => new Packr({ useRecords: true }).pack({ t: "pub", seq, events }),
};

interface Frame {
  readonly seq: number;
  readonly events: readonly WorkloadEvent[];
}

function decode(codec: string, bytes: Buffer): Frame {
  return (codec === "json" ? JSON.parse(bytes.toString()) : packr.unpack(bytes)) as Frame;
}

function countDistinct(frames: readonly Frame[]): Map<string, number> {
  const seen = new Map<string, WorkloadEvent>();
  for (const { events } of frames) {
    for (const event of events) {
      // A copy is the same event, not just the same id.
      assert.deepEqual(event, seen.get(event.eventId) ?? event);
      seen.set(event.eventId, event);
    }
  }
  const counts = new Map<string, number>();
  for (const { eventType, context } of seen.values()) {
    const key = `${eventType} ${context.location.country}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

for (const [codec, encode] of Object.entries(encoders)) {
  test(`stamped frames in ${codec} hold fresh ids, the stated duplicates and the expected answer`, () => {
    const pool = generateTemplates(workload);
    const templates = pool.map((events) => encodeTemplate(events, encode));
    for (const frames of [0, 1, 7, 8, 30]) {
      const sent = Array.from({ length: frames }, (_, frame) => {
        const template = templates[frame % templates.length];
        assert.ok(template !== undefined);
        return decode(codec, stampFrame(template, frame, workload));
      });
      assert.deepEqual(
        sent.map(({ seq }) => seq),
        Array.from({ length: frames }, (_, frame) => SEQ_BASE + frame),
      );
      const counts = countDistinct(sent);
      assert.equal(
        [...counts.values()].reduce((sum, count) => sum + count, 0),
        distinctEvents(frames, workload),
      );
      const answer = expectedAnswer(pool, frames, workload);
      assert.deepEqual(new Map(answer.map(({ eventType, country, count }) => [`${eventType} ${country}`, count])), counts);
    }
  });
}

test("the same seed gives the same events, another seed other ones", () => {
  assert.deepEqual(generateTemplates(workload), generateTemplates(workload));
  assert.notDeepEqual(generateTemplates(workload), generateTemplates({ ...workload, seed: 2 }));
});

test("zipf ranks come with probability proportional to 1 / (rank + 1)", () => {
  const next = zipf(3, randomFrom(1));
  const counts = [0, 0, 0];
  for (let draw = 0; draw < 110_000; draw++) {
    const rank = next();
    counts[rank] = (counts[rank] ?? 0) + 1;
  }
  // Shares are 6/11, 3/11, 2/11; the standard deviation of each count is below 170.
  counts.forEach((count, rank) => assert.ok(Math.abs(count - 60_000 / (rank + 1)) < 1_000, `${rank}: ${count}`));
});
