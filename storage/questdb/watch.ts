/**
 * Watches a QuestDB that answers: whether each of our tables applies what it takes, and when the server was started.
 * QuestDB suspends a table whose rows it cannot apply (a full disk, for one), goes on taking rows for it, and never resumes it
 * by itself: so we do, at growing pauses, since whether the cause is gone shows only by trying.
 * `server/warehouse.ts` calls `poll` every few seconds, never twice at a time.
 */
import type { QuestDbHttp } from "./http.ts";
import { warehouseHealth, type TableHealth } from "./reads.ts";

const RESUME_PAUSE_MS_MIN = 5_000;
const RESUME_PAUSE_MS_MAX = 5 * 60_000;

export class QuestDbWatch {
  readonly #now: () => number;
  #tables: readonly TableHealth[] = [];
  #startedAt: string | undefined;
  #resumes = 0;
  /** Of tables that are suspended: when to try next, and how long to wait after that. */
  readonly #suspended = new Map<string, { dueMs: number; pauseMs: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** As of the last poll that was answered. */
  get tables(): readonly TableHealth[] {
    return this.#tables;
  }

  /** Another text after each start of the server; undefined before the first answer. */
  get startedAt(): string | undefined {
    return this.#startedAt;
  }

  /** How often a table was resumed. */
  get resumes(): number {
    return this.#resumes;
  }

  /** Rejects when the server does not answer; then nothing is known anew. */
  async poll(http: Pick<QuestDbHttp, "exec">, signal: AbortSignal): Promise<void> {
    const { rows } = await http.exec("SELECT pg_postmaster_start_time()", signal);
    this.#startedAt = String(rows[0]?.[0]);
    this.#tables = await warehouseHealth(http, signal);
    for (const { table, suspended } of this.#tables) {
      if (suspended) await this.#resume(http, table, signal);
      else this.#suspended.delete(table);
    }
  }

  async #resume(http: Pick<QuestDbHttp, "exec">, table: string, signal: AbortSignal): Promise<void> {
    const nowMs = this.#now();
    const { dueMs, pauseMs } = this.#suspended.get(table) ?? { dueMs: nowMs, pauseMs: RESUME_PAUSE_MS_MIN };
    if (nowMs < dueMs) return;
    this.#suspended.set(table, { dueMs: nowMs + pauseMs, pauseMs: Math.min(pauseMs * 2, RESUME_PAUSE_MS_MAX) });
    this.#resumes++;
    await http.exec(`ALTER TABLE ${table} RESUME WAL`, signal);
  }
}
