/**
 * The warehouse port on QuestDB: rows as InfluxDB line protocol over HTTP. A request is answered when QuestDB holds its
 * rows, or it is refused whole; so a request without an answer is simply sent again, and upsert keys make that harmless.
 *
 * All four tables go through our own encoder. The stock Sender costs eight times as much per row, empties its buffer when
 * a flush fails, and may not settle while the server is away; behind this port nothing of it would be left but its text
 * form, and a test holds our encoder to that.
 *
 * Called by the warehouse writer only, which keeps the rows until `write` resolves and owns all retries.
 */
import { Pool } from "undici";
import { WeirError } from "../../protocol/error-codes.ts";
import { limits } from "../../protocol/limits.ts";
import type { Warehouse, WarehouseRow, WarehouseTable } from "../ports.ts";
import { basicAuthorization } from "./http.ts";
import { IlpEncoder } from "./ilp-encoder.ts";
import { tables } from "./tables.ts";

export interface QuestDbWarehouseOptions {
  /** Base address, such as `http://127.0.0.1:9000`. */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** The deadline of one request. */
  readonly timeoutMs?: number;
  readonly rowsPerRequestMax?: number;
  readonly bytesPerRequestMax?: number;
}

export class QuestDbWarehouse implements Warehouse {
  readonly #pool: Pool;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  readonly #batchLimits: { readonly rowsMax: number; readonly bytesMax: number };
  readonly #encoders: Readonly<Record<WarehouseTable, IlpEncoder>>;

  constructor(options: QuestDbWarehouseOptions) {
    this.#pool = new Pool(options.url, { connections: 2, connectTimeout: 5_000 });
    this.#headers = { "content-type": "text/plain", ...basicAuthorization(options.user, options.password) };
    this.#timeoutMs = options.timeoutMs ?? limits.warehouseFlushMsMax;
    this.#batchLimits = {
      rowsMax: options.rowsPerRequestMax ?? limits.warehouseRowsPerRequestMax,
      bytesMax: options.bytesPerRequestMax ?? limits.warehouseBytesPerRequestMax,
    };
    this.#encoders = {
      events: new IlpEncoder(tables.events),
      metric_panes: new IlpEncoder(tables.metric_panes),
      sessions: new IlpEncoder(tables.sessions),
      dead_letters: new IlpEncoder(tables.dead_letters),
    };
  }

  /** Batches go one after the other, so what is stored is always a prefix of `rows`. */
  async write(table: WarehouseTable, rows: readonly WarehouseRow[], signal: AbortSignal): Promise<void> {
    for (const { body } of this.#encoders[table].batches(rows, this.#batchLimits)) await this.#post(body, signal);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #post(body: Buffer, signal: AbortSignal): Promise<void> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    try {
      const response = await this.#pool.request({
        method: "POST",
        path: "/write",
        headers: this.#headers,
        body,
        signal: AbortSignal.any([signal, deadline]),
      });
      const text = await response.body.text();
      if (response.statusCode >= 300) throw refusal(response.statusCode, text);
    } catch (error) {
      if (error instanceof WeirError) throw error;
      signal.throwIfAborted();
      throw new WeirError("WEIR_QUESTDB_UNREACHABLE", deadline.aborted ? `No answer in ${this.#timeoutMs} ms.` : undefined, {
        cause: error,
      });
    }
  }
}

/** Only a 400 is about the rows. A wrong key, a read-only server or a failing disk is for its operator to mend, then retried. */
function refusal(status: number, text: string): WeirError {
  const detail = serverText(text);
  if (status === 400) return new WeirError("WEIR_QUESTDB_ROW_REFUSED", detail);
  return new WeirError("WEIR_QUESTDB_UNREACHABLE", `It answered ${status}. ${detail}`);
}

function serverText(text: string): string {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null && "message" in answer) return String(answer.message);
  } catch {
    // Not JSON: a proxy's page, or nothing. It is shown as it is.
  }
  return text.slice(0, 1_000);
}
