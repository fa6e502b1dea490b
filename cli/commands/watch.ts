/** `weir watch`: a channel live in the terminal; a line per change when stdout is not one. */
import type { Command } from "commander";
import type { ChannelChange, Subscription } from "../../client/index.ts";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { formatCell, formatTable } from "../table.ts";
import { positiveInteger } from "../values.ts";

interface WatchFlags extends ServerOptions {
  readonly every?: number;
  readonly count?: number;
}

export function addWatchCommand(program: Command): void {
  const command = program
    .command("watch")
    .description("Watch a metric change")
    .argument("<channel>", "metric or metric@window; windows: 1m 5m 1h 24h minute hour day")
    .option("--every <ms>", "shortest time between two changes: 100, 250, 1000, 5000 or 10000", positiveInteger)
    .option("--count <n>", "stop after n changes", positiveInteger);
  withServerOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  weir watch events@24h
  weir watch events_by_type_and_country@1h --every 1000
  weir watch active_users@day --json --count 1
${exitCodesHelp}`,
    )
    .action(watch);
}

async function watch(channel: string, flags: WatchFlags): Promise<void> {
  const client = clientFor(flags);
  const subscription = client.subscribe(channel, flags.every === undefined ? {} : { every: flags.every });
  const stop = () => subscription.close();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    let changes = 0;
    for await (const change of subscription) {
      show(subscription, change, flags.json === true);
      if (++changes === flags.count) break;
    }
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    await client.close({ timeoutMs: 0 });
  }
}

function show(subscription: Subscription, change: ChannelChange, json: boolean): void {
  if (json) printJson({ channel: subscription.channel, ...change });
  else if (process.stdout.isTTY) redraw(subscription, change);
  else printChange(change);
}

function redraw(subscription: Subscription, change: ChannelChange): void {
  const rowsMax = Math.max(1, (process.stdout.rows ?? 40) - 5);
  const rows = [...subscription.rows.values()];
  const hidden = rows.length - rowsMax;
  const { window, epoch, seq, cause } = change;
  const lines = [
    `${subscription.channel}  ${iso(window.from)} .. ${iso(window.to)}  ${cause} ${epoch}/${seq}`,
    "",
    formatTable(rows.slice(0, rowsMax)),
    ...(hidden > 0 ? [`and ${hidden} more rows`] : []),
  ];
  // Home, clear to the end of the screen, then the table: no flicker of an empty screen in between.
  process.stdout.write(`\u001b[H\u001b[J${lines.join("\n")}\n`);
}

function printChange({ changed, removed, cause, seq, window }: ChannelChange): void {
  const head = `${iso(window.to)} ${cause} ${seq}`;
  for (const row of changed) printLine(`${head} ${pairs(row)}`);
  for (const row of removed) printLine(`${head} removed ${pairs(row)}`);
}

function pairs(row: Readonly<Record<string, unknown>>): string {
  return Object.entries(row)
    .map(([name, value]) => `${name}=${formatCell(value)}`)
    .join(" ");
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(".000Z", "Z");
}
