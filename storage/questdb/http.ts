/**
 * SQL over QuestDB's `/exec`. Every statement has a deadline. Errors: WEIR_QUERY_FAILED with QuestDB's own text when it
 * refuses or fails the statement, WEIR_QUERY_TIMEOUT when the deadline passed, WEIR_QUESTDB_UNREACHABLE when it does not
 * answer. Values go into a statement only through `sql-text.ts`. Never for SQL that a tenant wrote: in QuestDB 9.3.4 two
 * stuck joins would block these workers, and with them the writes.
 */
import type { Pool } from "undici";
import { WeirError } from "../../protocol/error-codes.ts";
import { limits } from "../../protocol/limits.ts";

export interface QuestDbHttpOptions {
  /** Base address, such as `http://127.0.0.1:9000`. */
  readonly url: string;
  /** For an external QuestDB with `http.user`. */
  readonly user?: string;
  readonly password?: string;
  readonly timeoutMs?: number;
  readonly connectionsMax?: number;
}

export type SqlCell = string | number | boolean | null;

export interface SqlAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Empty for a statement that gives no rows. TIMESTAMP cells are ISO 8601 texts with microseconds. */
  readonly rows: readonly (readonly SqlCell[])[];
}

export class QuestDbHttp {
  readonly #options: QuestDbHttpOptions;
  /** Made for the first statement: loading undici takes a tenth of a second, which a start of the server need not wait for. */
  #pool: Promise<Pool> | undefined;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;

  constructor(options: QuestDbHttpOptions) {
    this.#options = options;
    this.#headers = basicAuthorization(options.user, options.password);
    this.#timeoutMs = options.timeoutMs ?? limits.queryTimeoutMs;
  }

  async exec(sql: string, signal?: AbortSignal): Promise<SqlAnswer> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    try {
      const pool = await (this.#pool ??= makePool(this.#options));
      const response = await pool.request({
        method: "GET",
        path: `/exec?${new URLSearchParams({ query: sql }).toString()}`,
        headers: this.#headers,
        signal: either,
      });
      const text = await response.body.text();
      return readAnswer(response.statusCode, text);
    } catch (error) {
      if (error instanceof WeirError) throw error;
      signal?.throwIfAborted();
      if (deadline.aborted) throw new WeirError("WEIR_QUERY_TIMEOUT", undefined, { cause: error });
      throw new WeirError("WEIR_QUESTDB_UNREACHABLE", undefined, { cause: error });
    }
  }

  async close(): Promise<void> {
    await (await this.#pool)?.destroy();
  }
}

async function makePool({ url, connectionsMax = 4 }: QuestDbHttpOptions): Promise<Pool> {
  const undici = await import("undici");
  return new undici.Pool(url, { connections: connectionsMax, connectTimeout: 5_000 });
}

export function basicAuthorization(user: string | undefined, password: string | undefined): Record<string, string> {
  if (user === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${user}:${password ?? ""}`).toString("base64")}` };
}

interface ExecAnswer {
  readonly error?: string;
  readonly columns?: { name: string; type: string }[];
  readonly dataset?: SqlCell[][];
}

function readAnswer(status: number, text: string): SqlAnswer {
  const answer = parseAnswer(text);
  if (status >= 500) throw new WeirError("WEIR_QUESTDB_UNREACHABLE", `It answered ${status}. ${answer?.error ?? ""}`.trimEnd());
  if (answer === undefined || answer.error !== undefined || status >= 400) {
    throw new WeirError("WEIR_QUERY_FAILED", answer?.error ?? `QuestDB answered ${status}.`);
  }
  return { columns: answer.columns ?? [], rows: answer.dataset ?? [] };
}

/** undefined for what is not an answer of `/exec`, such as the page of a proxy or a text cut off by a failing query. */
function parseAnswer(text: string): ExecAnswer | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === "object" && answer !== null ? answer : undefined;
  } catch {
    return undefined;
  }
}
