/** `weir query`: asks about the past and prints a table, CSV or JSON. */
import { Option, type Command } from "commander";
import type { Granularity, QueryFilter, QueryRequest, QuerySource, QueryTimeRange } from "../../client/index.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { UsageError } from "../failure.ts";
import { formatCsv, formatTable } from "../table.ts";
import { commaList, readStdin } from "../values.ts";

interface QueryFlags extends ServerOptions {
  readonly metrics?: readonly string[];
  readonly dimensions?: readonly string[];
  readonly filter?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly last?: string;
  readonly granularity?: Granularity;
  readonly source?: QuerySource;
  readonly csv?: boolean;
}

export function addQueryCommand(program: Command): void {
  const command = program
    .command("query")
    .description("Ask about metrics over a range of time")
    .argument("[body]", "- reads a query as JSON from stdin in place of the options")
    .option("--metrics <names>", "metric or metric.output, several joined by commas", commaList)
    .option("--dimensions <names>", "split by these", commaList)
    .option("--filter <filter...>", "dim=value, dim!=value, or dim=a|b for any of several")
    .option("--from <time>", "start (ISO 8601 or epoch ms)")
    .option("--to <time>", "end, exclusive")
    .option("--last <span>", "the last 15m, 24h, 7d up to the newest event")
    .addOption(new Option("--granularity <size>", "one row per bucket of this size").choices(["10s", "1m", "1h", "1d", "all"]))
    .addOption(new Option("--source <source>", "where the answer comes from").choices(["auto", "live", "rollup", "raw"]))
    .option("--csv", "print CSV");
  withServerOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  weir query --metrics events --last 24h --granularity 1h
  weir query --metrics value_by_type.p95 --dimensions eventType --last 7d --csv
  weir query --metrics events_by_type_and_country --filter 'country=DE|AT' --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z
  echo '{"metrics":["events"],"timeRange":{"last":"1h"}}' | weir query - --json
${exitCodesHelp}`,
    )
    .action(query);
}

async function query(body: string | undefined, flags: QueryFlags): Promise<void> {
  const request = body === undefined ? requestOf(flags) : await readRequest(body);
  const client = clientFor(flags, {}, body === undefined ? undefined : "the query");
  try {
    const answer = await client.query(request);
    if (flags.json === true) {
      printJson(answer);
      return;
    }
    if (flags.csv === true) {
      printLine(formatCsv(answer.data));
      return;
    }
    printLine(answer.data.length === 0 ? "no rows" : formatTable(answer.data));
    const { totalRows, executionTime, dataSource, dataFreshness, truncated } = answer.metadata;
    const cut = truncated ? ", truncated" : "";
    process.stderr.write(`${totalRows} rows from ${dataSource} in ${executionTime} ms, ${dataFreshness} ms old${cut}\n`);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

async function readRequest(body: string): Promise<QueryRequest> {
  if (body !== "-") throw new UsageError("the only argument is -, for a query on stdin");
  try {
    return JSON.parse(await readStdin()) as QueryRequest;
  } catch (cause) {
    throw new WeirError("WEIR_QUERY_INVALID", "stdin is not JSON.", { path: "-", cause });
  }
}

function requestOf(flags: QueryFlags): QueryRequest {
  if (flags.metrics === undefined) throw new UsageError("--metrics is required (or - for a query on stdin)");
  return {
    metrics: flags.metrics,
    timeRange: timeRangeOf(flags),
    ...(flags.dimensions !== undefined && { dimensions: flags.dimensions }),
    ...(flags.filter !== undefined && { filters: flags.filter.map(parseFilter) }),
    ...(flags.granularity !== undefined && { granularity: flags.granularity }),
    ...(flags.source !== undefined && { source: flags.source }),
  };
}

function timeRangeOf({ last, from, to }: QueryFlags): QueryTimeRange {
  if (last !== undefined) {
    if (from !== undefined || to !== undefined) throw new UsageError("--last goes without --from and --to");
    return { last };
  }
  if (from === undefined || to === undefined) throw new UsageError("give --last, or both --from and --to");
  return { from: timeOf(from), to: timeOf(to) };
}

function timeOf(text: string): number | string {
  return /^[0-9]+$/.test(text) ? Number(text) : text;
}

function parseFilter(text: string): QueryFilter {
  const match = /^([^=!]+)(!?=)(.*)$/s.exec(text);
  const [, dimension, operator, value] = match ?? [];
  if (dimension === undefined || value === undefined) throw new UsageError(`--filter ${text} is not dim=value`);
  if (operator === "!=") return { dimension, op: "ne", value };
  const values = value.split("|");
  return values.length > 1 ? { dimension, op: "in", value: values } : { dimension, op: "eq", value };
}
