/**
 * A dead letter's bytes as JSON text, for people and for sending it again. What is not plain msgpack becomes base64: msgpackr
 * would follow extensions, and a few hundred bytes of lists that refer to each other make a text of gigabytes.
 */
import { Unpackr } from "msgpackr";
import { FRAME_FORMATS } from "../protocol/event-columns.ts";
import { MsgpackScanner } from "../protocol/msgpack-scanner.ts";

const options = { useRecords: true, mapsAsObjects: true, structuredClone: false, int64AsType: "string" } as const;
const unpackr = new Unpackr(options as ConstructorParameters<typeof Unpackr>[0]);

export function deadLetterText(format: number, raw: Uint8Array): string {
  if (format !== FRAME_FORMATS.msgpack) return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8");
  try {
    const scanner = new MsgpackScanner(raw);
    scanner.skip();
    if (scanner.done && !scanner.needsCare) return JSON.stringify(unpackr.unpack(raw)) ?? "null";
  } catch {
    // Not decodable, or nested so deep that no text can be made of it.
  }
  return JSON.stringify({ undecodableBase64: Buffer.from(raw).toString("base64") });
}
