/** `weir serve`: starts the server with every setting of `server/config.ts` as a flag, and drains it on a signal. */
import { Option, type Command } from "commander";
import { describeConfig, parseConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { addressesOf, drainOnSignal } from "../running-server.ts";
import { printJson, printLine } from "../connect-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";

export function addServeCommand(program: Command): void {
  const command = program.command("serve").description("Start the server; SIGTERM or Ctrl-C drains it, a second one forces it");
  for (const { flag, env, description, default: byDefault } of describeConfig()) {
    command.addOption(new Option(`${flag} <value>`, `${description} (default: ${byDefault}; environment: ${env})`));
  }
  command
    .option("--json", "print the addresses as one line of JSON")
    .addHelpText(
      "after",
      `
Examples:
  weir serve
  weir serve --port 0 --data ./data --questdb off --json
  weir serve --questdb http://questdb:9000 --host 0.0.0.0
${exitCodesHelp}`,
    )
    .action(serve);
}

async function serve({ json, ...flags }: Readonly<Record<string, unknown>>): Promise<void> {
  const config = parseConfig({ flags, env: process.env });
  // Only this command needs the whole server: the others start faster without it.
  const { startServer } = await import("../../server/main.ts");
  // stdout is for the addresses.
  const log = createLog({ level: config.logLevel, destination: process.stderr });
  let ended = Promise.resolve();
  const server = await startServer(config, log, (listening) => {
    ended = drainOnSignal(listening);
    // It may fail before the start is through; `await` below sees it.
    ended.catch(() => undefined);
  });
  const { firstKey } = server;
  const lines = { ...addressesOf(config, server), ...(firstKey !== undefined && { key: firstKey }) };
  if (json === true) printJson(lines);
  else for (const [name, value] of Object.entries(lines)) printLine(`${name.padEnd(10)} ${value}`);
  if (firstKey !== undefined) process.stderr.write("The key of the new tenant `demo` is shown this once: keep it.\n");
  await ended;
}
