/** What the journal holds at a position: the tenant and the verdicts of one frame, for whoever has a receipt for it. */
import type { Offset } from "../protocol/ids.ts";
import { codeOf } from "../protocol/verdicts.ts";
import { journalExists, openJournalReader } from "../storage/lmdb/journal.ts";
import { openRecord } from "./sealed-record.ts";

export interface Position {
  readonly host: number;
  readonly offset: number;
}

/** `gone`: trimmed, as records are once the warehouse has them. `absent`: there is no such record, and never was one. */
export type RecordVerdicts =
  | (Position & { readonly state: "gone" | "absent" })
  | (Position & {
      readonly state: "held";
      readonly tenant: string;
      readonly ingestTimeMs: number;
      /** By `accepted` or the code. */
      readonly verdicts: Readonly<Record<string, number>>;
    });

export async function readRecordVerdicts(path: string, position: Position, readOnly = false): Promise<RecordVerdicts> {
  if (!journalExists(path)) return { ...position, state: "absent" };
  const journal = openJournalReader(path, { readOnly });
  try {
    const { first, last } = journal.ends();
    if (position.offset < first) return { ...position, state: position.offset < 1 ? "absent" : "gone" };
    if (position.offset > last) return { ...position, state: "absent" };
    const [entry] = journal.read(position.offset as Offset, position.offset as Offset);
    const record = entry === undefined ? undefined : openRecord(entry.record);
    if (record?.kind !== "frame") return { ...position, state: "absent" };
    const verdicts: Record<string, number> = {};
    for (const verdict of record.verdicts) {
      const name = codeOf(verdict) ?? "accepted";
      verdicts[name] = (verdicts[name] ?? 0) + 1;
    }
    return { ...position, state: "held", tenant: record.tenant, ingestTimeMs: record.ingestTimeMs, verdicts };
  } finally {
    await journal.close();
  }
}
