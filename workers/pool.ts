/** The job pool: stateless jobs in threads of their own, so that none of them holds up a turn. */
import { Piscina } from "piscina";
import type { ExportResult, ExportTask } from "./jobs/export-events.ts";
import type { FiguresTask } from "./jobs/read-figures.ts";
import type { PartitionFigures } from "./partition-figures.ts";

const THREADS_MAX = 2;
const IDLE_MS = 10_000;

export class JobPool {
  readonly #jobs = new Piscina<ExportTask | FiguresTask, unknown>({
    minThreads: 0,
    maxThreads: THREADS_MAX,
    idleTimeout: IDLE_MS,
  });

  exportEvents(task: ExportTask): Promise<ExportResult> {
    return this.#run("export-events", task) as Promise<ExportResult>;
  }

  readFigures(task: FiguresTask): Promise<PartitionFigures[]> {
    return this.#run("read-figures", task) as Promise<PartitionFigures[]>;
  }

  async close(): Promise<void> {
    await this.#jobs.destroy();
  }

  #run(job: string, task: ExportTask | FiguresTask): Promise<unknown> {
    return this.#jobs.run(task, { filename: new URL(`./jobs/${job}.js`, import.meta.url).href });
  }
}
