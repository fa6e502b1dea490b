/** A dead letter's bytes as JSON text, for people and for sending it again. Bytes that cannot be decoded become base64. */
import { Unpackr } from "msgpackr";
import { FRAME_FORMATS } from "../protocol/event-columns.ts";

const unpackr = new Unpackr({ useRecords: true, mapsAsObjects: true, int64AsType: "string" });

export function deadLetterText(format: number, raw: Uint8Array): string {
  try {
    if (format !== FRAME_FORMATS.msgpack) return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("utf8");
    return JSON.stringify(unpackr.unpack(raw), (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  } catch {
    return JSON.stringify({ undecodableBase64: Buffer.from(raw).toString("base64") });
  }
}
