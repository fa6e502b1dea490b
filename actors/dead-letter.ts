/** A dead letter: an event whose verdict is neither accepted nor duplicate, kept with its bytes and the reason (promise 3). */
import { ByteReader, type ByteWriter } from "../protocol/bytes.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
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

export function writeDeadLetter(writer: ByteWriter, letter: DeadLetter): void {
  writeHead(writer, letter.verdict, letter);
  writer.text(letter.path);
  writer.text(letter.eventId);
  writer.block(letter.raw);
}

/** The same for a row of a frame, without a text for its id. */
export function writeRowLetter(
  writer: ByteWriter,
  frame: Pick<DeadLetter, "ingestTimeMs" | "format">,
  columns: EventColumns,
  row: number,
  verdict: number,
): void {
  const { bytes, starts, lengths } = columns.eventIds;
  const idAt = starts[row] ?? 0;
  writeHead(writer, verdict, frame);
  writer.text(columns.wrongPaths.get(row) ?? "");
  writer.part(bytes, idAt, idAt + (lengths[row] ?? 0));
  writer.block(columns.raw(row));
}

function writeHead(writer: ByteWriter, verdict: number, frame: Pick<DeadLetter, "ingestTimeMs" | "format">): void {
  writer.u8(verdict);
  writer.u8(frame.format);
  writer.f64(frame.ingestTimeMs);
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
