/** `/v1/exports`: starts a job that writes accepted raw events of a range to a file, and tells how far it is. */
import { z } from "zod";
import { WeirError } from "../../protocol/error-codes.ts";
import { limits } from "../../protocol/limits.ts";
import { entryCodes, parseJson, parseWith, type Route } from "../route.ts";
import type { Control, ExportJobs } from "../services.ts";
import { timeRange } from "./query.ts";

const exportRequest = z.strictObject({ timeRange, format: z.literal("ndjson", { error: "the format is `ndjson`" }) });

const jobState = z.enum(["running", "done", "failed"]);
const exportStatus = z.object({
  id: z.string(),
  status: jobState,
  rows: z.int(),
  bytes: z.int(),
  file: z.string().optional(),
  error: z.string().optional(),
});

export interface ExportServices {
  readonly exportJobs: ExportJobs;
  readonly control: Pick<Control, "record">;
  now(): number;
}

export function exportRoutes({ exportJobs, control, now }: ExportServices): Route[] {
  return [
    {
      method: "POST",
      path: "/v1/exports",
      scope: "admin",
      summary: "Starts an export of raw events",
      body: { bytesMax: limits.queryBodyBytesMax, types: ["application/json"], schema: exportRequest },
      answers: { 202: { description: "The job was started", schema: z.object({ id: z.string(), status: jobState }) } },
      errors: [...entryCodes.body, "WEIR_QUERY_INVALID", "WEIR_QUERY_BUSY", "WEIR_WAREHOUSE_UNAVAILABLE"],
      async handle({ owner, author, body }) {
        const request = parseWith(exportRequest, parseJson(body, "WEIR_QUERY_INVALID"), "WEIR_QUERY_INVALID");
        const { id, status } = await exportJobs.start(owner.tenant, request.timeRange);
        await control.record(owner.tenant, { ...author, atMs: now(), action: "export.start", detail: { exportId: id } });
        return { status: 202, body: { id, status }, headers: { Location: `/v1/exports/${encodeURIComponent(id)}` } };
      },
    },
    {
      method: "GET",
      path: "/v1/exports/{id}",
      scope: "admin",
      summary: "How far an export is",
      parameters: [{ name: "id", in: "path", required: true, description: "The job's id", schema: z.string() }],
      answers: { 200: { description: "The job", schema: exportStatus } },
      errors: ["WEIR_JOB_UNKNOWN"],
      async handle({ owner, parameter }) {
        const status = await exportJobs.status(owner.tenant, parameter);
        if (status === undefined) throw new WeirError("WEIR_JOB_UNKNOWN", undefined, { path: "id" });
        return { status: 200, body: status };
      },
    },
  ];
}
