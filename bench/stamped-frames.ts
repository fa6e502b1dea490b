/**
 * Frames that are encoded once and sent many times with other ids, sessions, types or values in them: like `frame-template.ts`,
 * for benches whose point is how many different texts there are. A field's places are found by a marker that stands there when
 * the frame is encoded; in each copy the number of the event decides what is written over it.
 *
 *   encoded   ... sessionId: "s-#0000010042" ...      the marker: field 1, slot 42
 *   sent      ... sessionId: "s-0000000003e8" ...     the field's value for the event's number, in hexadecimal
 */
import { encodePublish } from "../protocol/frames.ts";
import { SEQ_BASE } from "./frame-template.ts";

/** How a number becomes a text of fixed length. `twins`: pairs `Aa` or `BB`, which have the same hash in h = 31 h + c. */
export type Digits = "hex" | "decimal" | "twins";

export interface StampedField {
  readonly name: string;
  readonly digits: Digits;
  /** What stands there in the event with this number. */
  readonly value: (eventNumber: number) => number;
}

export interface FrameProfile {
  readonly batch: number;
  /** How many different frames are encoded. */
  readonly templates: number;
  readonly fields: readonly StampedField[];
  /** The event of a slot; `marks` has the marker of each field, to be put somewhere in it. */
  readonly event: (marks: Readonly<Record<string, string>>, slot: number, template: number) => Readonly<Record<string, unknown>>;
}

export const digitsLength: Readonly<Record<Digits, number>> = { hex: 12, decimal: 7, twins: 40 };
const MARK_LENGTH = 6;

interface EncodedFrame {
  readonly bytes: Buffer;
  readonly seqOffset: number;
  /** Field by field, then slot by slot; -1: the event does not have it. */
  readonly offsets: Int32Array;
}

export class StampedFrames {
  readonly #profile: FrameProfile;
  readonly #frames: readonly EncodedFrame[];

  constructor(profile: FrameProfile) {
    this.#profile = profile;
    this.#frames = Array.from({ length: profile.templates }, (_, template) => encode(profile, template));
  }

  get batch(): number {
    return this.#profile.batch;
  }

  /** A copy as frame number `frame` of a run. */
  frame(frame: number): Buffer {
    const template = this.#frames[frame % this.#frames.length];
    if (template === undefined) throw new Error("no frames");
    const { batch, fields } = this.#profile;
    const bytes = Buffer.from(template.bytes);
    bytes.writeUInt32BE(SEQ_BASE + frame, template.seqOffset);
    for (let field = 0; field < fields.length; field++) {
      const { digits, value } = fields[field] as StampedField;
      for (let slot = 0; slot < batch; slot++) {
        const offset = template.offsets[field * batch + slot] ?? -1;
        if (offset >= 0) writeDigits(bytes, offset, digits, value(frame * batch + slot));
      }
    }
    return bytes;
  }
}

function encode({ batch, fields, event }: FrameProfile, template: number): EncodedFrame {
  const marksOf = (slot: number): Record<string, string> =>
    Object.fromEntries(fields.map(({ name, digits }, field) => [name, markOf(field, slot).padEnd(digitsLength[digits], "#")]));
  const events = Array.from({ length: batch }, (_, slot) => event(marksOf(slot), slot, template));
  const bytes = Buffer.from(encodePublish(SEQ_BASE, events));
  const seq = Buffer.alloc(5, 0xce);
  seq.writeUInt32BE(SEQ_BASE, 1);
  const offsets = Int32Array.from({ length: fields.length * batch }, (_, at) =>
    bytes.indexOf(markOf(Math.floor(at / batch), at % batch), 0, "latin1"),
  );
  return { bytes, seqOffset: bytes.indexOf(seq) + 1, offsets };
}

/** Unlike anything else in an event. */
function markOf(field: number, slot: number): string {
  return `#${field.toString(36)}${slot.toString(36).padStart(MARK_LENGTH - 2, "0")}`;
}

function writeDigits(bytes: Buffer, offset: number, digits: Digits, number: number): void {
  const length = digitsLength[digits];
  let rest = number;
  if (digits === "twins") {
    for (let at = 0; at < length; at += 2, rest = Math.floor(rest / 2)) {
      const isOne = rest % 2 === 1;
      bytes[offset + at] = isOne ? 66 : 65;
      bytes[offset + at + 1] = isOne ? 66 : 97;
    }
    return;
  }
  const base = digits === "hex" ? 16 : 10;
  for (let at = length - 1; at >= 0; at--) {
    const digit = rest % base;
    bytes[offset + at] = digit < 10 ? 48 + digit : 87 + digit;
    rest = (rest - digit) / base;
  }
}
