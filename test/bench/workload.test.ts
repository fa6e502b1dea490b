import assert from "node:assert/strict";
import { test } from "node:test";
import { Packr } from "msgpackr";
import { encodeTemplates, SEQ_BASE, stampFrame, type FrameEncoder } from "../../bench/frame-template.ts";
import { shareConnections, WorkloadPlan } from "../../bench/workload-plan.ts";
import {
  ALLOWED_LATENESS_MS,
  canonicalWorkload,
  cleanWorkload,
  expectedAnswers,
  expectedVerdicts,
  generateTemplates,
  primerEvents,
  randomFrom,
  sortAnswer,
  zipf,
  type AnswerRow,
  type Verdicts,
  type WorkloadEvent,
  type WorkloadParameters,
} from "../../bench/workload.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";

const nowMs = Date.UTC(2025, 0, 1);
const clean: WorkloadParameters = { ...cleanWorkload, templates: 15, batch: 20, nowMs };
const workloads: Readonly<Record<string, WorkloadParameters>> = {
  clean,
  "of four tenants": { ...canonicalWorkload, templates: 25, batch: 40, nowMs },
  "of single events": { ...canonicalWorkload, tenants: 2, templates: 340, batch: 1, nowMs },
  "of large frames": { ...canonicalWorkload, tenants: 2, templates: 3, batch: 250, nowMs },
  "with much to refuse": {
    ...canonicalWorkload,
    templates: 23,
    batch: 33,
    duplicatesPer100: 30,
    latePer100: 25,
    invalidPer100: 15,
    nowMs,
  },
};
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

/** What the rules make of the frames, in the simplest way: first those of the primer, then each frame in its turn. */
function judge(frames: readonly Frame[], workload: WorkloadParameters): { answers: AnswerRow[][]; verdicts: Verdicts } {
  const plan = new WorkloadPlan(workload);
  const verdicts = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  const counts = Array.from({ length: workload.tenants }, () => new Map<string, number>());
  const seen = Array.from({ length: workload.tenants }, () => new Map<string, WorkloadEvent>());
  const count = (tenant: number, { eventType, context }: WorkloadEvent): void => {
    const key = JSON.stringify([eventType, context.location.country]);
    counts[tenant]?.set(key, (counts[tenant].get(key) ?? 0) + 1);
  };
  for (const tenant of counts.keys()) for (const event of primerEvents(workload, tenant)) count(tenant, event);
  for (const [frame, { events }] of frames.entries()) {
    const tenant = plan.tenantOf(frame % workload.templates);
    for (const event of events) {
      const original = seen[tenant]?.get(event.eventId);
      if (event.eventType === "" || !Number.isFinite(event.timestamp ?? Number.NaN)) verdicts.invalid++;
      else if (original !== undefined) {
        // A copy is the same event, not just the same id.
        assert.deepEqual(event, original);
        verdicts.duplicate++;
      } else if (event.timestamp < nowMs - workload.spreadMs - ALLOWED_LATENESS_MS) verdicts.late++;
      else {
        verdicts.accepted++;
        seen[tenant]?.set(event.eventId, event);
        count(tenant, event);
      }
    }
  }
  const rowOf = ([key, rows]: [string, number]): AnswerRow => {
    const [eventType, country] = JSON.parse(key) as [string, string];
    return { eventType, country, count: rows };
  };
  return { answers: counts.map((own) => sortAnswer([...own].map(rowOf))), verdicts };
}

for (const [name, workload] of Object.entries(workloads)) {
  for (const [codec, encode] of Object.entries(encoders)) {
    test(`stamped frames ${name} in ${codec} hold what is expected of them`, () => {
      const pool = generateTemplates(workload);
      const templates = encodeTemplates(workload, encode);
      const { templates: count } = workload;
      for (const frames of [0, 1, count, count + 1, 4 * count + 2]) {
        const sent = Array.from({ length: frames }, (_, frame) => {
          const template = templates[frame % count];
          assert.ok(template !== undefined);
          stampFrame(template, frame);
          return decode(codec, template.bytes);
        });
        assert.deepEqual(
          sent.map(({ seq }) => seq),
          Array.from({ length: frames }, (_, frame) => SEQ_BASE + frame),
        );
        const { answers, verdicts } = judge(sent, workload);
        assert.deepEqual(expectedVerdicts(frames, workload), verdicts);
        assert.deepEqual(expectedAnswers(pool, frames, workload), answers);
      }
    });
  }
}

test("the canonical workload is as it is described, at every batch size", () => {
  for (const batch of [1, 10, 100, 1_000]) {
    const workload = { ...canonicalWorkload, templates: 50_000 / batch, batch, nowMs };
    const { accepted, duplicate, late, invalid } = expectedVerdicts(100_000 / batch, workload);
    assert.deepEqual([late, invalid], [2_000, 1_000]);
    // Each tenant's first three copies have no original before them.
    assert.deepEqual([duplicate, accepted], [3_000 - 12, 94_000 + 12]);
  }
});

test("tenants have frames and connections by Zipf's law, and each at least one connection", () => {
  const plan = new WorkloadPlan({ ...canonicalWorkload, templates: 500 });
  const shares = [0, 1, 2, 3].map((tenant) => plan.framesOf(tenant, 1_000));
  assert.deepEqual(shares, [480, 240, 160, 120]);
  assert.deepEqual(shareConnections(16, 4), [7, 4, 3, 2]);
  assert.deepEqual(shareConnections(4, 4), [1, 1, 1, 1]);
  assert.throws(() => shareConnections(3, 4), RangeError);
});

test("a tenant's frames are numbered without a gap", () => {
  const plan = new WorkloadPlan({ ...canonicalWorkload, templates: 23 });
  const frames = [0, 1, 2, 3].flatMap((tenant) =>
    Array.from({ length: plan.framesOf(tenant, 100) }, (_, ordinal) => plan.frameOf(tenant, ordinal)),
  );
  assert.deepEqual(
    frames.toSorted((left, right) => left - right),
    Array.from({ length: 100 }, (_, frame) => frame),
  );
});

test("the primer reaches every partition of every tenant, and no event of a run shares its ids", () => {
  const workload = { ...canonicalWorkload, nowMs };
  for (const [tenant, name] of ["bench", "bench-1", "bench-2", "bench-3"].entries()) {
    const partitions = new Set(primerEvents(workload, tenant).map(({ sessionId }) => partitionOf(name, sessionId, 64)));
    assert.equal(partitions.size, 64);
  }
  const ids = new Set(primerEvents(workload, 0).map(({ eventId }) => eventId.slice(0, 13)));
  assert.deepEqual([...ids], ["00000001-0001"]);
  assert.deepEqual(primerEvents(clean, 0), []);
});

test("the same seed gives the same events, another seed other ones", () => {
  assert.deepEqual(generateTemplates(clean), generateTemplates(clean));
  assert.notDeepEqual(generateTemplates(clean), generateTemplates({ ...clean, seed: 2 }));
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
