/**
 * Watches, while nothing comes in, that `events` has a row for each accepted event of all tenants. Cheap: QuestDB knows how many
 * rows a table has, and the hosts how many events they accepted. The audit (`audit/`) says which ones are missing.
 *
 *   look ---- count rows ---- look again, at the next tick: the same offsets and positions, so nothing moved in between
 *
 * With a TTL on the table there is nothing to say: rows are missing on purpose.
 */
import type { QuestDbHttp } from "../storage/questdb/http.ts";
import { warehouseHealth } from "../storage/questdb/reads.ts";
import { readTtl } from "../storage/questdb/raw-counts.ts";
import type { Log } from "./log.ts";

/** The state of the stream; undefined while the warehouse is behind or away. */
export interface QuietStream {
  readonly accepted: number;
  /** All offsets and positions: equal texts, equal state. */
  readonly position: string;
}

export interface MissingRowsOptions {
  readonly look: () => QuietStream | undefined;
  readonly http: () => Pick<QuestDbHttp, "exec"> | undefined;
  readonly log: Pick<Log, "warn">;
}

/** Longer than hosts and writer take to report. */
const CHECK_EVERY_MS = 10_000;

export class MissingRows {
  readonly #options: MissingRowsOptions;
  #counted: { readonly position: string; readonly missing: number } | undefined;
  #events: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #running = false;

  constructor(options: MissingRowsOptions) {
    this.#options = options;
  }

  /** Accepted events without a row, as of the last quiet moment; undefined before the first. Below 0: rows that nobody sent. */
  get events(): number | undefined {
    return this.#events;
  }

  start(): void {
    this.#timer = setInterval(() => void this.check(), CHECK_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One tick. */
  async check(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      const before = this.#options.look();
      const counted = this.#counted;
      this.#counted = undefined;
      if (before === undefined) return;
      if (counted?.position === before.position) this.#events = counted.missing;
      const rows = await this.#countRows();
      if (rows !== undefined) this.#counted = { position: before.position, missing: before.accepted - rows };
    } catch (error) {
      this.#options.log.warn({ err: error }, "rows could not be counted");
    } finally {
      this.#running = false;
    }
  }

  async #countRows(): Promise<number | undefined> {
    const http = this.#options.http() as QuestDbHttp | undefined;
    if (http === undefined) return undefined;
    const health = (await warehouseHealth(http)).find(({ table }) => table === "events");
    if (health === undefined || health.lagTransactions > 0) return undefined;
    if ((await readTtl(http)).ttl !== undefined) return undefined;
    const { rows } = await http.exec("SELECT count() FROM events");
    return Number(rows[0]?.[0]);
  }
}
