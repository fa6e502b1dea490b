/** Export jobs: started by request, run in the pool, remembered until the server stops. A tenant sees only its own. */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { WeirError } from "../protocol/error-codes.ts";
import type { TenantId } from "../protocol/ids.ts";
import { MINUTE_MS } from "../protocol/windows.ts";
import { eventClock } from "../workers/metric-host.ts";
import type { JobPool } from "../workers/pool.ts";
import type { LiveData } from "../workers/ports.ts";
import type { TimeRange } from "./api/query.ts";
import type { Log } from "./log.ts";
import type { ExportJobs, ExportStatus } from "./services.ts";

/** As `start` names them; a draft has `.part` behind. Nothing else in the folder is ours. */
const fileName = /-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.ndjson(?:\.part)?$/;
/** One tenant has at most half of them: what it runs must not keep others from theirs. */
const RUNNING_MAX = 8;
const REMEMBERED_PER_TENANT_MAX = 100;

export interface ExportOptions {
  readonly pool: JobPool;
  readonly live: Pick<LiveData, "clock">;
  /** Where files go. */
  readonly folder: string;
  readonly warehouseUrl: () => string | undefined;
  readonly now: () => number;
  /** Files that were written longer ago are removed. */
  readonly retentionMs: number;
  readonly log: Pick<Log, "info" | "error">;
}

const SWEEP_EVERY_MS = 10 * MINUTE_MS;

export class Exports implements ExportJobs {
  readonly #options: ExportOptions;
  readonly #jobs = new Map<string, { readonly tenant: TenantId; status: ExportStatus }>();
  #sweeping: ReturnType<typeof setInterval> | undefined;

  constructor(options: ExportOptions) {
    this.#options = options;
  }

  /** Removes old files now and from time to time, until `stop`. */
  startSweeping(): void {
    const sweep = () => {
      try {
        this.sweep();
      } catch (error) {
        this.#options.log.error({ err: error }, "old exports could not be removed");
      }
    };
    sweep();
    this.#sweeping = setInterval(sweep, SWEEP_EVERY_MS);
    this.#sweeping.unref();
  }

  stop(): void {
    clearInterval(this.#sweeping);
  }

  /** Removes files past retention, drafts of jobs that were cut short too; their jobs are forgotten. */
  sweep(): void {
    const { folder, retentionMs, now, log } = this.#options;
    if (!existsSync(folder)) return;
    const removed = { files: 0, bytes: 0 };
    for (const name of readdirSync(folder)) {
      const [, id] = fileName.exec(name) ?? [];
      const file = join(folder, name);
      const { mtimeMs, size } = statSync(file);
      if (id === undefined || now() - mtimeMs <= retentionMs) continue;
      rmSync(file, { force: true });
      this.#jobs.delete(id);
      removed.files++;
      removed.bytes += size;
    }
    if (removed.files > 0) log.info(removed, "old exports removed");
  }

  async start(tenant: TenantId, range: TimeRange): Promise<ExportStatus> {
    const url = this.#options.warehouseUrl();
    if (url === undefined) throw new WeirError("WEIR_WAREHOUSE_UNAVAILABLE");
    const running = [...this.#jobs.values()].filter(({ status }) => status.status === "running");
    const own = running.filter((job) => job.tenant === tenant);
    if (running.length >= RUNNING_MAX || own.length >= RUNNING_MAX / 2) throw new WeirError("WEIR_QUERY_BUSY");
    const span = await this.#spanOf(tenant, range);
    const id = randomUUID();
    mkdirSync(this.#options.folder, { recursive: true });
    const file = join(this.#options.folder, `${tenant}-${id}.ndjson`);
    const job = { tenant, status: { id, status: "running", rows: 0, bytes: 0 } as ExportStatus };
    this.#jobs.set(id, job);
    this.#forgetOldest(tenant);
    this.#options.pool.exportEvents({ url, tenant, ...span, file }).then(
      (result) => (job.status = { id, status: "done", ...result, file }),
      (error: unknown) => (job.status = { id, status: "failed", rows: 0, bytes: 0, error: errorText(error) }),
    );
    return job.status;
  }

  async status(tenant: TenantId, id: string): Promise<ExportStatus | undefined> {
    const job = this.#jobs.get(id);
    return job?.tenant === tenant ? job.status : undefined;
  }

  async #spanOf(tenant: TenantId, range: TimeRange): Promise<{ fromMs: number; toMs: number }> {
    if (range.kind === "span") return { fromMs: range.fromMs, toMs: range.toMs };
    const toMs = eventClock(await this.#options.live.clock(tenant), this.#options.now()) + 1;
    return { fromMs: Math.max(0, toMs - range.lengthMs), toMs };
  }

  #forgetOldest(tenant: TenantId): void {
    const own = [...this.#jobs].filter(([, job]) => job.tenant === tenant);
    const ended = own.filter(([, { status }]) => status.status !== "running");
    for (const [id] of ended.slice(0, Math.max(0, own.length - REMEMBERED_PER_TENANT_MAX))) this.#jobs.delete(id);
  }
}

/** Codes are for clients; other texts stay in the log. */
function errorText(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  return code.startsWith("WEIR_") ? code : "WEIR_QUERY_FAILED";
}
