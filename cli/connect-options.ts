/**
 * The options that every command beside a running server has, and the client that they make. A key on the command line can be
 * seen by others on the machine, and stays in the shell's history: it works, with a warning, and is wiped from the list of
 * processes as soon as we run. The environment, a file or stdin are better places.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { connect, type ConnectOptions, type WeirClient } from "../client/index.ts";
import { WeirError } from "../protocol/error-codes.ts";
import { UsageError } from "./failure.ts";

export interface ServerOptions {
  readonly url: string;
  readonly key?: string;
  readonly keyFile?: string;
  readonly ca?: string;
  readonly json?: boolean;
}

const DEFAULT_URL = "http://127.0.0.1:7070";
const STDIN = "-";

export function withServerOptions(command: Command): Command {
  command.option("--url <url>", "address of the server (environment: WEIR_URL)", process.env["WEIR_URL"] ?? DEFAULT_URL);
  return withKeyOptions(command).option("--json", "print JSON");
}

export function withKeyOptions(command: Command): Command {
  return command
    .option("--key-file <file>", "file that holds the API key, - for stdin (environment: WEIR_KEY_FILE, or the key in WEIR_KEY)")
    .option("--key <key>", "API key; others on this machine can see it here")
    .option("--ca <file>", "PEM file of the authority of the server's certificate (environment: WEIR_CA)");
}

/** Takes keys out of what other users see of this process. To be called first of all. */
export function hideKeyArguments(): void {
  if (process.argv.some((argument) => /^--key(=|$)|^weir_[a-z0-9-]+_/.test(argument))) process.title = "weir";
}

/** undefined when no key was given anywhere. `stdinTaken`: what stdin is for, when it is not for a key. */
export function keyOf(options: Pick<ServerOptions, "key" | "keyFile" | "json">, stdinTaken?: string): string | undefined {
  if (options.key !== undefined && options.keyFile !== undefined) throw new UsageError("--key goes without --key-file");
  if (options.key !== undefined) {
    // With --json stderr is for programs.
    if (options.json !== true) process.stderr.write("warning: others can see --key; use --key-file or WEIR_KEY\n");
    return options.key;
  }
  if (options.keyFile !== undefined) return readKey(options.keyFile, stdinTaken);
  const { WEIR_KEY: key, WEIR_KEY_FILE: file } = process.env;
  if (key !== undefined && key !== "") return key;
  return file === undefined || file === "" ? undefined : readKey(file, stdinTaken);
}

function readKey(file: string, stdinTaken: string | undefined): string {
  if (file === STDIN && stdinTaken !== undefined) throw new UsageError(`stdin is for ${stdinTaken} here, not for the key`);
  const text = readFileSync(file === STDIN ? process.stdin.fd : file, "utf8").trim();
  // The text itself is not shown: it may be half a key.
  if (text === "" || /\s/.test(text)) throw new UsageError(`${file === STDIN ? "stdin" : file} does not hold one key`);
  return text;
}

/** The PEM text of `--ca` or WEIR_CA. */
export function caOf({ ca }: Pick<ServerOptions, "ca">): string | undefined {
  const file = ca ?? process.env["WEIR_CA"];
  return file === undefined || file === "" ? undefined : readFileSync(file, "utf8");
}

/** A command fails after this long without a server; a service would go on trying. */
const GIVE_UP_AFTER_MS = 15_000;

export function clientFor(options: ServerOptions, more: Partial<ConnectOptions> = {}, stdinTaken?: string): WeirClient {
  const key = keyOf(options, stdinTaken);
  if (key === undefined) throw new WeirError("WEIR_AUTH_KEY_MISSING");
  const ca = caOf(options);
  const trust = ca === undefined ? {} : { ca };
  return connect({ url: options.url, key, client: "weir-cli", retry: { giveUpAfterMs: GIVE_UP_AFTER_MS }, ...trust, ...more });
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(text: string): void {
  process.stdout.write(`${text}\n`);
}
