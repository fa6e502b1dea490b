/**
 * What a load client wants to know of an answer, read with as little work as that takes: acks of Weir are walked in place,
 * their `results` only searched for the codes; everything else, and every other answer, is decoded as usual.
 */
import { decodeServerFrame } from "../protocol/frames.ts";

/** `ack`: the verdicts of a frame; `refused`: nothing of it counts, send it again; `credit`; `failed`: with its reason. */
export interface Answer {
  kind: "ack" | "refused" | "credit" | "failed";
  seq: number;
  credit: number;
  totalEvents: number;
  duplicates: number;
  late: number;
  invalid: number;
  reason: string;
}

export type AnswerReader = (bytes: Buffer, from: number, to: number) => Answer;

/** One for all answers: it is good until the next one is read. */
const answer: Answer = { kind: "ack", seq: 0, credit: 0, totalEvents: 0, duplicates: 0, late: 0, invalid: 0, reason: "" };

/** `{t: "ack", seq:` and the token of a 32-bit integer, behind the byte that says how many fields there are. */
const ackStart = Buffer.from([0xa1, 0x74, 0xa3, 0x61, 0x63, 0x6b, 0xa3, 0x73, 0x65, 0x71, 0xce]);
const codeStart = Buffer.from("WEIR_EVENT_");
const LETTER_D = 0x44;
const LETTER_L = 0x4c;

export const readWeirAnswer: AnswerReader = (bytes, from, to) => {
  if (!readAck(bytes, from, to)) readOther(bytes.subarray(from, to));
  return answer;
};

/** What a walk over an ack finds: the value of a field, and where the next one begins. */
const cursor = { at: 0, value: 0 };

/** False when it is not an ack of the usual form. */
function readAck(bytes: Buffer, from: number, to: number): boolean {
  for (let index = 0; index < ackStart.length; index++) if (bytes[from + 1 + index] !== ackStart[index]) return false;
  cursor.at = from + 1 + ackStart.length;
  answer.kind = "ack";
  answer.seq = bytes.readUInt32BE(cursor.at);
  answer.credit = -1;
  answer.totalEvents = -1;
  answer.duplicates = answer.late = answer.invalid = 0;
  let failed = 0;
  cursor.at += 4;
  while (cursor.at < to) {
    // Keys of an ack are told apart by their first letter and length.
    const token = bytes[cursor.at] ?? 0;
    if ((token & 0xe0) !== 0xa0) return false;
    const length = token & 0x1f;
    const letter = bytes[cursor.at + 1] ?? 0;
    cursor.at += 1 + length;
    if (letter === 0x72 && length === 7 && bytes[cursor.at - 2] === 0x74) {
      // It reads "results", the last one.
      countCodes(bytes, cursor.at, to);
      break;
    }
    if (!skipScalar(bytes)) return false;
    if (letter === 0x74) answer.totalEvents = cursor.value;
    else if (letter === 0x66) failed = cursor.value;
    else if (letter === 0x63) answer.credit = cursor.value;
  }
  return answer.credit >= 0 && answer.totalEvents >= 0 && answer.late + answer.invalid === failed;
}

function skipScalar(bytes: Buffer): boolean {
  const token = bytes[cursor.at] ?? 0xff;
  if (token < 0x80) {
    cursor.value = token;
    cursor.at += 1;
  } else if ((token & 0xe0) === 0xa0) cursor.at += 1 + (token & 0x1f);
  else if (token === 0xcc) {
    cursor.value = bytes[cursor.at + 1] ?? 0;
    cursor.at += 2;
  } else if (token === 0xcd) {
    cursor.value = bytes.readUInt16BE(cursor.at + 1);
    cursor.at += 3;
  } else if (token === 0xce) {
    cursor.value = bytes.readUInt32BE(cursor.at + 1);
    cursor.at += 5;
  } else if (token === 0xd9) cursor.at += 2 + (bytes[cursor.at + 1] ?? 0);
  else return false;
  return true;
}

function countCodes(bytes: Buffer, from: number, to: number): void {
  for (let at = bytes.indexOf(codeStart, from); at >= 0 && at < to; at = bytes.indexOf(codeStart, at + codeStart.length)) {
    const letter = bytes[at + codeStart.length];
    if (letter === LETTER_D) answer.duplicates++;
    else if (letter === LETTER_L) answer.late++;
    else answer.invalid++;
  }
}

function readOther(bytes: Buffer): void {
  const frame = decodeServerFrame(bytes);
  answer.kind = "failed";
  answer.reason = frame.t === "error" ? `${frame.code}: ${frame.message}` : frame.t;
  answer.seq = -1;
  if (frame.t === "credit") {
    answer.kind = "credit";
    answer.credit = frame.credit;
  } else if (frame.t === "ack") {
    takeVerdicts(frame, (code) => code?.slice("WEIR_EVENT_".length).toLowerCase());
  } else if (frame.t === "error" && frame.retryable && frame.seq !== undefined) {
    answer.kind = "refused";
    answer.seq = frame.seq;
  }
}

interface AckBody {
  readonly seq: number;
  readonly totalEvents: number;
  readonly credit?: number;
  readonly results?: readonly { readonly code?: string }[];
}

function takeVerdicts(
  { seq, totalEvents, credit, results = [] }: AckBody,
  verdictOf: (code?: string) => string | undefined,
): void {
  answer.kind = "ack";
  answer.seq = seq;
  answer.credit = credit ?? 1;
  answer.totalEvents = totalEvents;
  answer.duplicates = answer.late = answer.invalid = 0;
  for (const { code } of results) {
    const verdict = verdictOf(code);
    if (verdict === "duplicate") answer.duplicates++;
    else if (verdict === "late") answer.late++;
    else answer.invalid++;
  }
}

/** The naive server's: JSON, with a code for each event that was not plainly accepted. */
export const readNaiveAnswer: AnswerReader = (bytes, from, to) => {
  takeVerdicts(JSON.parse(bytes.toString("latin1", from, to)) as AckBody, (code) => code);
  return answer;
};
