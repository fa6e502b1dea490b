/**
 * A frame that is encoded once and sent many times: only `seq` and the numbers of its event ids are written anew into a copy
 * of its bytes. So a load client sends for minutes from a few megabytes, every id is new, and encoding costs it next to nothing.
 */
import { ID_NUMBER_DIGITS, ID_PREFIX_LENGTH, type WorkloadEvent, type WorkloadParameters } from "./workload.ts";

/** A template in its encoded form, and where the frame's `seq` and the event numbers stand in its bytes. */
export interface EncodedTemplate {
  readonly bytes: Buffer;
  readonly isText: boolean;
  readonly seqOffset: number;
  readonly numberOffsets: Uint32Array;
}

/** The `seq` of frame 0. Ten digits in JSON and 32 bits in msgpack, like that of every later frame of a run. */
export const SEQ_BASE = 1_000_000_000;

export type FrameEncoder = (seq: number, events: readonly WorkloadEvent[]) => Uint8Array;

/** `encode` must write ids as plain ASCII text and `seq` as decimal digits or as a 32-bit integer: as JSON and msgpack do. */
export function encodeTemplate(events: readonly WorkloadEvent[], encode: FrameEncoder): EncodedTemplate {
  const bytes = Buffer.from(encode(SEQ_BASE, events));
  const isText = bytes[0] === 0x7b;
  const seqBytes = Buffer.alloc(5, 0xce);
  seqBytes.writeUInt32BE(SEQ_BASE, 1);
  const seqOffset = isText ? offsetOf(bytes, Buffer.from(String(SEQ_BASE)), 0) : offsetOf(bytes, seqBytes, 0) + 1;
  const numberOffsets = new Uint32Array(events.length);
  let from = 0;
  for (const [slot, { eventId }] of events.entries()) {
    const found = offsetOf(bytes, Buffer.from(eventId), from);
    numberOffsets[slot] = found + ID_PREFIX_LENGTH;
    from = found + eventId.length;
  }
  return { bytes, isText, seqOffset, numberOffsets };
}

function offsetOf(bytes: Buffer, searched: Buffer, from: number): number {
  const found = bytes.indexOf(searched, from);
  if (found < 0) throw new Error(`${searched.toString("latin1")} does not stand in the encoded frame`);
  return found;
}

/** A copy of the template as frame number `frame` of the run. */
export function stampFrame(template: EncodedTemplate, frame: number, { batch, duplicatesPerFrame }: WorkloadParameters): Buffer {
  const bytes = Buffer.from(template.bytes);
  if (template.isText) bytes.write(String(SEQ_BASE + frame), template.seqOffset, "latin1");
  else bytes.writeUInt32BE(SEQ_BASE + frame, template.seqOffset);
  for (let slot = 0; slot < batch; slot++) {
    const ownNumber = frame * batch + slot;
    const isCopy = slot < duplicatesPerFrame && frame > 0;
    writeHex(bytes, template.numberOffsets[slot] ?? 0, isCopy ? ownNumber - duplicatesPerFrame : ownNumber);
  }
  return bytes;
}

function writeHex(bytes: Buffer, offset: number, number: number): void {
  let rest = number;
  for (let digit = ID_NUMBER_DIGITS - 1; digit >= 0; digit--) {
    const value = rest % 16;
    bytes[offset + digit] = value < 10 ? 48 + value : 87 + value;
    rest = (rest - value) / 16;
  }
}
