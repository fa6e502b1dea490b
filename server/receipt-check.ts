/** Holds a receipt against the journal: whether it is ours, and whether what it states is still, or was ever, there. */
import type { ReceiptAnswer } from "../protocol/receipt-answer.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { Position, RecordVerdicts } from "../workers/record-verdicts.ts";
import type { Receipts } from "./receipts.ts";

export async function checkReceipt(
  receipts: Receipts,
  tenant: TenantId,
  text: string,
  read: (position: Position) => Promise<RecordVerdicts>,
): Promise<ReceiptAnswer> {
  const receipt = receipts.read(tenant, text);
  if (receipt === undefined) return { result: "forged" };
  const { totalEvents, failedEvents } = receipt;
  const found = await Promise.all(receipt.positions.map(read));
  const records = found.map((record) => ({
    host: record.host,
    offset: record.offset,
    ...(record.state === "held" ? { ingestTimeMs: record.ingestTimeMs, verdicts: record.verdicts } : {}),
  }));
  return { result: resultOf(found, tenant, totalEvents, failedEvents), totalEvents, failedEvents, records };
}

function resultOf(
  found: readonly RecordVerdicts[],
  tenant: TenantId,
  totalEvents: number,
  failedEvents: number,
): "valid" | "gone" | "lost" {
  if (found.some((record) => record.state === "absent" || (record.state === "held" && record.tenant !== tenant))) return "lost";
  if (found.some(({ state }) => state === "gone")) return "gone";
  let total = 0;
  let failed = 0;
  for (const record of found) {
    if (record.state !== "held") continue;
    for (const [name, count] of Object.entries(record.verdicts)) {
      total += count;
      if (name !== "accepted" && name !== "WEIR_EVENT_DUPLICATE") failed += count;
    }
  }
  return total === totalEvents && failed === failedEvents ? "valid" : "lost";
}
