/** `weir audit`: proves that the ledger balances, offline on a data directory or beside a running server. */
import type { Command } from "commander";
import { auditSums, type AuditCheck, type AuditFigures, type AuditReport } from "../../protocol/audit-report.ts";
import type { WeirClient } from "../../client/index.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { auditDirectory, checkReceiptOffline } from "../../server/audit/directory.ts";
import { clientFor, printJson, printLine, withKeyOptions, type ServerOptions } from "../connect-options.ts";
import { auditExitCodes } from "../exit-codes.ts";
import { UsageError, writeFailure } from "../failure.ts";
import { formatNumber, formatTable, type Row } from "../table.ts";

interface AuditFlags extends Omit<ServerOptions, "url"> {
  readonly data?: string;
  readonly questdb?: string;
  readonly url?: string;
  readonly partitions?: boolean;
  readonly receipt?: string;
  readonly tenant?: string;
}

export function addAuditCommand(program: Command): void {
  const command = program
    .command("audit")
    .description("Check that received = accepted + duplicates + dead letters, in the state, the journal and the warehouse")
    .option("--data <folder>", "a data directory whose server is stopped (environment: WEIR_DATA); nothing of it is changed")
    .option("--questdb <url>", "with --data: a QuestDB that runs, to count its rows")
    .option("--url <url>", "a running server, asked with an admin key; its tenant is checked (environment: WEIR_URL)")
    .option("--partitions", "a line for each partition")
    .option("--receipt <proof>", "check this receipt instead: the proof of an ack or answer")
    .option("--tenant <id>", "with --receipt and --data: whose receipt it is")
    .option("--json", "print JSON");
  withKeyOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  weir audit --data ./data
  weir audit --url http://127.0.0.1:7070 --key-file admin.key --json

Exit codes: 0 balanced, 1 a sum is broken, 2 not everything could be checked, 64 wrong usage
With --receipt: 0 valid or gone (trimmed since), 1 lost or forged, 2 it could not be checked`,
    )
    .action(audit);
}

async function audit(flags: AuditFlags): Promise<void> {
  if (flags.data !== undefined && flags.url !== undefined) throw new UsageError("--data goes without --url");
  const data = flags.data ?? (flags.url === undefined ? process.env["WEIR_DATA"] : undefined);
  const url = data === undefined ? (flags.url ?? process.env["WEIR_URL"]) : undefined;
  if (data === undefined && url === undefined) throw new UsageError("give --data or --url");
  if (data === undefined && flags.questdb !== undefined) throw new UsageError("--questdb goes with --data");
  if (data !== undefined && flags.receipt !== undefined && flags.tenant === undefined) throw new UsageError("give --tenant");
  try {
    if (flags.receipt !== undefined) return await auditReceipt(flags.receipt, data, url ?? "", flags);
    const report =
      data === undefined
        ? await withClient(url ?? "", flags, (client) => client.audit())
        : await auditDirectory(data, flags.questdb);
    if (flags.json === true) printJson(report);
    else printReport(report, flags.partitions === true);
    process.exitCode = auditExitCodes[report.result];
  } catch (error) {
    writeFailure(error, flags.json === true);
    process.exitCode = auditExitCodes.unchecked;
  }
}

async function auditReceipt(receipt: string, data: string | undefined, url: string, flags: AuditFlags): Promise<void> {
  const answer =
    data === undefined
      ? await withClient(url, flags, (client) => client.verifyReceipt(receipt))
      : await checkReceiptOffline(data, (flags.tenant ?? "") as TenantId, receipt);
  if (flags.json === true) printJson(answer);
  else {
    const stated =
      answer.totalEvents === undefined ? "" : `: ${answer.totalEvents} events, ${answer.failedEvents} of them failed`;
    printLine(`${answer.result}${stated}`);
    for (const { host, offset, verdicts } of answer.records ?? []) {
      const counts = Object.entries(verdicts ?? {}).map(([name, count]) => `${count} ${name}`);
      printLine(`record ${host}:${offset}  ${counts.length === 0 ? "not held" : counts.join(", ")}`);
    }
  }
  const isGood = answer.result === "valid" || answer.result === "gone";
  process.exitCode = isGood ? auditExitCodes.balanced : auditExitCodes.imbalance;
}

const REQUEST_TIMEOUT_MS = 120_000;

async function withClient<Answer>(url: string, flags: AuditFlags, ask: (client: WeirClient) => Promise<Answer>): Promise<Answer> {
  const client = clientFor({ ...flags, url }, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
  try {
    return await ask(client);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

function printReport({ figures, checks, result }: AuditReport, byPartition: boolean): void {
  if (figures.length > 0) printLine(`${formatTable(byPartition ? figures.map(rowOf) : tenantRows(figures))}\n`);
  for (const [sum, statement] of Object.entries(auditSums)) {
    const all = checks.filter((check) => check.sum === sum);
    for (const check of all) if (check.state === "broken") printLine(`✗ ${sum}${placeOf(check)}: ${differenceOf(check)}`);
    for (const note of new Set(all.filter(({ state }) => state === "unchecked").map(({ note: text }) => text))) {
      printLine(`? ${sum} could not be checked: ${note ?? ""}`);
    }
    for (const note of new Set(all.filter(({ state }) => state === "skipped").map(({ note: text }) => text))) {
      printLine(`- ${sum} left out: ${note ?? ""}`);
    }
    if (all.length === 0 || all.some(({ state }) => state !== "holds")) continue;
    const [only, ...others] = all;
    const count = others.length === 0 && only?.tenant === null ? ` (${formatNumber(only.actual ?? 0)} ${only.note ?? ""})` : "";
    printLine(`✓ ${sum}: ${statement}${count}`);
  }
  const broken = checks.filter(({ state }) => state === "broken").length;
  if (result === "imbalance") printLine(`NOT balanced: ${broken} of ${checks.length} sums are broken`);
  else printLine(result === "balanced" ? `balanced: ${checks.length} sums` : "not broken, but not everything could be checked");
}

function placeOf({ tenant, partition }: AuditCheck): string {
  if (tenant === null) return "";
  return partition === null ? `, ${tenant}` : `, ${tenant}, partition ${partition}`;
}

function differenceOf({ sum, expected, actual, note }: AuditCheck): string {
  if (expected === null || actual === null) return note ?? "";
  return `${auditSums[sum]}${note === null ? "" : ` (${note})`}: expected ${formatNumber(expected)}, found ${formatNumber(actual)}`;
}

function rowOf(figures: AuditFigures): Row {
  const { tenant, partition, received, accepted, duplicate, late, invalid } = figures;
  const { deadLettersKept, deadLettersRemoved, eventsInPanes, eventsAged, rawRows } = figures;
  return {
    tenant,
    partition: String(partition),
    received,
    accepted,
    duplicate,
    late,
    invalid,
    "dead letters": deadLettersKept,
    removed: deadLettersRemoved,
    "in panes": eventsInPanes,
    aged: eventsAged,
    "raw rows": rawRows,
  };
}

/** Sums over partitions; a figure that one of them does not have is not summed. */
function tenantRows(figures: readonly AuditFigures[]): Row[] {
  const byTenant = new Map<string, Record<string, unknown>>();
  for (const each of figures) {
    const { partition: _one, ...row } = rowOf(each);
    const sum = byTenant.get(each.tenant);
    if (sum === undefined) {
      byTenant.set(each.tenant, row);
      continue;
    }
    for (const [name, value] of Object.entries(row)) {
      if (name === "tenant") continue;
      sum[name] = typeof value === "number" && typeof sum[name] === "number" ? sum[name] + value : null;
    }
  }
  return [...byTenant.values()];
}
