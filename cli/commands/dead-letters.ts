/** `weir dead-letters`: events that were not taken, and sending them again after a fix. */
import type { Command } from "commander";
import type { DeadLetter, EventInput, WeirClient } from "../../client/index.ts";
import { clientFor, printJson, printLine, withServerOptions, type ServerOptions } from "../connect-options.ts";
import { exitCodes, exitCodesHelp } from "../exit-codes.ts";
import { formatTable } from "../table.ts";
import { positiveInteger } from "../values.ts";

interface DeadLetterFlags extends ServerOptions {
  readonly code?: string;
  readonly limit: number;
  readonly replay?: boolean;
}

export function addDeadLettersCommand(program: Command): void {
  const command = program
    .command("dead-letters")
    .description("List events that were not taken, or send them again (needs the admin scope)")
    .option("--code <code>", "only those with this code")
    .option("--limit <n>", "at most so many, newest first", positiveInteger, 100)
    .option("--replay", "send them again; ids make that harmless, however often it is done");
  withServerOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  weir dead-letters --code WEIR_EVENT_LATE --limit 20
  weir dead-letters --replay --json
${exitCodesHelp}`,
    )
    .action(run);
}

async function run(flags: DeadLetterFlags): Promise<void> {
  const client = clientFor(flags, { complete: false });
  try {
    const filter = { limit: flags.limit, ...(flags.code !== undefined && { code: flags.code }) };
    const { deadLetters, ledger } = await client.deadLetters(filter);
    if (flags.replay === true) {
      await replay(client, deadLetters, flags.json === true);
    } else if (flags.json === true) {
      printJson({ deadLetters, ledger });
    } else {
      printLine(deadLetters.length === 0 ? "no dead letters" : formatTable(deadLetters.map(rowOf)));
      printLine(`\n${formatTable([{ ...ledger }])}`);
    }
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

function rowOf({ ingestTimeMs, code, path, eventId, host, offset, index }: DeadLetter): Readonly<Record<string, unknown>> {
  return { received: new Date(ingestTimeMs).toISOString(), code, path, eventId, position: `${host}:${offset}/${index}` };
}

type Replayed = { readonly position: string; readonly eventId: string; readonly verdict: string; readonly path?: string };

async function replay(client: WeirClient, deadLetters: readonly DeadLetter[], json: boolean): Promise<void> {
  const sendable = deadLetters.map((letter) => ({ letter, event: eventOf(letter) }));
  const events = sendable.flatMap(({ event }) => (event === undefined ? [] : [event]));
  const { results } = await client.publish(events);
  const verdicts = new Map(results.map((result) => [result.index, result]));
  let sent = 0;
  const replayed = sendable.map(({ letter, event }): Replayed => {
    const place = { position: `${letter.host}:${letter.offset}/${letter.index}`, eventId: letter.eventId };
    if (event === undefined) return { ...place, verdict: "not an event" };
    const verdict = verdicts.get(sent++);
    if (verdict === undefined) return { ...place, verdict: "accepted" };
    const path = verdict.path === undefined ? {} : { path: verdict.path };
    return { ...place, ...path, verdict: verdict.duplicate ? "duplicate" : (verdict.code ?? "failed") };
  });
  if (json) printJson({ replayed });
  else printLine(replayed.length === 0 ? "no dead letters" : formatTable(replayed));
  if (replayed.some(({ verdict }) => verdict !== "accepted" && verdict !== "duplicate")) process.exitCode = exitCodes.partly;
}

/** The event as it came; undefined when the dead letter is not one (bytes that could not be decoded, a list, a text). */
function eventOf({ raw }: DeadLetter): EventInput | undefined {
  let value = raw;
  if (typeof raw === "string") {
    try {
      value = JSON.parse(raw) as unknown;
    } catch {
      return undefined;
    }
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as EventInput) : undefined;
}
