/** `GET /v1/audit-log`: who changed the tenant's keys and metrics and who took its events out, newest first. */
import { z } from "zod";
import { WeirError } from "../../protocol/error-codes.ts";
import { entryCodes, type Route } from "../route.ts";
import type { Control } from "../services.ts";

const ENTRIES_DEFAULT = 100;
const ENTRIES_MAX = 1_000;

const auditLogAnswer = z.object({
  entries: z.array(
    z.object({
      seq: z.int(),
      atMs: z.number(),
      action: z.string(),
      by: z.string().meta({ description: "`key:<id>`, `operator:<user>` at the command line, or `server`" }),
      remoteAddress: z.string().optional(),
      detail: z.record(z.string(), z.unknown()),
    }),
  ),
  removed: z.int().meta({ description: "Old entries that are gone, because the log is full" }),
});

export function auditLogRoutes({ control }: { control: Pick<Control, "auditLog"> }): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/audit-log",
      scope: "admin",
      summary: "Who changed keys and metrics, and who exported events",
      parameters: [
        {
          name: "limit",
          in: "query",
          required: false,
          description: `How many at most; default ${ENTRIES_DEFAULT}`,
          schema: z.int().min(1).max(ENTRIES_MAX),
        },
        {
          name: "before",
          in: "query",
          required: false,
          description: "Only entries with a lower `seq`: the next page",
          schema: z.int().min(1),
        },
      ],
      answers: { 200: { description: "Entries, newest first", schema: auditLogAnswer } },
      errors: [...entryCodes.all, "WEIR_QUERY_INVALID"],
      handle({ owner, query }) {
        const limit = numberOf(query, "limit", ENTRIES_MAX) ?? ENTRIES_DEFAULT;
        const before = numberOf(query, "before", Number.MAX_SAFE_INTEGER);
        return { status: 200, body: control.auditLog(owner.tenant, { limit, ...(before !== undefined && { before }) }) };
      },
    },
  ];
}

function numberOf(query: URLSearchParams, name: string, max: number): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= max) return value;
  throw new WeirError("WEIR_QUERY_INVALID", `It is a whole number from 1 to ${max}.`, { path: name });
}
