/**
 * The warehouse writer: tails the hosts' journals and the change feeds at its own pace and sends rows to the warehouse.
 *
 *   journal of each host        -> events, dead_letters     (tail: one offset a host)
 *   session feed of a partition -> sessions                 (tail: one number a partition)
 *   pane feed of each host      -> metric_panes             (tail: one number a host)
 *
 * Its offsets move only after the warehouse has answered for the rows, and rows are made anew from journal and stores each
 * time, so nothing is lost while the warehouse is away or across a crash; sending twice is harmless (upsert keys).
 *
 * A request that was given up may still be applied, after a newer row of the same pane or session has been: the older row then
 * stands. So what such a request may have held is sent once more when no such request can be on its way any longer.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { limits } from "../protocol/limits.ts";
import type { Warehouse, WarehouseRow, WarehouseTable } from "../storage/ports.ts";
import { passPoint } from "./crash-points.ts";

/** Something to read rows from, starting behind a remembered position. */
export interface RowSource {
  /** The name under which its position is remembered. */
  readonly name: string;
  /** Rows behind `position`, at most about `rowsMax`; `position` of the answer is where they end. */
  read(position: number, rowsMax: number): RowBatch;
  /** Its rows replace earlier ones, so their order matters. */
  readonly replaces?: boolean;
  /** How many records or entries are behind `position`: cheap, and 0 when there is nothing to read. */
  backlog(position: number): number;
}

export interface RowBatch {
  readonly position: number;
  readonly tables: ReadonlyMap<WarehouseTable, readonly WarehouseRow[]>;
  readonly rows: number;
}

/** Where positions are kept; `set` resolves when they are durable, and rejects as a store's commit does. */
export interface Positions {
  get(name: string): number;
  set(positions: ReadonlyMap<string, number>): Promise<void>;
}

export interface WarehouseWriterOptions {
  readonly sources: readonly RowSource[];
  readonly positions: Positions;
  /** Connects (and makes tables); rejects while the warehouse is away. */
  readonly connect: (signal: AbortSignal) => Promise<Warehouse>;
  readonly flushRows: number;
  readonly flushMs: number;
  readonly now: () => number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly onChange: (status: WriterStatus) => void;
  /** A row was given up; it is still in the journal or the store. */
  readonly onRefused: (table: WarehouseTable, error: WeirError) => void;
}

export interface WriterStatus {
  readonly state: "ready" | "pending";
  readonly positions: Readonly<Record<string, number>>;
  readonly rowsWritten: number;
  /** Rows that the warehouse will never take. Not 0: a fault of ours, see the log. */
  readonly rowsRefused: number;
  /** When nothing was left to send but rows that wait for company; 0 before the first time. */
  readonly caughtUpMs: number;
  readonly requestsFailed: number;
  readonly lastError: string | undefined;
}

const POLL_MS = 100;
const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 10_000;
/** A request that was given up is applied or lost by then. */
export const UNSURE_MS = 60_000;
/**
 * A refusal may be about the table and not about the row: somebody changed it. Connecting anew mends the table or finds that it
 * does not fit, so a row is only given up when it was refused after so many connects in a row.
 */
const REFUSALS_MAX = 5;

export class WarehouseWriter {
  readonly #options: WarehouseWriterOptions;
  #warehouse: Warehouse | undefined;
  #reconnect = false;
  /** Passes that a refused row has ended, since one that wrote something. */
  #refusals = 0;
  #rowsWritten = 0;
  #rowsRefused = 0;
  #caughtUpMs = 0;
  #requestsFailed = 0;
  #lastError: string | undefined;
  readonly #flushRequests: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  /** Where sources stood that had a request given up, since they were last sent again, and when that was. */
  readonly #unsure = new Map<string, number>();
  #unsureMs = 0;
  /** Since when rows of a source have been waiting for company, and how large its backlog was then. */
  readonly #waiting = new Map<string, { sinceMs: number; backlog: number }>();

  constructor(options: WarehouseWriterOptions) {
    this.#options = options;
  }

  /**
   * Runs until aborted. Rejects when a commit of the positions failed: their store takes nothing more, so the writer has to be
   * made anew, on a store that was opened anew.
   */
  async run(signal: AbortSignal): Promise<void> {
    let retryMs = RETRY_MS_MIN;
    while (!signal.aborted) {
      try {
        if (this.#reconnect) await this.#disconnect();
        this.#reconnect = false;
        this.#warehouse ??= await this.#options.connect(signal);
        await this.#sendUnsureAgain();
        const wrote = await this.#pass(this.#warehouse, signal);
        if (wrote) this.#refusals = 0;
        if (!wrote) this.#caughtUpMs = this.#options.now();
        retryMs = RETRY_MS_MIN;
        this.#report("ready");
        if (!wrote) await this.#options.sleep(POLL_MS, signal);
      } catch (error) {
        if (signal.aborted) break;
        this.#requestsFailed++;
        this.#lastError = error instanceof Error ? error.message : String(error);
        for (const { reject } of this.#flushRequests.splice(0)) reject(error);
        await this.#disconnect();
        if (error instanceof WeirError && error.code === "WEIR_JOURNAL_COMMIT_FAILED") throw error;
        this.#report("pending");
        await this.#options.sleep(retryMs, signal);
        retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      }
    }
    for (const { reject } of this.#flushRequests.splice(0)) reject(signal.reason);
    await this.#disconnect();
  }

  /** Connects anew before the next pass. */
  reconnect(): void {
    this.#reconnect = true;
  }

  /** Resolves once everything that is there by now has been written; rejects when that fails. */
  requestFlush(): Promise<void> {
    return new Promise((resolve, reject) => this.#flushRequests.push({ resolve, reject }));
  }

  /** One batch of each source; with a flush requested, all of them. True when something was written. */
  async #pass(warehouse: Warehouse, signal: AbortSignal): Promise<boolean> {
    const requests = this.#flushRequests.splice(0);
    try {
      let wrote = false;
      for (const source of this.#options.sources) {
        while (await this.#forward(source, warehouse, signal, requests.length > 0)) {
          wrote = true;
          if (requests.length === 0) break;
        }
      }
      for (const { resolve } of requests) resolve();
      return wrote;
    } catch (error) {
      for (const { reject } of requests) reject(error);
      throw error;
    }
  }

  /** Sends one batch of a source when it is large or old enough; false when there was nothing to send. */
  async #forward(source: RowSource, warehouse: Warehouse, signal: AbortSignal, now: boolean): Promise<boolean> {
    const { positions, flushRows } = this.#options;
    const position = positions.get(source.name);
    const due = now || this.#isDue(source, position);
    if (due === "nothing new") return false;
    const batch = source.read(position, limits.warehouseRowsPerRequestMax);
    if (batch.position === position || (!due && batch.rows < flushRows)) return false;
    try {
      for (const [table, rows] of batch.tables) await this.#write(warehouse, table, rows, signal);
    } catch (error) {
      const isRefused = error instanceof WeirError && error.code === "WEIR_QUESTDB_ROW_REFUSED";
      if (source.replaces === true && !isRefused) this.#noteUnsure(source.name, position);
      throw error;
    }
    passPoint("after-rows");
    await positions.set(new Map([[source.name, batch.position]]));
    this.#waiting.delete(source.name);
    this.#rowsWritten += batch.rows;
    return true;
  }

  #noteUnsure(name: string, position: number): void {
    this.#unsure.set(name, Math.min(position, this.#unsure.get(name) ?? position));
    this.#unsureMs = this.#options.now();
  }

  async #sendUnsureAgain(): Promise<void> {
    const { positions, now } = this.#options;
    // The clock may have been set back.
    if (this.#unsure.size === 0 || Math.abs(now() - this.#unsureMs) < UNSURE_MS) return;
    const back = Array.from(this.#unsure, ([name, position]): [string, number] => [
      name,
      Math.min(position, positions.get(name)),
    ]);
    await positions.set(new Map(back));
    this.#unsure.clear();
  }

  /** True: rows have waited long enough. False: look whether they are many. "nothing new": no need to look again. */
  #isDue(source: RowSource, position: number): boolean | "nothing new" {
    const backlog = source.backlog(position);
    const waiting = this.#waiting.get(source.name);
    if (backlog === 0) return "nothing new";
    if (waiting !== undefined && this.#options.now() - waiting.sinceMs >= this.#options.flushMs) return true;
    if (waiting?.backlog === backlog) return "nothing new";
    this.#waiting.set(source.name, { sinceMs: waiting?.sinceMs ?? this.#options.now(), backlog });
    return false;
  }

  /**
   * A request with a row that can never be stored is refused whole: halving finds that row, and the others get through.
   * The first times it ends the pass, and the table is looked at before the same rows are sent again.
   */
  async #write(warehouse: Warehouse, table: WarehouseTable, rows: readonly WarehouseRow[], signal: AbortSignal): Promise<void> {
    if (rows.length === 0) return;
    try {
      await warehouse.write(table, rows, signal);
    } catch (error) {
      if (!(error instanceof WeirError) || error.code !== "WEIR_QUESTDB_ROW_REFUSED") throw error;
      if (rows.length === 1) {
        if (++this.#refusals < REFUSALS_MAX) throw error;
        this.#rowsRefused++;
        this.#options.onRefused(table, error);
        return;
      }
      const half = rows.length >> 1;
      await this.#write(warehouse, table, rows.slice(0, half), signal);
      await this.#write(warehouse, table, rows.slice(half), signal);
    }
  }

  async #disconnect(): Promise<void> {
    const warehouse = this.#warehouse;
    this.#warehouse = undefined;
    await warehouse?.close();
  }

  #report(state: "ready" | "pending"): void {
    const { sources, positions } = this.#options;
    this.#options.onChange({
      state,
      positions: Object.fromEntries(sources.map(({ name }) => [name, positions.get(name)])),
      rowsWritten: this.#rowsWritten,
      rowsRefused: this.#rowsRefused,
      caughtUpMs: this.#caughtUpMs,
      requestsFailed: this.#requestsFailed,
      lastError: state === "ready" ? undefined : this.#lastError,
    });
  }
}
