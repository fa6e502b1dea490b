/** `weir metrics`: the definitions of a tenant's metrics. */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { WeirError } from "../../protocol/error-codes.ts";
import type { MetricDefinitionInput } from "../../protocol/metric-definition.ts";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { formatTable } from "../table.ts";
import { readStdin } from "../values.ts";

export function addMetricsCommand(program: Command): void {
  const metrics = program.command("metrics").description("List, define and remove metrics");
  withServerOptions(metrics.command("list").description("All metrics of the tenant")).action(list);
  withServerOptions(
    metrics
      .command("define")
      .description("Define metrics from a JSON file: one definition or a list (needs the admin scope)")
      .argument("<file>", "the file; - is stdin"),
  )
    .addHelpText(
      "after",
      `
Example:
  echo '{"name":"revenue","value":"properties.amount","aggregates":["sum"],"dimensions":["country"]}' | weir metrics define -
${exitCodesHelp}`,
    )
    .action(define);
  withServerOptions(
    metrics.command("remove").description("Remove a metric and its live values (needs the admin scope)").argument("<name>"),
  ).action(remove);
}

async function list(flags: ServerOptions): Promise<void> {
  const client = clientFor(flags);
  try {
    const metrics = await client.catalog();
    if (flags.json === true) {
      printJson({ metrics });
      return;
    }
    const rows = metrics.map((metric) => ({
      name: metric.name,
      aggregates: metric.aggregates.join(" "),
      value: metric.value,
      dimensions: metric.dimensions.map((dimension) => dimension.name).join(" "),
      description: metric.description,
    }));
    printLine(formatTable(rows, ["name", "aggregates", "value", "dimensions", "description"]));
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

async function define(file: string, flags: ServerOptions): Promise<void> {
  const definitions = await readDefinitions(file);
  const client = clientFor(flags, {}, file === "-" ? "the definitions" : undefined);
  try {
    for (const definition of definitions) {
      const stored = await client.defineMetric(definition);
      if (flags.json === true) printJson(stored);
      else printLine(`defined ${stored.name}`);
    }
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

async function remove(name: string, flags: ServerOptions): Promise<void> {
  const client = clientFor(flags);
  try {
    await client.removeMetric(name);
    if (flags.json === true) printJson({ removed: name });
    else printLine(`removed ${name}`);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

/** The server checks the definitions; here they only have to be JSON. */
async function readDefinitions(file: string): Promise<readonly MetricDefinitionInput[]> {
  try {
    const parsed: unknown = JSON.parse(file === "-" ? await readStdin() : await readFile(file, "utf8"));
    return (Array.isArray(parsed) ? parsed : [parsed]) as MetricDefinitionInput[];
  } catch (cause) {
    throw new WeirError("WEIR_METRIC_INVALID", cause instanceof Error ? cause.message : String(cause), { path: file, cause });
  }
}
