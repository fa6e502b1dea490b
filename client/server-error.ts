/**
 * An error that the server answered with, over HTTP or the WebSocket. Its code is a text: a newer server may know codes that
 * this client does not, and says itself whether trying again can help.
 */
import { isErrorCode, WeirError } from "../protocol/error-codes.ts";

export interface ServerErrorFields {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly path?: string | undefined;
  readonly status?: number | undefined;
  readonly requestId?: string | undefined;
}

export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly code: string;
  readonly retryable: boolean;
  readonly path: string | undefined;
  /** The HTTP status, when the answer came over HTTP. */
  readonly status: number | undefined;
  readonly requestId: string | undefined;

  constructor(fields: ServerErrorFields) {
    super(fields.message);
    this.code = fields.code;
    this.retryable = fields.retryable;
    this.path = fields.path;
    this.status = fields.status;
    this.requestId = fields.requestId;
  }
}

/** The error for a WebSocket close code after which trying again is useless; undefined for all others. */
export function fatalClose(code: number, reason: string): WeirError | undefined {
  if (code !== 4401 && code !== 4400) return undefined;
  const fallback = code === 4401 ? "WEIR_AUTH_KEY_UNKNOWN" : "WEIR_CONNECTION_ABUSED";
  return new WeirError(isErrorCode(reason) ? reason : fallback);
}
