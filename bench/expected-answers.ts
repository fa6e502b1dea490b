/** What a server must answer after several workloads: events by type and country, each distinct event once. */
import { isDeepStrictEqual } from "node:util";
import type { BenchServer } from "./servers.ts";
import { expectedAnswer, generateTemplates, sortAnswer, type AnswerRow, type WorkloadParameters } from "./workload.ts";

export class ExpectedAnswers {
  readonly #rows = new Map<string, AnswerRow>();

  /** Frames 0 .. frames - 1 of a workload; its seed must be another one than those of all others. */
  add(workload: WorkloadParameters, frames: number): void {
    for (const row of expectedAnswer(generateTemplates(workload), frames, workload)) {
      const key = `${row.eventType}\t${row.country}`;
      this.#rows.set(key, { ...row, count: row.count + (this.#rows.get(key)?.count ?? 0) });
    }
  }

  get rows(): readonly AnswerRow[] {
    return sortAnswer([...this.#rows.values()]);
  }

  get events(): number {
    return totalOf(this.rows);
  }

  /** Throws unless the server answers just that. */
  async verify(server: BenchServer): Promise<readonly AnswerRow[]> {
    const { rows } = this;
    const answered = await server.answer();
    if (isDeepStrictEqual(answered, rows)) return rows;
    const found = `${totalOf(answered)} events in ${answered.length} series`;
    throw new Error(`wrong answer: ${found}, expected ${totalOf(rows)} in ${rows.length}`);
  }
}

function totalOf(rows: readonly AnswerRow[]): number {
  return rows.reduce((sum, { count }) => sum + count, 0);
}
