/**
 * How the command line says that something went wrong: `CODE: message (path)` on stderr, one line of JSON with --json,
 * and a hint where the reader can do something about it.
 */
import { AssertionError } from "../protocol/assert.ts";
import { isErrorCode, WeirError, type ErrorCode } from "../protocol/error-codes.ts";
import { ServerError } from "../client/index.ts";

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly path?: string;
  readonly retryable?: boolean;
}

/** A wrong command line that commander cannot see by itself. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const hints: Partial<Record<ErrorCode, string>> = {
  WEIR_AUTH_KEY_MISSING: "Give a key with WEIR_KEY or --key-file; `weir keys create` makes one.",
  WEIR_AUTH_KEY_UNKNOWN: "`weir keys list` shows the keys of a data directory; `weir keys create` makes one.",
  WEIR_AUTH_KEY_EXPIRED: "`weir keys create` makes another; `weir keys rotate` makes one before it is too late.",
  WEIR_AUTH_SCOPE_MISSING: "Use a key with more scopes: `weir keys create --scopes write,read,admin`.",
  WEIR_CLIENT_UNREACHABLE: "Is the server running? Give its address with --url or WEIR_URL.",
  WEIR_METRIC_UNKNOWN: "`weir metrics list` shows what there is.",
  WEIR_CONFIG_INVALID: "`weir serve --help` lists every setting.",
  WEIR_START_PORT_IN_USE: "Stop what listens there, or choose another port with --port (0 takes a free one).",
  WEIR_START_DATA_IN_USE: "Stop the other server, or choose another folder with --data.",
  WEIR_START_DATA_FORMAT: "Use the version that wrote this folder, or choose an empty one with --data.",
  WEIR_START_DATA_UNUSABLE: "Check that the folder exists and may be written, or choose another with --data.",
  WEIR_START_NO_JAVA: "Install Java 17 or later, or start with --questdb off or --questdb URL.",
  WEIR_START_NO_QUESTDB: "Give the jar with --questdb-jar, or start with --questdb off or --questdb URL.",
  WEIR_QUESTDB_UNREACHABLE: "Check that QuestDB runs at the address given with --questdb.",
};

export function failureOf(error: unknown): Failure {
  if (error instanceof WeirError || error instanceof ServerError) {
    const { code, message, retryable, path } = error;
    return { code, message, retryable, ...(path !== undefined && { path }) };
  }
  if (error instanceof AssertionError) return { code: "WEIR_INTERNAL", message: error.message };
  const systemCode: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  const message = error instanceof Error ? error.message : String(error);
  // ENOENT and its like: the path is in the message already.
  return { code: typeof systemCode === "string" ? systemCode : "WEIR_INTERNAL", message };
}

export function writeFailure(error: unknown, json: boolean): void {
  const failure = failureOf(error);
  if (json) {
    process.stderr.write(`${JSON.stringify({ error: failure })}\n`);
    return;
  }
  const path = failure.path === undefined ? "" : ` (${failure.path})`;
  process.stderr.write(`${failure.code}: ${failure.message}${path}\n`);
  const hint = isErrorCode(failure.code) ? hints[failure.code] : undefined;
  if (hint !== undefined) process.stderr.write(`${hint}\n`);
}
