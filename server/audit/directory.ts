/**
 * The audit of a stopped server's data directory: the state as the next start would find it, held against the journal and,
 * where an address is given, against the rows of a QuestDB. Nothing is written. WEIR_START_DATA_* when it cannot be read.
 */
import { auditReport, type AuditCheck, type AuditReport } from "../../protocol/audit-report.ts";
import type { TenantId } from "../../protocol/ids.ts";
import type { ReceiptAnswer } from "../../protocol/receipt-answer.ts";
import { emptyLedger } from "../../actors/partition-tenant.ts";
import { openControl } from "../../storage/control.ts";
import { readDataDirectory } from "../../storage/data-directory.ts";
import { assertUnlocked } from "../../storage/directory-lock.ts";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import type { RawRows } from "../../storage/questdb/raw-counts.ts";
import { journalSourceName } from "../../workers/journal-source.ts";
import { readRecordVerdicts, type Position } from "../../workers/record-verdicts.ts";
import { replayDirectory, type ReplayedDirectory } from "../../workers/replay-directory.ts";
import { checkReceipt } from "../receipt-check.ts";
import { Receipts } from "../receipts.ts";
import { compared, figuresOf, notCompared, rawRowChecks, stateChecks } from "./checks.ts";
import { readRawRows } from "./raw-rows.ts";

const everywhere = { tenant: null, partition: null };

export async function auditDirectory(path: string, questdbUrl?: string): Promise<AuditReport> {
  const directory = readDataDirectory(path);
  assertUnlocked(path);
  const replayed = await replayDirectory(directory);
  const tenants = [...new Set(replayed.partitions.flatMap((each) => each.tenants.map(({ tenant }) => tenant)))].toSorted();
  const rows = new Map<string, RawRows>();
  const rowChecks = questdbUrl === undefined ? [] : await checkRows(directory.controlPath, questdbUrl, replayed, tenants, rows);
  return auditReport(figuresOf(replayed.partitions, rows), [
    ...replayChecks(replayed),
    ...stateChecks(replayed.partitions),
    ...journalChecks(replayed, tenants),
    ...rowChecks,
  ]);
}

function replayChecks({ replayError, replayedRecords }: ReplayedDirectory): AuditCheck[] {
  if (replayError === undefined) return [compared("replay", everywhere, replayedRecords, replayedRecords, "records")];
  return [{ sum: "replay", ...everywhere, state: "broken", expected: null, actual: null, note: replayError }];
}

function journalChecks(replayed: ReplayedDirectory, tenants: readonly string[]): AuditCheck[] {
  const { journaled, journalError, replayError, partitions } = replayed;
  if (journalError !== undefined) {
    return [{ sum: "journal", ...everywhere, state: "broken", expected: null, actual: null, note: journalError }];
  }
  if (journaled === undefined) return [notCompared("journal", everywhere, "skipped", "its first records were trimmed")];
  if (replayError !== undefined) return [notCompared("journal", everywhere, "skipped", "the replay failed")];
  return [...new Set([...tenants, ...journaled.keys()])].flatMap((tenant) => {
    const counts = journaled.get(tenant) ?? emptyLedger();
    const sum = emptyLedger();
    const ledgers = partitions.flatMap((each) => each.tenants.filter((of) => of.tenant === tenant)).map(({ ledger }) => ledger);
    const kinds = Object.keys(sum) as (keyof typeof sum)[];
    for (const ledger of ledgers) for (const kind of kinds) sum[kind] += ledger[kind];
    return kinds.map((kind) => compared("journal", { tenant, partition: null }, counts[kind], sum[kind], kind));
  });
}

async function checkRows(
  controlPath: string,
  url: string,
  { partitions, ends }: ReplayedDirectory,
  tenants: readonly string[],
  rows: Map<string, RawRows>,
): Promise<AuditCheck[]> {
  const control = openControl(controlPath, { readOnly: true });
  const behind = [...ends].reduce((sum, [host, end]) => sum + end - control.warehouseOffset(journalSourceName(host)), 0);
  await control.close();
  if (behind > 0) {
    const note = `${behind} records have not been sent yet: start the server, and let it send them`;
    return [notCompared("raw-rows", everywhere, "unchecked", note)];
  }
  const { origin, username, password } = new URL(url);
  const http = new QuestDbHttp({ url: origin, ...(username === "" ? {} : { user: username, password }) });
  try {
    const checks: AuditCheck[] = [];
    for (const tenant of tenants) {
      const raw = await readRawRows(http, tenant as TenantId, partitions);
      rows.set(tenant, raw);
      checks.push(...rawRowChecks(partitions, tenant, raw));
    }
    return checks;
  } finally {
    await http.close();
  }
}

/** A receipt against a stopped server's directory. */
export async function checkReceiptOffline(path: string, tenant: TenantId, receipt: string): Promise<ReceiptAnswer> {
  const directory = readDataDirectory(path);
  assertUnlocked(path);
  const read = (position: Position) => readRecordVerdicts(directory.hostPath(position.host), position, true);
  return checkReceipt(new Receipts(directory.seed), tenant, receipt, read);
}
