/**
 * A frame that is encoded once and sent many times: only `seq` and the numbers of its event ids are written anew, in place.
 * So a load client sends for minutes from a few megabytes, every id is new, and encoding costs it next to nothing.
 */
import { WorkloadPlan } from "./workload-plan.ts";
import {
  generateTemplates,
  ID_NUMBER_DIGITS,
  ID_PREFIX_LENGTH,
  type WorkloadEvent,
  type WorkloadParameters,
} from "./workload.ts";

/** A template in its encoded form, and where the frame's `seq` and the event numbers stand in its bytes. */
export interface EncodedTemplate {
  /** Replaced by whoever gives it away: `stampFrame` writes into it. */
  bytes: Buffer;
  readonly isText: boolean;
  readonly seqOffset: number;
  readonly numberOffsets: Uint32Array;
  /** For each slot, how far before its own number that of its event is: not 0 for copies. */
  readonly numbersBack: Float64Array;
}

/** The `seq` of frame 0. Ten digits in JSON and 32 bits in msgpack, like that of every later frame of a run. */
export const SEQ_BASE = 1_000_000_000;

export type FrameEncoder = (seq: number, events: readonly WorkloadEvent[]) => Uint8Array;
/** What stands before the frame in the same buffer: the head of a transport. */
export type HeadOf = (length: number, isText: boolean) => Uint8Array;

const noHead: HeadOf = () => new Uint8Array(0);
const OPENING_BRACE = 0x7b;

/** The pool of a workload. `encode` must write ids as plain ASCII text and `seq` as decimal digits or as a 32-bit integer. */
export function encodeTemplates(workload: WorkloadParameters, encode: FrameEncoder, headOf: HeadOf = noHead): EncodedTemplate[] {
  const plan = new WorkloadPlan(workload);
  return generateTemplates(workload).map((events, template) =>
    encodeTemplate(events, plan.numbersBack(template), encode, headOf),
  );
}

/** One of the pool; `numbersBack` as its plan says. */
export function encodeTemplate(
  events: readonly WorkloadEvent[],
  numbersBack: Float64Array,
  encode: FrameEncoder,
  headOf: HeadOf = noHead,
): EncodedTemplate {
  const frame = encode(SEQ_BASE, events);
  const isText = frame[0] === OPENING_BRACE;
  const head = headOf(frame.length, isText);
  const bytes = Buffer.concat([head, frame]);
  const seqBytes = Buffer.alloc(5, 0xce);
  seqBytes.writeUInt32BE(SEQ_BASE, 1);
  const seqText = Buffer.from(String(SEQ_BASE));
  const seqOffset = isText ? offsetOf(bytes, seqText, head.length) : offsetOf(bytes, seqBytes, head.length) + 1;
  const numberOffsets = new Uint32Array(events.length);
  let from = head.length;
  for (const [slot, { eventId }] of events.entries()) {
    const found = offsetOf(bytes, Buffer.from(eventId), from);
    numberOffsets[slot] = found + ID_PREFIX_LENGTH;
    from = found + eventId.length;
  }
  return { bytes, isText, seqOffset, numberOffsets, numbersBack };
}

function offsetOf(bytes: Buffer, searched: Buffer, from: number): number {
  const found = bytes.indexOf(searched, from);
  if (found < 0) throw new Error(`${searched.toString("latin1")} does not stand in the encoded frame`);
  return found;
}

/** Makes the template frame number `frame` of the run. */
export function stampFrame({ bytes, isText, seqOffset, numberOffsets, numbersBack }: EncodedTemplate, frame: number): void {
  if (isText) bytes.write(String(SEQ_BASE + frame), seqOffset, "latin1");
  else bytes.writeUInt32BE(SEQ_BASE + frame, seqOffset);
  const batch = numberOffsets.length;
  for (let slot = 0; slot < batch; slot++) {
    const ownNumber = frame * batch + slot;
    const number = ownNumber - (numbersBack[slot] ?? 0);
    // The first copies of a run have no original before them.
    writeHex(bytes, numberOffsets[slot] ?? 0, number < 0 ? ownNumber : number);
  }
}

/** The two hexadecimal digits of each byte, as they lie in memory. */
const digitPairs = Uint8Array.from(
  Array.from({ length: 256 }, (_, byte) => [...Buffer.from(byte.toString(16).padStart(2, "0"))]).flat(),
);
const BYTES = ID_NUMBER_DIGITS / 2;
const TWO_16 = 65_536;

function writeHex(bytes: Buffer, offset: number, number: number): void {
  const high = Math.floor(number / TWO_16);
  let low = number % TWO_16;
  for (let byte = BYTES - 1; byte >= 0; byte--) {
    if (byte === BYTES - 3) low = high;
    const pair = (low & 255) * 2;
    bytes[offset + 2 * byte] = digitPairs[pair] ?? 0;
    bytes[offset + 2 * byte + 1] = digitPairs[pair + 1] ?? 0;
    low >>>= 8;
  }
}
