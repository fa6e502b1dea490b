/** What the load client reads of an answer equals what decoding the answer gives. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Packr } from "msgpackr";
import { SEQ_BASE } from "../../bench/frame-template.ts";
import { readNaiveAnswer, readWeirAnswer } from "../../bench/load-ack.ts";
import { encodeFrame, type EventOutcome, type ServerFrame } from "../../protocol/frames.ts";

function read(frame: ServerFrame, reader = readWeirAnswer): object {
  // As in a read of a socket: something stands before it and, which must not count, another answer behind it.
  const bytes = Buffer.concat([Buffer.alloc(3), encodeFrame(frame), encodeFrame(ack(7, [outcome(0, "WEIR_EVENT_DUPLICATE")]))]);
  return { ...reader(bytes, 3, 3 + encodeFrame(frame).length) };
}

function outcome(index: number, code: string): EventOutcome {
  const duplicate = code === "WEIR_EVENT_DUPLICATE";
  return { index, eventId: `id-${index}`, success: duplicate, ...(duplicate ? { duplicate } : { error: "Why." }), code };
}

function ack(seq: number, results: readonly EventOutcome[], totalEvents = 100): Extract<ServerFrame, { t: "ack" }> {
  const failedEvents = results.filter(({ success }) => !success).length;
  const body = { totalEvents, successfulEvents: totalEvents - failedEvents, failedEvents, receipt: "0:123,1:99999" };
  return { t: "ack", seq, ...body, credit: 2, ...(results.length === 0 ? {} : { results }) };
}

const codes = ["DUPLICATE", "DUPLICATE", "DUPLICATE", "LATE", "LATE", "FIELD_LENGTH", "TIMESTAMP_INVALID"];
const mixed = codes.map((code, index) => outcome(index, `WEIR_EVENT_${code}`));

test("acks: numbers of every size, with and without results, walked or decoded", () => {
  // A seq below 2^16 is not as the walk knows it.
  for (const seq of [SEQ_BASE + 5, 5]) {
    for (const totalEvents of [1, 127, 128, 300, 70_000]) {
      const plain = { kind: "ack", seq, credit: 2, totalEvents, duplicates: 0, late: 0, invalid: 0, reason: "" };
      const { reason, ...others } = read(ack(seq, [], totalEvents)) as typeof plain;
      assert.ok(typeof reason === "string");
      assert.deepEqual({ ...others, reason: "" }, plain);
      const { reason: _, ...withResults } = read(ack(seq, mixed, totalEvents)) as typeof plain;
      assert.deepEqual({ ...withResults, reason: "" }, { ...plain, duplicates: 3, late: 2, invalid: 2 });
    }
  }
  // Nothing is left of the answer before.
  assert.equal((read(ack(SEQ_BASE, [])) as { duplicates: number }).duplicates, 0);
});

test("a code that stands elsewhere than as a code is not counted", () => {
  const said = { ...outcome(0, "WEIR_EVENT_LATE"), error: "WEIR_EVENT_LATE or WEIR_EVENT_FIELD_LENGTH, who knows." };
  const { duplicates, late, invalid } = read(ack(SEQ_BASE, [said])) as { duplicates: number; late: number; invalid: number };
  assert.deepEqual([duplicates, late, invalid], [0, 1, 0]);
});

test("an ack with a receipt's proof is one too", () => {
  const answer = read({ ...ack(SEQ_BASE, mixed), proof: "p".repeat(60) }) as { kind: string; duplicates: number; credit: number };
  assert.deepEqual([answer.kind, answer.duplicates, answer.credit], ["ack", 3, 2]);
});

test("credit, refusals and errors", () => {
  const kindOf = (frame: ServerFrame): string => (read(frame) as { kind: string }).kind;
  assert.equal(kindOf({ t: "credit", credit: 3 }), "credit");
  const error = { t: "error", code: "WEIR_DISK_FULL", message: "No room.", retryable: true } as const;
  assert.equal(kindOf({ ...error, seq: 9 }), "refused");
  assert.equal(kindOf(error), "failed");
  assert.equal(kindOf({ ...error, seq: 9, retryable: false }), "failed");
});

test("the naive server's acks", () => {
  const results = ["duplicate", "late", "invalid", "invalid"].map((code, index) => ({ index, code }));
  const bytes = Buffer.from(JSON.stringify({ t: "ack", seq: 5, totalEvents: 10, results }));
  const { kind, seq, totalEvents, duplicates, late, invalid, credit } = readNaiveAnswer(bytes, 0, bytes.length);
  assert.deepEqual([kind, seq, totalEvents, duplicates, late, invalid, credit], ["ack", 5, 10, 1, 1, 2, 1]);
});

test("msgpack of another writer is understood as well", () => {
  const frame = { t: "ack", credit: 1, seq: SEQ_BASE, totalEvents: 5, results: mixed.slice(2, 4), failedEvents: 1 };
  const bytes = new Packr({ useRecords: false, variableMapSize: false }).pack(frame);
  const { duplicates, late, invalid } = readWeirAnswer(bytes, 0, bytes.length);
  assert.deepEqual([duplicates, late, invalid], [1, 1, 0]);
});
