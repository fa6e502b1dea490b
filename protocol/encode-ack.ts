/**
 * Acks as bytes, written field by field: what `encodeFrame` makes of the same frame, byte for byte
 * (`encode-ack.property.test.ts`), without an object for it and without a buffer of its own. For frames of one event that is
 * part of what halved the gateway's time (`server/tallied-histogram.ts`; `npm run bench -- ingest-batches`). What has results
 * or a proof is left to `encodeFrame`, and so is a negative `seq`.
 *
 *   slab   | ack | ack | ack |  free  |      an ack is a view of the slab; none is overwritten, a full slab is left to its views
 */
import { encodeFrame, type AckFrame } from "./frames.ts";

const SLAB_BYTES = 64 * 1024;
/** A map of the seven fields with the longest head and value of each, beside the receipt. */
const FIELDS_BYTES_MAX = 160;
const SHORT_TEXT_MAX = 31;
const TEXT_8_MAX = 255;
const MAP_OF_SEVEN = 0x87;

const encoder = new TextEncoder();
const short = (text: string): number[] => [0xa0 | text.length, ...encoder.encode(text)];
const HEAD = Uint8Array.of(MAP_OF_SEVEN, ...short("t"), ...short("ack"), ...short("seq"));
const KEY_TOTAL = Uint8Array.from(short("totalEvents"));
const KEY_SUCCESSFUL = Uint8Array.from(short("successfulEvents"));
const KEY_FAILED = Uint8Array.from(short("failedEvents"));
const KEY_RECEIPT = Uint8Array.from(short("receipt"));
const KEY_CREDIT = Uint8Array.from(short("credit"));

/** The fields of a plain ack. */
export type PlainAck = Pick<AckFrame, "seq" | "totalEvents" | "failedEvents" | "receipt" | "credit">;

export class AckEncoder {
  #slab = new Uint8Array(SLAB_BYTES);
  #view = new DataView(this.#slab.buffer);
  #at = 0;

  /** The bytes stay as they are. */
  encode(seq: number, totalEvents: number, failedEvents: number, receipt: string, credit: number): Uint8Array {
    if (seq < 0 || receipt.length > TEXT_8_MAX) return encodePlainAck({ seq, totalEvents, failedEvents, receipt, credit });
    if (this.#at + FIELDS_BYTES_MAX + receipt.length > SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#view = new DataView(this.#slab.buffer);
      this.#at = 0;
    }
    const start = this.#at;
    this.#bytes(HEAD);
    this.#number(seq);
    this.#bytes(KEY_TOTAL);
    this.#number(totalEvents);
    this.#bytes(KEY_SUCCESSFUL);
    this.#number(totalEvents - failedEvents);
    this.#bytes(KEY_FAILED);
    this.#number(failedEvents);
    this.#bytes(KEY_RECEIPT);
    this.#ascii(receipt);
    this.#bytes(KEY_CREDIT);
    this.#number(credit);
    return this.#slab.subarray(start, this.#at);
  }

  /** A loop: for so few bytes `set` costs more. */
  #bytes(bytes: Uint8Array): void {
    const slab = this.#slab;
    let at = this.#at;
    for (let index = 0; index < bytes.length; index++) slab[at++] = bytes[index] ?? 0;
    this.#at = at;
  }

  /** The shortest unsigned integer; a float for anything else. */
  #number(value: number): void {
    const slab = this.#slab;
    if (value >>> 0 !== value) {
      slab[this.#at] = 0xcb;
      this.#view.setFloat64(this.#at + 1, value);
      this.#at += 9;
    } else if (value < 0x80) slab[this.#at++] = value;
    else if (value < 0x100) {
      slab[this.#at++] = 0xcc;
      slab[this.#at++] = value;
    } else if (value < 0x1_0000) {
      slab[this.#at] = 0xcd;
      this.#view.setUint16(this.#at + 1, value);
      this.#at += 3;
    } else {
      slab[this.#at] = 0xce;
      this.#view.setUint32(this.#at + 1, value);
      this.#at += 5;
    }
  }

  /** Digits, colons and commas. */
  #ascii(text: string): void {
    const slab = this.#slab;
    if (text.length <= SHORT_TEXT_MAX) slab[this.#at++] = 0xa0 | text.length;
    else {
      slab[this.#at++] = 0xd9;
      slab[this.#at++] = text.length;
    }
    for (let index = 0; index < text.length; index++) slab[this.#at++] = text.charCodeAt(index);
  }
}

/** The plain version. */
export function encodePlainAck({ seq, totalEvents, failedEvents, receipt, credit }: PlainAck): Uint8Array {
  const successfulEvents = totalEvents - failedEvents;
  return encodeFrame({ t: "ack", seq, totalEvents, successfulEvents, failedEvents, receipt, credit });
}
