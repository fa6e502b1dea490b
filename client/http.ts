/**
 * One HTTP request to the server and its answer as JSON. Errors are `ServerError` for what the server answered and
 * WEIR_CLIENT_UNREACHABLE for what never got an answer. The key travels in `Authorization`, never in a URL.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { ServerError } from "./server-error.ts";

export interface HttpOptions {
  /** `http://host:port`, without a path. */
  readonly url: string;
  readonly key: string;
  readonly timeoutMs?: number | undefined;
  /** In place of the platform's; asked for with each call. */
  readonly fetch?: (() => Promise<typeof fetch>) | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export type Method = "GET" | "POST" | "DELETE";

export class HttpApi {
  readonly #url: string;
  readonly #key: string;
  readonly #timeoutMs: number;
  readonly #fetch: () => Promise<typeof fetch>;

  constructor(options: HttpOptions) {
    this.#url = options.url;
    this.#key = options.key;
    this.#timeoutMs = options.timeoutMs ?? 35_000;
    this.#fetch = options.fetch ?? (async () => fetch);
  }

  /** The JSON of a successful answer, or undefined when it has no body. The caller states its shape. */
  async call<Answer>(method: Method, path: string, body?: unknown, options: CallOptions = {}): Promise<Answer> {
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([timeout, options.signal]);
    let response: Response;
    let text: string;
    try {
      const request = await this.#fetch();
      response = await request(`${this.#url}${path}`, {
        method,
        signal,
        headers: { authorization: `Bearer ${this.#key}`, ...(body !== undefined && { "content-type": "application/json" }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch (cause) {
      if (options.signal?.aborted === true || cause instanceof WeirError) throw cause;
      // Looked at here, it also stays alive until here: Node 20 collects a timeout that only `AbortSignal.any` knows.
      const reason = timeout.aborted ? ` in ${this.#timeoutMs} ms` : reasonOf(cause);
      throw new WeirError("WEIR_CLIENT_UNREACHABLE", `${method} ${this.#url}${path} got no answer${reason}.`, { cause });
    }
    if (!response.ok) throw problemOf(response.status, text);
    return parseJson(text) as Answer;
  }
}

/** What the platform calls it, such as ECONNREFUSED or SELF_SIGNED_CERT_IN_CHAIN. */
function reasonOf(thrown: unknown): string {
  const cause: unknown = thrown instanceof Error ? thrown.cause : undefined;
  const code: unknown = typeof cause === "object" && cause !== null ? Reflect.get(cause, "code") : undefined;
  return typeof code === "string" ? ` (${code})` : "";
}

/** RFC 9457 problem details as an error; a proxy's page of HTML becomes one as well. */
function problemOf(status: number, text: string): ServerError {
  const parsed = parseJson(text);
  const problem = typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  const textOf = (name: string) => (typeof problem[name] === "string" ? problem[name] : undefined);
  return new ServerError({
    code: textOf("code") ?? "WEIR_INTERNAL",
    message: textOf("detail") ?? textOf("title") ?? `The server answered ${status}.`,
    retryable: typeof problem["retryable"] === "boolean" ? problem["retryable"] : status >= 500 || status === 429,
    path: textOf("path"),
    requestId: textOf("requestId"),
    status,
  });
}

function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
