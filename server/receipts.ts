/**
 * Receipts that can be proven: what the server has acknowledged, under a key that only this data directory has.
 *
 *   v1.<positions>.<totalEvents>.<failedEvents>.<mac>        positions: host:offset, several joined by a comma
 *   mac = first 16 bytes of HMAC-SHA-256(key, "weir-receipt/1" LF tenant LF positions LF total LF failed), base64url
 *   key = HKDF-SHA-256(seed of weir.json, info "weir receipts/1"), 32 bytes
 *
 * One takes about 2 us of the main thread, which is much beside a frame of one event: it is made for HTTP answers, and on a
 * WebSocket for those who ask in `hello`. What was in the frame is said by the rows that have its positions.
 */
import { createHmac, createSecretKey, hkdfSync, timingSafeEqual, type KeyObject } from "node:crypto";
import type { TenantId } from "../protocol/ids.ts";

export interface Receipt {
  readonly positions: readonly { readonly host: number; readonly offset: number }[];
  readonly totalEvents: number;
  readonly failedEvents: number;
}

/** The part of an outcome that a receipt states; `receipt` are its positions. */
export interface Acknowledged {
  readonly receipt: string;
  readonly totalEvents: number;
  readonly failedEvents: number;
}

const VERSION = "v1";
const MAC_BYTES = 16;
const receiptPattern = /^v1\.(\d{1,5}:\d{1,16}(?:,\d{1,5}:\d{1,16}){0,255})\.(\d{1,9})\.(\d{1,9})\.([A-Za-z0-9_-]{22})$/;

export class Receipts {
  readonly #key: KeyObject;

  constructor(seed: Uint8Array) {
    this.#key = createSecretKey(Buffer.from(hkdfSync("sha256", seed, "", "weir receipts/1", 32)));
  }

  proofOf(tenant: TenantId, { receipt, totalEvents, failedEvents }: Acknowledged): string {
    const mac = this.#mac(tenant, receipt, totalEvents, failedEvents).toString("base64url");
    return `${VERSION}.${receipt}.${totalEvents}.${failedEvents}.${mac}`;
  }

  /** undefined: it is not from here, not for this tenant, or was changed. */
  read(tenant: TenantId, text: string): Receipt | undefined {
    const [, positions = "", total = "", failed = "", mac = ""] = receiptPattern.exec(text) ?? [];
    const right = this.#mac(tenant, positions, Number(total), Number(failed));
    const given = Buffer.from(mac, "base64url");
    if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined;
    return {
      positions: positions.split(",").map((each) => {
        const [host, offset] = each.split(":").map(Number);
        return { host: host ?? 0, offset: offset ?? 0 };
      }),
      totalEvents: Number(total),
      failedEvents: Number(failed),
    };
  }

  #mac(tenant: TenantId, positions: string, totalEvents: number, failedEvents: number): Buffer {
    const text = `weir-receipt/1\n${tenant}\n${positions}\n${totalEvents}\n${failedEvents}`;
    return createHmac("sha256", this.#key).update(text).digest().subarray(0, MAC_BYTES);
  }
}
