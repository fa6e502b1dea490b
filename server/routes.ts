/** Every HTTP route of the gateway: the one list that is served and described. */
import { z } from "zod";
import type { LiveData, Publisher } from "../workers/ports.ts";
import type { Admission } from "./admission.ts";
import { auditRoutes } from "./api/audit.ts";
import { auditLogRoutes } from "./api/audit-log.ts";
import { deadLetterRoutes } from "./api/dead-letters.ts";
import { eventsRoutes } from "./api/events.ts";
import { exportRoutes } from "./api/exports.ts";
import { catalogRoutes } from "./api/metrics-catalog.ts";
import { queryRoutes } from "./api/query.ts";
import { receiptRoutes } from "./api/receipts.ts";
import { realtimeRoutes } from "./api/realtime.ts";
import { sessionRoutes } from "./api/sessions.ts";
import { healthRoutes } from "./health.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import type { Receipts } from "./receipts.ts";
import type { Route } from "./route.ts";
import type { Auditor, Control, DescribeMetric, ExportJobs, QueryService, Readiness, ReceiptChecker } from "./services.ts";

export interface RouteServices {
  readonly admission: Admission;
  readonly control: Control;
  readonly publisher: Publisher;
  readonly liveData: LiveData;
  readonly describeMetric: DescribeMetric;
  readonly queryService: QueryService;
  readonly exportJobs: ExportJobs;
  readonly auditor: Auditor;
  readonly receipts: Receipts;
  readonly receiptChecker: ReceiptChecker;
  readonly metrics: GatewayMetrics;
  readonly version: string;
  now(): number;
  readiness(): Readiness;
  /** Sets the gauges that are known only when asked for. */
  refreshGauges(): void;
}

export function allRoutes(services: RouteServices): readonly Route[] {
  const routes: Route[] = [
    ...eventsRoutes(services),
    ...queryRoutes(services),
    ...realtimeRoutes(services),
    ...catalogRoutes(services),
    ...sessionRoutes(services),
    ...deadLetterRoutes(services),
    ...auditRoutes(services),
    ...receiptRoutes(services),
    ...exportRoutes(services),
    ...auditLogRoutes(services),
    ...healthRoutes(services.readiness),
    {
      method: "GET",
      path: "/metrics",
      scope: "none",
      summary: "Figures for Prometheus",
      answers: { 200: { description: "The Prometheus text format", type: "text/plain" } },
      errors: [],
      async handle() {
        services.refreshGauges();
        return { status: 200, body: await services.metrics.text(), contentType: services.metrics.contentType };
      },
    },
    {
      method: "GET",
      path: "/openapi.json",
      scope: "none",
      summary: "This description",
      answers: { 200: { description: "OpenAPI 3.1", schema: z.record(z.string(), z.unknown()) } },
      errors: [],
      handle: () => ({ status: 200, body: description() }),
    },
  ];
  let described: object | undefined;
  const description = () => (described ??= openApiDocument(routes, services.version));
  return routes;
}
