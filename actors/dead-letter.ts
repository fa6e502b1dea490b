/** A dead letter: an event whose verdict is neither accepted nor duplicate, kept with its bytes and the reason (promise 3). */
import { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import { codeOf, type VerdictCode } from "../protocol/verdicts.ts";
import { assert } from "../protocol/assert.ts";

export interface DeadLetter {
  readonly verdict: number;
  /** Which part of the event is wrong; empty when the whole is. */
  readonly path: string;
  readonly eventId: string;
  readonly ingestTimeMs: number;
  /** How `raw` is to be read: `FRAME_FORMATS`. */
  readonly format: number;
  /** The event alone, or the whole frame when that could not be decoded. */
  readonly raw: Uint8Array;
}

export function encodeDeadLetter(letter: DeadLetter): Uint8Array {
  const writer = new ByteWriter(letter.raw.length + 128);
  writer.u8(letter.verdict);
  writer.u8(letter.format);
  writer.f64(letter.ingestTimeMs);
  writer.text(letter.path);
  writer.text(letter.eventId);
  writer.block(letter.raw);
  return writer.finish();
}

export function decodeDeadLetter(bytes: Uint8Array): DeadLetter {
  const reader = new ByteReader(bytes);
  const verdict = reader.u8();
  const format = reader.u8();
  const ingestTimeMs = reader.f64();
  return { verdict, format, ingestTimeMs, path: reader.text(), eventId: reader.text(), raw: reader.block() };
}

export function deadLetterCode(letter: DeadLetter): VerdictCode {
  const code = codeOf(letter.verdict);
  assert(code !== undefined, "an accepted event is no dead letter");
  return code;
}
