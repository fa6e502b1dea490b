/** `weir sessions`: what one session did. */
import type { Command } from "commander";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { formatNumber, formatTable } from "../table.ts";

export function addSessionsCommand(program: Command): void {
  const command = program.command("sessions").description("Show one session").argument("<id>", "its sessionId");
  withServerOptions(command).addHelpText("after", exitCodesHelp).action(show);
}

async function show(sessionId: string, flags: ServerOptions): Promise<void> {
  const client = clientFor(flags);
  try {
    const session = await client.session(sessionId);
    if (flags.json === true) {
      printJson(session);
      return;
    }
    printLine(`session   ${session.sessionId}`);
    printLine(`user      ${session.userId ?? "-"}`);
    printLine(`events    ${formatNumber(session.events)}`);
    printLine(`duration  ${formatNumber(session.durationMs / 1_000)} s${session.open ? ", still open" : ""}`);
    const types = Object.entries(session.eventTypes).map(([type, count]) => ({ "event type": type, events: count }));
    printLine(`\n${formatTable(types)}`);
    const visits = session.segments.map(({ startMs, endMs, events, open }) => ({
      start: new Date(startMs).toISOString(),
      end: new Date(endMs).toISOString(),
      events,
      open: open ? "open" : "closed",
    }));
    printLine(`\n${formatTable(visits)}`);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}
