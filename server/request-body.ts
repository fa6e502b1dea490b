/**
 * Reads a request's body within its limit, and inflates gzip within the same one, so that a small body that inflates to
 * gigabytes is refused after the limit's worth of work. What is held is reserved with admission and given back when the
 * request is over, so that all bodies together have a bound too.
 */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { WeirError } from "../protocol/error-codes.ts";
import type { Admission } from "./admission.ts";

const inflate = promisify(gunzip);
const NO_BYTES = new Uint8Array(0);

export interface BodyHead {
  readonly type: string;
  readonly gzip: boolean;
  /** As declared; undefined for a chunked body. */
  readonly lengthBytes: number | undefined;
}

/** Reads the headers that say what the body is. Must be called inside the route's callback. */
export function bodyHead(request: HttpRequest, types: readonly string[]): BodyHead {
  const header = request.getHeader("content-type");
  const type = header === "" ? "application/json" : (header.split(";", 1)[0] ?? "").trim().toLowerCase();
  if (!types.includes(type)) throw new WeirError("WEIR_BODY_TYPE_UNSUPPORTED", undefined, { path: "content-type" });
  const encoding = request.getHeader("content-encoding").trim().toLowerCase();
  if (encoding !== "" && encoding !== "identity" && encoding !== "gzip") {
    throw new WeirError("WEIR_BODY_TYPE_UNSUPPORTED", undefined, { path: "content-encoding" });
  }
  const length = request.getHeader("content-length");
  return { type, gzip: encoding === "gzip", lengthBytes: length === "" ? undefined : Number(length) };
}

/**
 * uWS takes the first of several lengths, an empty one as none, and any transfer coding as `chunked`. A proxy before it may
 * read them in another way, and the two would then disagree on where the next request begins (request smuggling, RFC 9112
 * section 11.2): the connection is not to be used any more. It counts for every request, whether its route takes a body or not.
 */
export function hasAmbiguousLength(request: HttpRequest): boolean {
  let lengths = 0;
  let isUnclear = false;
  request.forEach((name, value) => {
    if (name === "content-length") {
      lengths++;
      isUnclear ||= !/^[0-9]+$/.test(value.trim());
    } else if (name === "transfer-encoding") {
      lengths++;
      isUnclear ||= value.trim().toLowerCase() !== "chunked";
    }
  });
  return isUnclear || lengths > 1;
}

/** Bytes that a request holds, given back all at once. */
export class Reservation {
  readonly #admission: Admission;
  #bytes = 0;
  #over = false;

  constructor(admission: Admission) {
    this.#admission = admission;
  }

  /** Throws WEIR_FLOW_OVERLOADED. Does nothing once the request is over, however long its work goes on. */
  grow(bytes: number): void {
    if (this.#over) return;
    this.#admission.reserve(bytes);
    this.#bytes += bytes;
  }

  release(): void {
    this.#over = true;
    this.#admission.release(this.#bytes);
    this.#bytes = 0;
  }
}

/**
 * Must be called inside the route's callback. Rejects with WEIR_FRAME_TOO_LARGE or WEIR_FLOW_OVERLOADED, after which the
 * connection has to be closed: the rest of the body may still come. Stays pending for ever when the client goes away.
 */
export function collectBody(
  response: HttpResponse,
  head: BodyHead,
  bytesMax: number,
  reservation: Reservation,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = deferred<Uint8Array>();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let refused = (head.lengthBytes ?? 0) > bytesMax;
  if (refused) reject(new WeirError("WEIR_FRAME_TOO_LARGE", `At most ${bytesMax} bytes.`));
  response.onData((chunk, isLast) => {
    if (refused) return;
    bytes += chunk.byteLength;
    try {
      if (bytes > bytesMax) throw new WeirError("WEIR_FRAME_TOO_LARGE", `At most ${bytesMax} bytes.`);
      reservation.grow(chunk.byteLength);
      // uWS takes the memory back when this callback returns.
      if (chunk.byteLength > 0) chunks.push(new Uint8Array(chunk.slice(0)));
      if (isLast) resolve(joined(chunks, bytes));
    } catch (error) {
      refused = true;
      chunks.length = 0;
      reject(error);
    }
  });
  return promise;
}

/** The body as the sender meant it. Reserves the limit while it inflates: how much comes out is known only after. */
export async function decodeBody(
  bytes: Uint8Array,
  head: BodyHead,
  bytesMax: number,
  reservation: Reservation,
): Promise<Uint8Array> {
  if (!head.gzip) return bytes;
  reservation.grow(bytesMax);
  try {
    return await inflate(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if (error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
      throw new WeirError("WEIR_FRAME_TOO_LARGE", `At most ${bytesMax} bytes, inflated.`);
    }
    throw new WeirError("WEIR_FRAME_MALFORMED", "The body is not gzip.", { cause: error });
  }
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  if (chunks.length === 0) return NO_BYTES;
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, bytes);
}

function deferred<Value>() {
  let resolve: (value: Value) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<Value>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise;
    reject = rejectPromise;
  });
  return { promise, resolve, reject };
}
