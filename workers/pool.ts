/** The job pool: stateless jobs in threads of their own, so that none of them holds up a turn. */
import { Piscina } from "piscina";
import type { ExportResult, ExportTask } from "./jobs/export-events.ts";

const THREADS_MAX = 2;
const IDLE_MS = 10_000;

export class JobPool {
  readonly #exports = new Piscina<ExportTask, ExportResult>({
    filename: new URL("./jobs/export-events.js", import.meta.url).href,
    minThreads: 0,
    maxThreads: THREADS_MAX,
    idleTimeout: IDLE_MS,
  });

  exportEvents(task: ExportTask): Promise<ExportResult> {
    return this.#exports.run(task);
  }

  async close(): Promise<void> {
    await this.#exports.destroy();
  }
}
