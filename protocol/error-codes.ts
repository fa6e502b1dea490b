/**
 * The one table of errors: code -> message, whether trying again can help, HTTP status, WebSocket close code.
 * A code with a close code ends the connection. Codes are stable; messages may be reworded.
 * `docs/errors.md` is generated from this table.
 */
export interface ErrorCodeEntry {
  readonly message: string;
  readonly retryable: boolean;
  readonly status: number;
  readonly close?: number;
}

export const errorCodes = {
  // One event of a batch. `WEIR_EVENT_*` codes are verdicts: they are journaled and stand in dead letters.
  WEIR_EVENT_DUPLICATE: { message: "An event with this eventId was counted before.", retryable: false, status: 200 },
  WEIR_EVENT_LATE: {
    message: "The event is older than the lateness horizon; it is kept as a dead letter.",
    retryable: false,
    status: 422,
  },
  WEIR_EVENT_NOT_A_MAP: { message: "An event must be a map.", retryable: false, status: 422 },
  WEIR_EVENT_FIELD_MISSING: { message: "A required field is missing.", retryable: false, status: 422 },
  WEIR_EVENT_FIELD_TYPE: { message: "A field has the wrong type.", retryable: false, status: 422 },
  WEIR_EVENT_FIELD_LENGTH: {
    message: "A text field is empty or longer than 256 bytes of UTF-8.",
    retryable: false,
    status: 422,
  },
  WEIR_EVENT_FIELD_ENCODING: { message: "A text field is not valid UTF-8.", retryable: false, status: 422 },
  WEIR_EVENT_TIMESTAMP_INVALID: {
    message: "The timestamp is not a msgpack timestamp, ISO 8601 with a zone, or epoch milliseconds since 2000.",
    retryable: false,
    status: 422,
  },
  WEIR_EVENT_TIMESTAMP_FUTURE: {
    message: "The timestamp is more than 5 minutes ahead of the time of receipt.",
    retryable: false,
    status: 422,
  },
  WEIR_EVENT_PROPERTIES_TOO_LARGE: {
    message: "properties exceed 32 KiB, 8 levels or 256 keys.",
    retryable: false,
    status: 422,
  },
  WEIR_EVENT_NUMBER_INVALID: {
    message: "A number is NaN, infinite, or an integer that a double cannot hold; send such integers as strings.",
    retryable: false,
    status: 422,
  },
  WEIR_EVENT_VALUE_INVALID: {
    message: "A value is not a string, number, boolean, null, list or map.",
    retryable: false,
    status: 422,
  },

  // A frame or a request body
  WEIR_FRAME_MALFORMED: { message: "The bytes cannot be decoded.", retryable: false, status: 400 },
  WEIR_FRAME_NOT_BINARY: { message: "Frames are binary msgpack, not text.", retryable: false, status: 400 },
  WEIR_FRAME_TYPE_UNKNOWN: { message: "The frame has no known type `t`.", retryable: false, status: 400 },
  WEIR_FRAME_FIELD_INVALID: { message: "A field of the frame is missing or wrong.", retryable: false, status: 400 },
  WEIR_FRAME_TOO_LARGE: { message: "The frame or body is larger than the limit.", retryable: false, status: 413, close: 1009 },
  WEIR_FRAME_TOO_MANY_EVENTS: { message: "The batch holds more events than the limit.", retryable: false, status: 413 },
  WEIR_FRAME_POISONED: {
    message: "Applying the frame stopped its partition host twice; it is kept as a dead letter.",
    retryable: false,
    status: 422,
  },
  WEIR_BODY_TYPE_UNSUPPORTED: {
    message: "The body must be JSON, NDJSON or msgpack, plain or gzip.",
    retryable: false,
    status: 415,
  },
  WEIR_FLOW_CREDIT_EXCEEDED: {
    message: "More frames are unacknowledged than the credit allows; wait for acks.",
    retryable: true,
    status: 429,
  },
  WEIR_FLOW_OVERLOADED: { message: "The server takes no more events right now.", retryable: true, status: 503 },
  WEIR_FLOW_DRAINING: { message: "The server is going down; reconnect.", retryable: true, status: 503, close: 1012 },
  WEIR_DISK_FULL: { message: "The server's disk is full; send again later.", retryable: true, status: 503 },
  WEIR_TENANT_STATE_FULL: {
    message: "What the server keeps in memory for the tenant is at its bound; send again later.",
    retryable: true,
    status: 429,
  },
  WEIR_HOST_FAILED: {
    message: "The partition host stopped before the outcome was known; send again.",
    retryable: true,
    status: 503,
  },

  // Keys and scopes
  WEIR_AUTH_KEY_MISSING: { message: "An API key is required.", retryable: false, status: 401, close: 4401 },
  WEIR_AUTH_KEY_UNKNOWN: { message: "The API key is not valid.", retryable: false, status: 401, close: 4401 },
  WEIR_AUTH_KEY_EXPIRED: { message: "The API key has expired.", retryable: false, status: 401, close: 4401 },
  WEIR_AUTH_LOCKED_OUT: {
    message: "Too many wrong keys came from this address; try again later.",
    retryable: true,
    status: 429,
    close: 4429,
  },
  WEIR_KEY_LIMIT: { message: "The tenant has as many keys as the limit allows; revoke some.", retryable: false, status: 429 },
  WEIR_KEY_REPLACED: { message: "The key has been rotated already; rotate its successor.", retryable: false, status: 409 },
  WEIR_AUTH_KEY_IN_URL: {
    message: "A key must not stand in a URL, where logs keep it; send `Authorization: Bearer KEY`, and rotate this key.",
    retryable: false,
    status: 400,
  },
  WEIR_AUTH_SCOPE_MISSING: { message: "The API key lacks the scope for this.", retryable: false, status: 403 },
  WEIR_AUTH_HELLO_TIMEOUT: { message: "No key arrived in time.", retryable: true, status: 408, close: 4408 },
  WEIR_ORIGIN_REFUSED: { message: "Pages of this origin may not connect.", retryable: false, status: 403 },
  WEIR_CONNECTION_LIMIT: { message: "Too many connections.", retryable: true, status: 503, close: 1013 },
  WEIR_CONNECTION_ABUSED: { message: "Too many refused frames on one connection.", retryable: false, status: 400, close: 4400 },

  // Metrics, subscriptions, queries
  WEIR_METRIC_UNKNOWN: { message: "No metric has this name.", retryable: false, status: 404 },
  WEIR_METRIC_INVALID: { message: "The metric definition is not valid.", retryable: false, status: 422 },
  WEIR_METRIC_EXISTS: { message: "A different metric has this name.", retryable: false, status: 409 },
  WEIR_METRIC_LIMIT: { message: "The tenant has as many metrics as the limit allows.", retryable: false, status: 429 },
  WEIR_CHANNEL_INVALID: { message: "The channel is not `metric` or `metric@window`.", retryable: false, status: 400 },
  WEIR_SUBSCRIPTION_LIMIT: { message: "Too many subscriptions.", retryable: false, status: 429 },
  WEIR_SUBSCRIPTION_UNKNOWN: { message: "No subscription has this id.", retryable: false, status: 404 },
  WEIR_QUERY_INVALID: { message: "The query is not valid.", retryable: false, status: 400 },
  WEIR_QUERY_DIMENSION_UNKNOWN: { message: "The metric has no such dimension.", retryable: false, status: 400 },
  WEIR_QUERY_AGGREGATE_UNKNOWN: { message: "The metric has no such aggregate.", retryable: false, status: 400 },
  WEIR_QUERY_RANGE_UNAVAILABLE: {
    message: "The range is neither in live panes nor in the warehouse at this granularity.",
    retryable: false,
    status: 422,
  },
  WEIR_QUERY_TOO_LARGE: { message: "The query touches more rows or panes than the limit.", retryable: false, status: 422 },
  WEIR_QUERY_TIMEOUT: { message: "The query took too long.", retryable: true, status: 504 },
  WEIR_QUERY_BUSY: { message: "Too many queries run at once.", retryable: true, status: 429 },
  WEIR_QUERY_FAILED: { message: "Query execution failed.", retryable: true, status: 502 },
  WEIR_SESSION_UNKNOWN: { message: "No session has this id.", retryable: false, status: 404 },
  WEIR_JOB_UNKNOWN: { message: "No job has this id.", retryable: false, status: 404 },
  WEIR_WAREHOUSE_UNAVAILABLE: { message: "The warehouse cannot be reached.", retryable: true, status: 503 },

  // HTTP
  WEIR_HTTP_NOT_FOUND: { message: "No such route.", retryable: false, status: 404 },
  WEIR_HTTP_METHOD: { message: "The route does not have this method.", retryable: false, status: 405 },
  WEIR_INTERNAL: { message: "An internal error; it is in the server's log.", retryable: true, status: 500, close: 1011 },

  // Start, command line, operation
  WEIR_CONFIG_INVALID: { message: "A setting is unknown or not valid.", retryable: false, status: 500 },
  WEIR_START_PORT_IN_USE: { message: "The port is in use.", retryable: false, status: 500 },
  WEIR_START_DATA_IN_USE: { message: "Another server uses the data directory.", retryable: false, status: 500 },
  WEIR_START_DATA_FORMAT: { message: "The data directory has an unknown format.", retryable: false, status: 500 },
  WEIR_START_DATA_UNUSABLE: { message: "The data directory cannot be read or written.", retryable: false, status: 500 },
  WEIR_START_TLS_INVALID: { message: "The TLS certificate or its key cannot be used.", retryable: false, status: 500 },
  WEIR_START_NO_JAVA: { message: "No Java runtime (17 or later) was found for QuestDB.", retryable: false, status: 500 },
  WEIR_START_NO_QUESTDB: { message: "The QuestDB jar was not found and could not be fetched.", retryable: false, status: 500 },
  WEIR_QUESTDB_UNREACHABLE: { message: "QuestDB does not answer.", retryable: true, status: 503 },
  WEIR_QUESTDB_ROW_REFUSED: { message: "QuestDB refused a row.", retryable: false, status: 500 },
  WEIR_JOURNAL_COMMIT_FAILED: {
    message: "A journal commit failed; the fate of its frames is unknown.",
    retryable: true,
    status: 503,
  },
  WEIR_CLIENT_BUFFER_FULL: { message: "The client's buffer is full; wait for acks.", retryable: true, status: 429 },
  WEIR_CLIENT_CLOSED: { message: "The client is closed.", retryable: false, status: 400 },
  WEIR_CLIENT_UNREACHABLE: { message: "The server cannot be reached.", retryable: true, status: 503 },
  WEIR_FILE_INVALID: { message: "The file cannot be read as events.", retryable: false, status: 400 },
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof errorCodes;

export function entryOf(code: ErrorCode): ErrorCodeEntry {
  return errorCodes[code];
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

/** What goes wrong outside a verdict. `path` names the part of the input that is wrong, such as `events[3].timestamp`. */
export class WeirError extends Error {
  override readonly name = "WeirError";
  readonly code: ErrorCode;
  readonly path: string | undefined;
  /** How long to wait before trying again, when that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, detail?: string, options?: { path?: string; cause?: unknown; retryAfterMs?: number }) {
    const { message } = entryOf(code);
    super(
      detail === undefined ? message : `${message} ${detail}`,
      options?.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.path = options?.path;
    this.retryAfterMs = options?.retryAfterMs;
  }

  /** What the message says beyond that of the code; undefined: nothing. */
  get detail(): string | undefined {
    const detail = this.message.slice(entryOf(this.code).message.length).trim();
    return detail === "" ? undefined : detail;
  }

  get retryable(): boolean {
    return entryOf(this.code).retryable;
  }
}
