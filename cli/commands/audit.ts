/** `weir audit`: proves that the ledger balances, offline on a data directory or beside a running server. */
import type { Command } from "commander";
import { runAudit, type AuditReport } from "../../server/audit.ts";
import { printJson, printLine } from "../connect-options.ts";
import { exitCodes, exitCodesHelp } from "../exit-codes.ts";
import { UsageError } from "../failure.ts";
import { formatCell } from "../table.ts";

interface AuditFlags {
  readonly data?: string;
  readonly url?: string;
  readonly key?: string;
  readonly json?: boolean;
}

export function addAuditCommand(program: Command): void {
  program
    .command("audit")
    .description("Check that received = accepted + duplicates + dead letters, in the journal, the state and the warehouse")
    .option("--data <folder>", "a data directory whose server is stopped (environment: WEIR_DATA)")
    .option("--url <url>", "a running server (environment: WEIR_URL)")
    .option("--key <key>", "an admin key for --url (environment: WEIR_KEY)")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Examples:
  weir audit --data ./data
  weir audit --url http://127.0.0.1:7070 --key weir_demo_... --json
${exitCodesHelp}`,
    )
    .action(audit);
}

async function audit(flags: AuditFlags): Promise<void> {
  if (flags.data !== undefined && flags.url !== undefined) throw new UsageError("--data goes without --url");
  const data = flags.data ?? (flags.url === undefined ? process.env["WEIR_DATA"] : undefined);
  const url = data === undefined ? (flags.url ?? process.env["WEIR_URL"]) : undefined;
  const key = flags.key ?? process.env["WEIR_KEY"];
  if (data === undefined && url === undefined) throw new UsageError("give --data or --url");
  const report = await runAudit({
    ...(data !== undefined && { data }),
    ...(url !== undefined && { url }),
    ...(key !== undefined && { key }),
  });
  if (flags.json === true) printJson(report);
  else printReport(report);
  if (!report.ok) process.exitCode = exitCodes.auditImbalance;
}

function printReport({ checks, ok }: AuditReport): void {
  for (const check of checks) {
    const figures = check.ok
      ? formatCell(check.actual)
      : `expected ${formatCell(check.expected)}, found ${formatCell(check.actual)}`;
    printLine(`${check.ok ? "✓" : "✗"} ${check.name}: ${figures}`);
  }
  const wrong = checks.filter((check) => !check.ok).length;
  printLine(ok ? `balanced: ${checks.length} checks` : `NOT balanced: ${wrong} of ${checks.length} checks`);
}
