/** `POST /v1/receipts/verify`: whether a receipt is ours, and what the journal holds for it. */
import { z } from "zod";
import { limits } from "../../protocol/limits.ts";
import { entryCodes, parseJson, parseWith, type Route } from "../route.ts";
import type { ReceiptChecker } from "../services.ts";

const RECEIPT_LENGTH_MAX = 8_192;
const receiptInput = z.strictObject({
  receipt: z.string().min(1).max(RECEIPT_LENGTH_MAX).meta({ description: "The `proof` of an answer or ack" }),
});

const receiptAnswer = z.object({
  result: z.enum(["valid", "gone", "lost", "forged"]),
  totalEvents: z.int().optional(),
  failedEvents: z.int().optional(),
  records: z
    .array(
      z.object({
        host: z.int(),
        offset: z.int(),
        ingestTimeMs: z.number().optional(),
        verdicts: z.record(z.string(), z.int()).optional(),
      }),
    )
    .optional(),
});

export function receiptRoutes({ receiptChecker }: { receiptChecker: ReceiptChecker }): Route[] {
  return [
    {
      method: "POST",
      path: "/v1/receipts/verify",
      scope: "read",
      summary: "Tells whether a receipt is genuine and what the journal holds for it",
      body: { bytesMax: limits.queryBodyBytesMax, types: ["application/json"], schema: receiptInput },
      answers: { 200: { description: "What became of it", schema: receiptAnswer } },
      errors: [...entryCodes.body, "WEIR_QUERY_INVALID"],
      async handle({ owner, body }) {
        const { receipt } = parseWith(receiptInput, parseJson(body, "WEIR_QUERY_INVALID"), "WEIR_QUERY_INVALID");
        return { status: 200, body: await receiptChecker.check(owner.tenant, receipt) };
      },
    },
  ];
}
