/** `weir audit-log`: who changed keys and metrics, and who was locked out; from a data directory, or from a running server. */
import type { Command } from "commander";
import type { AuditLogAnswer } from "../../client/index.ts";
import { SERVER_LOG, type KeyStore, type LogName } from "../../server/key-store.ts";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { withKeyStore, type DataFlags } from "../data-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { UsageError } from "../failure.ts";
import { formatTable } from "../table.ts";
import { positiveInteger } from "../values.ts";

interface AuditLogFlags extends DataFlags, ServerOptions {
  readonly limit: number;
  readonly tenant?: string;
}

type Logs = readonly (AuditLogAnswer & { readonly log: string })[];

export function addAuditLogCommand(program: Command): void {
  const command = program
    .command("audit-log")
    .description("Show who changed keys and metrics, who exported events, and which addresses were locked out")
    .option("--data <folder>", "read a data directory, beside its server too, in place of asking a server")
    .option("--tenant <tenant>", `with --data, only this tenant's; ${SERVER_LOG} is the server's own`)
    .option("--limit <entries>", "entries at most, of each tenant", positiveInteger, 100);
  withServerOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  weir audit-log --data ./data
  weir audit-log --data ./data --tenant shop --limit 20 --json
  weir audit-log --url https://weir.example --key-file admin.key
${exitCodesHelp}`,
    )
    .action(auditLog);
}

async function auditLog(flags: AuditLogFlags): Promise<void> {
  if (flags.data === undefined && flags.tenant !== undefined) throw new UsageError("--tenant goes with --data");
  if (flags.data !== undefined) await withKeyStore(flags, (store) => print(logsOf(store, flags), flags));
  else print([{ log: "", ...(await askServer(flags)) }], flags);
}

function logsOf(store: KeyStore, { tenant, limit }: AuditLogFlags): Logs {
  const logs: readonly LogName[] = [...store.tenants(), SERVER_LOG];
  return logs.filter((log) => tenant === undefined || log === tenant).map((log) => ({ log, ...store.auditLog(log, { limit }) }));
}

async function askServer(flags: AuditLogFlags): Promise<AuditLogAnswer> {
  const client = clientFor(flags);
  try {
    return await client.auditLog({ limit: flags.limit });
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

function print(logs: Logs, { json }: AuditLogFlags): void {
  if (json === true) {
    printJson({ logs });
    return;
  }
  const entries = logs.flatMap(({ log, entries: each }) => each.map((entry) => ({ log, entry })));
  const rows = entries
    .toSorted((left, right) => right.entry.atMs - left.entry.atMs)
    .map(({ log, entry }) => ({
      time: new Date(entry.atMs).toISOString(),
      ...(log !== "" && { log }),
      action: entry.action,
      by: entry.by,
      from: entry.remoteAddress ?? "",
      detail: Object.entries(entry.detail)
        .map(([name, value]) => `${name}=${String(value)}`)
        .join(" "),
    }));
  printLine(rows.length === 0 ? "no entries" : formatTable(rows));
  for (const { log, removed } of logs) if (removed > 0) process.stderr.write(`${log} has lost its ${removed} oldest entries\n`);
}
