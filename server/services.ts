/**
 * What the gateway calls beside the partition hosts (`workers/ports.ts`): the control store, questions and jobs.
 * The composition root passes the real ones; tests of the gateway pass simple ones.
 */
import type { AuditReport } from "../protocol/audit-report.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { ReceiptAnswer } from "../protocol/receipt-answer.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import type { WindowName } from "../protocol/windows.ts";
import type { Scope } from "../storage/api-key.ts";
import type { KeyState } from "../storage/api-keys.ts";
import type { AuditPage, AuditRecord, Change, LogName } from "../storage/audit-log.ts";
import type { TableHealth } from "../storage/questdb/reads.ts";
import type { HostStatus, HostSupervision } from "../workers/ports.ts";
import type { QueryRequest, TimeRange } from "./api/query.ts";

export type { Scope };

/** Whose key it is and what it may do. `keyId` names the key without telling it. */
export interface KeyOwner {
  readonly tenant: TenantId;
  readonly scopes: readonly Scope[];
  readonly keyId: string;
  readonly expiresMs?: number;
}

/** The part of the control store that the gateway uses: keys, metric definitions, the audit log. */
export interface Control {
  /** undefined: no such key, or it was revoked. An expired one is given with its `expiresMs`. */
  verifyKey(key: string): KeyOwner | undefined;
  keyState(keyId: string, nowMs: number): KeyState;
  metrics(tenant: TenantId): readonly MetricDefinition[];
  metric(tenant: TenantId, name: string): MetricDefinition | undefined;
  /** Rejects with WEIR_METRIC_EXISTS or WEIR_METRIC_LIMIT. "unchanged": the same definition was there. */
  putMetric(tenant: TenantId, definition: MetricDefinition, change: Change): Promise<"created" | "unchanged">;
  /** False when there was none. */
  removeMetric(tenant: TenantId, name: string, change: Change): Promise<boolean>;
  record(log: LogName, record: AuditRecord): Promise<void>;
  auditLog(log: LogName, options: { limit: number; before?: number }): AuditPage;
  noteExpiredKeys(nowMs: number): Promise<readonly { readonly keyId: string; readonly tenant: TenantId }[]>;
  /** Entries that were removed from audit logs because they were full, since the start. */
  readonly auditRemoved: number;
}

/** What the catalog adds to a definition: the outputs of its aggregates, and the error bound of those not exact. */
export type DescribeMetric = (definition: MetricDefinition) => {
  readonly outputs: readonly string[];
  readonly bounds: Readonly<Record<string, unknown>>;
};

export interface QueryMetadata {
  readonly totalRows: number;
  /** In milliseconds. */
  readonly executionTime: number;
  /** Milliseconds between the tenant's event clock and the watermark of what was read. */
  readonly dataFreshness: number;
  readonly queryId: string;
  readonly dataSource: "live" | "rollup" | "raw" | "live+rollup";
  readonly cacheHit: boolean;
  readonly queryComplexity: number;
  /** Of each metric that is not exact. */
  readonly bounds: Readonly<Record<string, unknown>>;
  readonly truncated: boolean;
}

export interface QueryResponse {
  readonly data: readonly Readonly<Record<string, unknown>>[];
  readonly metadata: QueryMetadata;
}

export interface RealtimeValue {
  readonly name: string;
  readonly value: unknown;
  readonly timestamp: number;
}

export interface RealtimeResponse {
  readonly metrics: readonly RealtimeValue[];
  /** Names that no metric of the tenant has. */
  readonly unknown: readonly string[];
  readonly timestamp: number;
}

/** Failures are WeirErrors with the codes WEIR_METRIC_*, WEIR_QUERY_* and WEIR_WAREHOUSE_UNAVAILABLE. */
export interface QueryService {
  query(tenant: TenantId, request: QueryRequest, nowMs: number): Promise<QueryResponse>;
  /** `names` are `metric` or `metric.output`; all values are of one cut. */
  realtime(tenant: TenantId, names: readonly string[], window: WindowName): Promise<RealtimeResponse>;
}

export interface ExportStatus {
  readonly id: string;
  readonly status: "running" | "done" | "failed";
  readonly rows: number;
  readonly bytes: number;
  readonly file?: string;
  readonly error?: string;
}

export interface ExportJobs {
  start(tenant: TenantId, range: TimeRange): Promise<ExportStatus>;
  /** undefined when the tenant has no such job. */
  status(tenant: TenantId, id: string): Promise<ExportStatus | undefined>;
}

/** Checks the sums of one tenant's ledger. */
export interface Auditor {
  audit(tenant: TenantId): Promise<AuditReport>;
}

export interface ReceiptChecker {
  check(tenant: TenantId, receipt: string): Promise<ReceiptAnswer>;
}

export type WarehouseState = "ready" | "pending" | "off";

/** What `/readyz` is made from. */
export interface Readiness {
  readonly hosts: readonly HostStatus[];
  readonly supervision?: readonly HostSupervision[];
  readonly warehouse: WarehouseState;
  readonly tables?: readonly TableHealth[];
  readonly diskFull?: boolean;
  readonly draining: boolean;
}
