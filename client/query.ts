/** Questions over HTTP, typed: one method for each route of the protocol. Errors are those of `http.ts`. */
import type { ReceiptAnswer } from "../protocol/receipt-answer.ts";
import type { AuditReport } from "../protocol/audit-report.ts";
import type { MetricDefinition, MetricDefinitionInput } from "../protocol/metric-definition.ts";
import { HttpApi, type CallOptions, type HttpOptions } from "./http.ts";

export type Granularity = "10s" | "1m" | "1h" | "1d" | "all";
export type QuerySource = "auto" | "live" | "rollup" | "raw";
/** Epoch milliseconds or ISO 8601; `from <= t < to`. */
export type QueryTimeRange = { readonly from: number | string; readonly to: number | string } | { readonly last: string };

export interface QueryFilter {
  readonly dimension: string;
  readonly op: "eq" | "ne" | "in";
  readonly value: string | null | readonly (string | null)[];
}

export interface QueryRequest {
  /** `metric` or `metric.output`. */
  readonly metrics: readonly string[];
  readonly dimensions?: readonly string[];
  readonly filters?: readonly QueryFilter[];
  readonly timeRange: QueryTimeRange;
  readonly granularity?: Granularity;
  readonly source?: QuerySource;
  readonly cacheTTL?: number;
}

export interface QueryMetadata {
  readonly totalRows: number;
  /** In milliseconds. */
  readonly executionTime: number;
  readonly dataFreshness: number;
  readonly queryId: string;
  readonly dataSource: string;
  readonly cacheHit: boolean;
  readonly queryComplexity: number;
  readonly bounds: Readonly<Record<string, unknown>>;
  readonly truncated: boolean;
}

/** `time` (ISO 8601), one entry per dimension, one per metric as it was named in the query. */
export type QueryRow = Readonly<Record<string, unknown>>;

export interface QueryAnswer {
  readonly data: readonly QueryRow[];
  readonly metadata: QueryMetadata;
}

export interface RealtimeAnswer {
  readonly metrics: readonly { readonly name: string; readonly value: unknown; readonly timestamp: number }[];
  readonly unknown: readonly string[];
  readonly timestamp: number;
  readonly refreshInterval: number;
}

export type CatalogMetric = MetricDefinition & {
  readonly outputs: readonly string[];
  readonly bounds: Readonly<Record<string, unknown>>;
};

export interface SessionAnswer {
  readonly sessionId: string;
  readonly userId: string | null;
  readonly events: number;
  readonly firstEventTimeMs: number;
  readonly lastEventTimeMs: number;
  readonly durationMs: number;
  readonly open: boolean;
  readonly eventTypes: Readonly<Record<string, number>>;
  readonly segments: readonly {
    readonly startMs: number;
    readonly endMs: number;
    readonly durationMs: number;
    readonly events: number;
    readonly open: boolean;
  }[];
}

export interface DeadLetter {
  readonly host: number;
  readonly offset: number;
  readonly index: number;
  readonly code: string;
  readonly path: string | null;
  readonly eventId: string;
  readonly ingestTimeMs: number;
  /** The event as it came, as JSON text (or as the map itself). */
  readonly raw: unknown;
}

export interface LedgerAnswer {
  readonly received: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
  readonly imbalance: number;
}

export interface DeadLettersAnswer {
  readonly deadLetters: readonly DeadLetter[];
  readonly ledger: LedgerAnswer;
}

export interface AuditLogAnswer {
  /** Newest first. */
  readonly entries: readonly {
    readonly seq: number;
    readonly atMs: number;
    /** `key.create`, `metric.define`, ...: docs/operations.md. */
    readonly action: string;
    /** `key:<id>`, `operator:<user>` or `server`. */
    readonly by: string;
    readonly remoteAddress?: string;
    readonly detail: Readonly<Record<string, unknown>>;
  }[];
  /** How many old ones are gone. */
  readonly removed: number;
}

export interface ExportAnswer {
  readonly id: string;
  readonly status: "running" | "done" | "failed";
  readonly rows: number;
  readonly bytes: number;
  readonly file?: string;
  readonly error?: string;
}

export class QueryApi {
  readonly #http: HttpApi;

  constructor(options: HttpOptions) {
    this.#http = new HttpApi(options);
  }

  query(request: QueryRequest, options?: CallOptions): Promise<QueryAnswer> {
    return this.#http.call("POST", "/v1/query", request, options);
  }

  /** The value of each name over a window (default `5m`), all of one consistent cut. */
  realtime(names: readonly string[], window?: string, options?: CallOptions): Promise<RealtimeAnswer> {
    const search = new URLSearchParams({ names: names.join(","), ...(window !== undefined && { window }) });
    return this.#http.call("GET", `/v1/realtime?${search.toString()}`, undefined, options);
  }

  async catalog(options?: CallOptions): Promise<readonly CatalogMetric[]> {
    const answer = await this.#http.call<{ metrics: readonly CatalogMetric[] }>("GET", "/v1/metrics-catalog", undefined, options);
    return answer.metrics;
  }

  /** Defining the same metric again changes nothing; a different one of that name is WEIR_METRIC_EXISTS. */
  defineMetric(definition: MetricDefinitionInput, options?: CallOptions): Promise<MetricDefinition> {
    return this.#http.call("POST", "/v1/metrics-catalog", definition, options);
  }

  async removeMetric(name: string, options?: CallOptions): Promise<void> {
    await this.#http.call("DELETE", `/v1/metrics-catalog/${encodeURIComponent(name)}`, undefined, options);
  }

  session(sessionId: string, options?: CallOptions): Promise<SessionAnswer> {
    return this.#http.call("GET", `/v1/sessions/${encodeURIComponent(sessionId)}`, undefined, options);
  }

  deadLetters(filter: { limit?: number; code?: string } = {}, options?: CallOptions): Promise<DeadLettersAnswer> {
    const search = new URLSearchParams();
    if (filter.limit !== undefined) search.set("limit", String(filter.limit));
    if (filter.code !== undefined) search.set("code", filter.code);
    return this.#http.call("GET", `/v1/dead-letters?${search.toString()}`, undefined, options);
  }

  /** Checks the sums of the tenant's ledger; may take half a minute. Scope admin. */
  audit(options?: CallOptions): Promise<AuditReport> {
    return this.#http.call("GET", "/v1/audit", undefined, options);
  }

  /** Whether the `proof` of an ack or answer is genuine, and what the journal holds for it. */
  verifyReceipt(receipt: string, options?: CallOptions): Promise<ReceiptAnswer> {
    return this.#http.call("POST", "/v1/receipts/verify", { receipt }, options);
  }

  startExport(timeRange: QueryTimeRange, options?: CallOptions): Promise<ExportAnswer> {
    return this.#http.call("POST", "/v1/exports", { timeRange, format: "ndjson" }, options);
  }

  exportStatus(id: string, options?: CallOptions): Promise<ExportAnswer> {
    return this.#http.call("GET", `/v1/exports/${encodeURIComponent(id)}`, undefined, options);
  }

  /** Entries with a `seq` below `before`. */
  auditLog(page: { limit?: number; before?: number } = {}, options?: CallOptions): Promise<AuditLogAnswer> {
    const search = new URLSearchParams();
    if (page.limit !== undefined) search.set("limit", String(page.limit));
    if (page.before !== undefined) search.set("before", String(page.before));
    return this.#http.call("GET", `/v1/audit-log?${search.toString()}`, undefined, options);
  }
}
