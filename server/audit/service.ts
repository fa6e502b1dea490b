/**
 * The audit beside a running server, for one tenant. Hosts write a snapshot, and its figures are read from the stores: one cut
 * of each partition, so the sums over partitions and raw rows are exact while events come in. Stage 2 and metric rows move on
 * meanwhile: they are compared when nothing came in between, and left out with a word when something did.
 */
import { setTimeout as delay } from "node:timers/promises";
import { auditReport, type AuditCheck, type AuditReport } from "../../protocol/audit-report.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import type { QuestDbHttp } from "../../storage/questdb/http.ts";
import { waitForApplied } from "../../storage/questdb/reads.ts";
import type { PartitionFigures } from "../../workers/partition-figures.ts";
import type { LiveData } from "../../workers/ports.ts";
import type { QueryRequest } from "../api/query.ts";
import type { Auditor, QueryService, WarehouseState } from "../services.ts";
import { compared, figuresOf, notCompared, panesFrom, rawRowChecks, stateChecks } from "./checks.ts";
import { readRawRows } from "./raw-rows.ts";

export interface AuditOptions {
  /** Snapshots of all partitions; resolves with how far each host's journal was. */
  readonly snapshot: () => Promise<readonly number[]>;
  readonly readFigures: (tenant: string) => Promise<PartitionFigures[]>;
  readonly live: Pick<LiveData, "query">;
  readonly queries: QueryService;
  readonly warehouse: {
    readonly state: WarehouseState;
    readonly http: QuestDbHttp | undefined;
    flush(): Promise<void>;
  };
  readonly now: () => number;
}

/** How long QuestDB gets to apply what it has taken. */
const APPLIED_MS = 15_000;
const POLL_MS = 250;
/** So many looks without a change: it will not come. */
const UNCHANGED_MAX = 4;
const NOT_QUIET = "events came in meanwhile";
const NO_METRIC = "no metric has counted every event from the first on";

export class AuditService implements Auditor {
  readonly #options: AuditOptions;

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  async audit(tenant: TenantId): Promise<AuditReport> {
    const before = await this.#options.snapshot();
    const partitions = await this.#options.readFigures(tenant);
    const rows = new Map<string, Awaited<ReturnType<typeof readRawRows>>>();
    const checks = [...stateChecks(partitions), ...(await this.#rawRows(tenant, partitions, rows))];
    checks.push(...(await this.#panes(tenant, partitions, before)));
    return auditReport(figuresOf(partitions, rows), checks);
  }

  async #rawRows(
    tenant: TenantId,
    partitions: readonly PartitionFigures[],
    rows: Map<string, Awaited<ReturnType<typeof readRawRows>>>,
  ): Promise<AuditCheck[]> {
    const place = { tenant, partition: null };
    const { warehouse } = this.#options;
    if (warehouse.state === "off") return [notCompared("raw-rows", place, "skipped", "the warehouse is off")];
    try {
      const http = await this.#flushed("events");
      const raw = await readRawRows(http, tenant, partitions);
      rows.set(tenant, raw);
      return rawRowChecks(partitions, tenant, raw);
    } catch (error) {
      return [notCompared("raw-rows", place, "unchecked", reasonOf(error))];
    }
  }

  /** The warehouse with everything in it that is durable by now. */
  async #flushed(table: "events" | "metric_panes"): Promise<QuestDbHttp> {
    const { warehouse } = this.#options;
    const { http } = warehouse;
    if (http === undefined) throw new WeirError("WEIR_WAREHOUSE_UNAVAILABLE");
    await warehouse.flush();
    await waitForApplied(http, table, AbortSignal.timeout(APPLIED_MS));
    return http;
  }

  /** Live panes and metric rows from where both have them, against the partitions' panes. */
  async #panes(tenant: TenantId, partitions: readonly PartitionFigures[], before: readonly number[]): Promise<AuditCheck[]> {
    const { live, now, warehouse } = this.#options;
    const place = { tenant, partition: null };
    const metric = partitions.flatMap(({ tenants }) => tenants.flatMap(({ panes }) => panes?.metric ?? []))[0];
    const [answer] =
      metric === undefined
        ? []
        : await live.query(tenant, [{ metric, span: ALL_TIME, bucketMs: Number.POSITIVE_INFINITY, keep: [], filters: [] }]);
    const fromMs = answer?.completeFromMs ?? Number.NEGATIVE_INFINITY;
    const expected = panesFrom(partitions, tenant, fromMs);
    if (metric === undefined || expected === undefined) {
      return (["live-panes", "metric-rows"] as const).map((sum) => notCompared(sum, place, "skipped", NO_METRIC));
    }
    const span = { fromMs: Math.max(0, fromMs), toMs: now() + DAY_MS };
    const compare = async (sum: "live-panes" | "metric-rows", source: "live" | "rollup"): Promise<AuditCheck> => {
      let count = await this.#count(tenant, metric, source, span);
      // Rows may still be on their way from the hosts' memory: looked at again for as long as there are more of them.
      for (let unchanged = 0; count !== expected && unchanged < UNCHANGED_MAX;) {
        const offsets = await this.#options.snapshot();
        if (offsets.some((offset, host) => offset !== before[host])) return notCompared(sum, place, "skipped", NOT_QUIET);
        const again = await this.#count(tenant, metric, source, span);
        unchanged = again === count ? unchanged + 1 : 0;
        count = again;
        await delay(POLL_MS);
      }
      return compared(sum, place, expected, count, metric);
    };
    const checks = [await compare("live-panes", "live")];
    if (warehouse.state === "off") {
      checks.push(notCompared("metric-rows", place, "skipped", "the warehouse is off"));
    } else {
      const unchecked = (error: unknown) => notCompared("metric-rows", place, "unchecked", reasonOf(error));
      checks.push(await compare("metric-rows", "rollup").catch(unchecked));
    }
    return checks;
  }

  async #count(tenant: TenantId, metric: string, source: "live" | "rollup", span: typeof ALL_TIME): Promise<number> {
    if (source === "rollup") await this.#flushed("metric_panes");
    const label = `${metric}.count`;
    const timeRange = { kind: "span", ...span } as const;
    const request: QueryRequest = { metrics: [label], dimensions: [], filters: [], timeRange, granularity: "all", source };
    const { data } = await this.#options.queries.query(tenant, request, this.#options.now());
    return Number(data[0]?.[label] ?? 0);
  }
}

const ALL_TIME = { fromMs: 0, toMs: Date.UTC(2200, 0, 1) };

function reasonOf(error: unknown): string {
  return error instanceof WeirError ? error.message : "The warehouse did not answer.";
}
