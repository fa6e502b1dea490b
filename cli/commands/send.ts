/** `weir send`: streams NDJSON files of events to a server and says what became of them. */
import { Option, type Command } from "commander";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { daysUntilNow, totalBytes } from "../event-files.ts";
import { exitCodes, exitCodesHelp } from "../exit-codes.ts";
import { UsageError } from "../failure.ts";
import { startProgress } from "../progress.ts";
import { sendEvents, type SendSummary } from "../send-events.ts";
import { formatNumber } from "../table.ts";
import { positiveInteger } from "../values.ts";

interface SendFlags extends ServerOptions {
  readonly batch: number;
  readonly rate?: number;
  readonly shiftDays?: string;
}

export function addSendCommand(program: Command): void {
  const command = program
    .command("send")
    .description("Send events from NDJSON files (one JSON object a line; .gz too; - is stdin)")
    .argument("<file...>", "files to send, in this order")
    .option("--batch <events>", "events in one frame at most", positiveInteger, 100)
    .addOption(new Option("--rate <events>", "events a second at most, such as 500 or 500/s").argParser(parseRate))
    .option("--shift-days <days>", "add whole days to every timestamp; auto: as many as leave the last event in the past");
  withServerOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  weir send events.ndjson --key-file service.key
  weir send samples/web-2015-05.ndjson.gz --shift-days auto
  zcat old.ndjson.gz | weir send - --rate 1000/s --json
${exitCodesHelp}`,
    )
    .action(send);
}

async function send(files: readonly string[], flags: SendFlags): Promise<void> {
  const json = flags.json === true;
  const client = clientFor(flags, { batchEvents: flags.batch, complete: false }, files.includes("-") ? "events" : undefined);
  const progress = startProgress(json);
  try {
    const [days, bytes] = [await daysOf(files, flags.shiftDays), await totalBytes(files)];
    const summary = await sendEvents(client, {
      files,
      days,
      batchEvents: flags.batch,
      ratePerSecond: flags.rate,
      onBadLine: (file, number, problem) => process.stderr.write(`WEIR_FILE_INVALID: ${problem} (${file}:${number})\n`),
      onProgress: ({ answered, bytesRead }) =>
        progress.update({
          share: bytes === undefined || bytes === 0 ? undefined : Math.min(1, bytesRead / bytes),
          text: `${formatNumber(answered)} events answered`,
        }),
    });
    progress.stop();
    if (json) printJson(summary);
    else printSummary(summary);
    if (summary.badLines > 0 || Object.keys(summary.failed).length > 0) process.exitCode = exitCodes.partly;
  } finally {
    progress.stop();
    await client.close({ timeoutMs: 0 });
  }
}

function printSummary(summary: SendSummary): void {
  const { sent, accepted, duplicates, failed, badLines, seconds, eventsPerSecond } = summary;
  printLine(`sent        ${formatNumber(sent)}`);
  printLine(`accepted    ${formatNumber(accepted)}`);
  printLine(`duplicates  ${formatNumber(duplicates)}`);
  for (const [code, count] of Object.entries(failed)) printLine(`failed      ${formatNumber(count)} ${code}`);
  if (badLines > 0) printLine(`bad lines   ${formatNumber(badLines)}`);
  printLine(`time        ${formatNumber(seconds)} s, ${formatNumber(eventsPerSecond)} events/s`);
}

async function daysOf(files: readonly string[], flag: string | undefined): Promise<number> {
  if (flag === undefined) return 0;
  if (flag !== "auto") {
    if (!/^-?[0-9]{1,6}$/.test(flag)) throw new UsageError("--shift-days takes a whole number or `auto`");
    return Number(flag);
  }
  if (files.includes("-")) throw new UsageError("--shift-days auto reads the files twice, which stdin does not allow");
  return daysUntilNow(files, Date.now());
}

function parseRate(text: string): number {
  return positiveInteger(text.replace(/\/s$/, ""));
}
