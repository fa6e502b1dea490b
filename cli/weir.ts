#!/usr/bin/env node
/** The `weir` command: puts the commands together and turns whatever goes wrong into a message and an exit code. */
import { Command, CommanderError } from "commander";
import { addAuditCommand } from "./commands/audit.ts";
import { addAuditLogCommand } from "./commands/audit-log.ts";
import { addDeadLettersCommand } from "./commands/dead-letters.ts";
import { addKeysCommand } from "./commands/keys.ts";
import { addMetricsCommand } from "./commands/metrics.ts";
import { addQueryCommand } from "./commands/query.ts";
import { addSendCommand } from "./commands/send.ts";
import { addServeCommand } from "./commands/serve.ts";
import { addSessionsCommand } from "./commands/sessions.ts";
import { addWatchCommand } from "./commands/watch.ts";
import { VERSION } from "../server/version.ts";
import { hideKeyArguments } from "./connect-options.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";
import { UsageError, writeFailure } from "./failure.ts";

hideKeyArguments();

const LEFTOVERS_MS = 2_000;

const program = new Command("weir")
  .description("Real-time aggregation of analytics events: durable, exact, live.")
  .version(VERSION)
  .showHelpAfterError("(--help shows the options)")
  // Inherited by every command below: a wrong command line comes here as an error, with our exit code.
  .exitOverride()
  .addHelpText(
    "after",
    `
Start here:
  weir serve                                         start a server in ./data
  export WEIR_KEY=$(weir keys create --json | jq -r .key)
  weir send samples/web-2015-05.ndjson.gz --shift-days auto
  weir watch events@24h
${exitCodesHelp}`,
  );

addServeCommand(program);
addSendCommand(program);
addWatchCommand(program);
addQueryCommand(program);
addMetricsCommand(program);
addSessionsCommand(program);
addDeadLettersCommand(program);
addKeysCommand(program);
addAuditCommand(program);
addAuditLogCommand(program);

// `weir query | head` ends the reader first: that is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? exitCodes.ok : exitCodes.failed),
);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
  // What a failed command left open (a half-started server) must not keep the process.
  setTimeout(() => process.exit(), LEFTOVERS_MS).unref();
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message; help and version end here as well, with 0.
    return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  if (error instanceof UsageError) {
    process.stderr.write(`error: ${error.message}\n(--help shows the options)\n`);
    return exitCodes.usage;
  }
  writeFailure(error, process.argv.includes("--json"));
  return exitCodes.failed;
}
