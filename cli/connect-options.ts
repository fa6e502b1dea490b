/** The options that every command beside a running server has, and the client that they make. */
import type { Command } from "commander";
import { connect, type ConnectOptions, type WeirClient } from "../client/index.ts";
import { WeirError } from "../protocol/error-codes.ts";

export interface ServerOptions {
  readonly url: string;
  readonly key?: string;
  readonly json?: boolean;
}

const DEFAULT_URL = "http://127.0.0.1:7070";

export function withServerOptions(command: Command): Command {
  return command
    .option("--url <url>", "address of the server (environment: WEIR_URL)", process.env["WEIR_URL"] ?? DEFAULT_URL)
    .option("--key <key>", "API key (environment: WEIR_KEY)")
    .option("--json", "print JSON");
}

/** A command fails after this long without a server; a service would go on trying. */
const GIVE_UP_AFTER_MS = 15_000;

export function clientFor(options: ServerOptions, more: Partial<ConnectOptions> = {}): WeirClient {
  const key = options.key ?? process.env["WEIR_KEY"];
  if (key === undefined || key === "") throw new WeirError("WEIR_AUTH_KEY_MISSING");
  return connect({ url: options.url, key, client: "weir-cli", retry: { giveUpAfterMs: GIVE_UP_AFTER_MS }, ...more });
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}
