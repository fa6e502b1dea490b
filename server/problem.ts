/**
 * Errors as HTTP says them: RFC 9457 problem details, made from the table of codes. Nothing of the server's inside
 * (stacks, causes, SQL, paths on disk) gets into one: what is not a WeirError reads WEIR_INTERNAL.
 */
import { entryOf, WeirError, type ErrorCode } from "../protocol/error-codes.ts";

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly path?: string;
  readonly requestId: string;
}

/** How long a client should wait before it tries again when the error does not say, in seconds. */
const RETRY_AFTER_SECONDS = 1;

export function problemType(code: ErrorCode): string {
  return `urn:weir:error:${code}`;
}

/** Any thrown value as a coded error. `unexpected` tells that it is ours to look into. */
export function codedError(thrown: unknown): { error: WeirError; unexpected: boolean } {
  if (thrown instanceof WeirError) return { error: thrown, unexpected: thrown.code === "WEIR_INTERNAL" };
  return { error: new WeirError("WEIR_INTERNAL", undefined, { cause: thrown }), unexpected: true };
}

export function problemOf(error: WeirError, requestId: string, detail?: (message: string) => string): Problem {
  const entry = entryOf(error.code);
  return {
    type: problemType(error.code),
    title: entry.message,
    status: entry.status,
    detail: detail === undefined ? error.message : detail(error.message),
    code: error.code,
    retryable: entry.retryable,
    ...(error.path === undefined || error.path === "" ? {} : { path: error.path }),
    requestId,
  };
}

export function problemHeaders(problem: Problem, retryAfterMs = RETRY_AFTER_SECONDS * 1_000): Record<string, string> {
  const headers: Record<string, string> = {};
  if (problem.status === 429 || problem.status === 503) {
    headers["Retry-After"] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  }
  if (problem.status === 401) headers["WWW-Authenticate"] = 'Bearer realm="weir"';
  return headers;
}
