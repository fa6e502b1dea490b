/**
 * QuestDB behind the port that the warehouse writer uses: tables with upsert keys in memory. It refuses, stalls, crashes with
 * requests in it, and answers late or not at all. What it has answered for, it has; of a request without an answer it may have
 * a beginning, now or somewhat later, but not after the writer has connected anew.
 */
import { WeirError } from "../../protocol/error-codes.ts";
import type { Warehouse, WarehouseRow, WarehouseTable } from "../../storage/ports.ts";
import { tables } from "../../storage/questdb/tables.ts";
import type { Random } from "./random.ts";
import type { Process, Scheduler } from "./scheduler.ts";

const DEADLINE_MS = 30_000;

interface Request {
  readonly table: WarehouseTable;
  readonly rows: readonly WarehouseRow[];
  readonly settle: (error: WeirError | undefined) => void;
  applied: boolean;
}

export type Mood = "well" | "refusing" | "stalling" | "forgetful";

export class SimQuestDb {
  readonly #random: Random;
  readonly #process: Process;
  readonly #tables = new Map<WarehouseTable, Map<string, WarehouseRow>>();
  readonly #open = new Set<Request>();
  /** Without an answer for their sender, and still on their way into a table. */
  #late: Request[] = [];
  mood: Mood = "well";
  /** How often each kind of trouble met a request. */
  onTrouble: (kind: string) => void = () => undefined;

  constructor(random: Random, scheduler: Scheduler) {
    this.#random = random;
    this.#process = scheduler.process("questdb");
  }

  rows(table: WarehouseTable): WarehouseRow[] {
    return [...(this.#tables.get(table)?.values() ?? [])];
  }

  async connect(client: Process, signal: AbortSignal): Promise<Warehouse> {
    await client.sleep(this.#random.duration(1, 50), signal);
    if (this.mood === "refusing") throw unreachable("refused");
    // There is one writer: what is still open was sent by one that is gone.
    for (const request of [...this.#late.splice(0), ...this.#open]) this.#apply(request);
    this.#open.clear();
    return {
      write: (table, rows, writeSignal) => this.#write(client, table, rows, writeSignal),
      close: async () => undefined,
    };
  }

  /** Its own crash: open requests get no answer, and leave a beginning of their rows or nothing. */
  crash(): void {
    for (const request of [...this.#open, ...this.#late.splice(0)]) {
      if (this.#random.chance(0.5)) this.#apply(request);
      request.applied = true;
      request.settle(unreachable("crashed"));
    }
  }

  #write(client: Process, table: WarehouseTable, rows: readonly WarehouseRow[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        if (!request.applied) this.#late.push(request);
        request.settle(unreachable("given up"));
      };
      const request: Request = {
        table,
        rows,
        applied: false,
        settle: (error) => {
          this.#open.delete(request);
          signal.removeEventListener("abort", giveUp);
          // A writer that is gone hears nothing.
          client.after(0, () => (error === undefined ? resolve() : reject(error)));
        },
      };
      this.#open.add(request);
      signal.addEventListener("abort", giveUp);
      this.#serve(request);
    });
  }

  #serve(request: Request): void {
    const answerMs = this.#random.duration(1, 200);
    switch (this.mood) {
      case "well":
        this.#process.after(answerMs, () => this.#apply(request));
        this.#process.after(answerMs + this.#random.duration(0.1, 20), () => request.settle(undefined));
        return;
      case "refusing":
        this.onTrouble("questdb refuses");
        this.#process.after(answerMs, () => request.settle(unreachable("refused")));
        return;
      case "forgetful":
        // The rows get in, in part perhaps, and the answer is lost.
        this.onTrouble("questdb loses an answer");
        this.#process.after(answerMs, () => {
          this.#apply(request, this.#random.chance(0.5) ? 1 : this.#random.next());
          request.settle(unreachable("reset"));
        });
        return;
      case "stalling": {
        this.onTrouble("questdb stalls");
        const lateMs = this.#random.duration(1_000, 2 * DEADLINE_MS);
        this.#process.after(lateMs, () => {
          this.#apply(request);
          request.settle(undefined);
        });
        this.#process.after(DEADLINE_MS, () => {
          if (!request.applied) this.#late.push(request);
          request.settle(unreachable("no answer in time"));
        });
      }
    }
  }

  #apply(request: Request, share = 1): void {
    if (request.applied) return;
    request.applied = true;
    const { columns, upsertKeys } = tables[request.table];
    const keyAt = upsertKeys.map((name) => columns.findIndex((column) => column.name === name));
    let table = this.#tables.get(request.table);
    if (table === undefined) this.#tables.set(request.table, (table = new Map()));
    for (const row of request.rows.slice(0, Math.ceil(request.rows.length * share))) {
      table.set(JSON.stringify(keyAt.map((at) => row[at])), row);
    }
  }
}

function unreachable(why: string): WeirError {
  return new WeirError("WEIR_QUESTDB_UNREACHABLE", why);
}
