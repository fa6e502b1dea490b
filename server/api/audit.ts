/** `GET /v1/audit`: the sums of the tenant's ledger, as they are now (promise 4). */
import { z } from "zod";
import { auditSums, type AuditSum } from "../../protocol/audit-report.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Route } from "../route.ts";
import type { Auditor } from "../services.ts";

const count = z.int();
const figures = z.object({
  tenant: z.string(),
  partition: count,
  received: count,
  accepted: count,
  duplicate: count,
  late: count,
  invalid: count,
  deadLettersKept: count,
  deadLettersRemoved: count,
  eventsInPanes: count.nullable(),
  eventsAged: count.nullable(),
  rawRows: count.nullable(),
});
const check = z.object({
  sum: z.enum(Object.keys(auditSums) as [AuditSum, ...AuditSum[]]),
  tenant: z.string().nullable(),
  partition: count.nullable(),
  state: z.enum(["holds", "broken", "skipped", "unchecked"]),
  expected: count.nullable(),
  actual: count.nullable(),
  note: z.string().nullable(),
});
const report = z.object({
  result: z.enum(["balanced", "imbalance", "unchecked"]),
  figures: z.array(figures),
  checks: z.array(check),
});

export function auditRoutes({ auditor }: { auditor: Auditor }): Route[] {
  // It reads every dead letter and pane of the tenant: one at a time.
  let running = false;
  return [
    {
      method: "GET",
      path: "/v1/audit",
      scope: "admin",
      summary: "Checks the sums of the tenant's ledger; may take half a minute",
      answers: { 200: { description: "Figures by partition, and which sums hold", schema: report } },
      errors: ["WEIR_QUERY_BUSY", "WEIR_HOST_FAILED"],
      async handle({ owner }) {
        if (running) throw new WeirError("WEIR_QUERY_BUSY", "One audit at a time.");
        running = true;
        try {
          return { status: 200, body: await auditor.audit(owner.tenant) };
        } finally {
          running = false;
        }
      },
    },
  ];
}
