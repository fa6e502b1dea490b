/** The options of commands that work in a data directory, its keys store, and who the operator is for the audit log. */
import { userInfo } from "node:os";
import type { Command } from "commander";
import { parseConfig } from "../server/config.ts";
import { openKeyStore, type KeyStore } from "../server/key-store.ts";

export interface DataFlags {
  readonly data?: string;
  readonly json?: boolean;
}

export function withDataOptions(command: Command): Command {
  return command
    .option("--data <folder>", "the data directory (default: ./data; environment: WEIR_DATA)")
    .option("--json", "print JSON");
}

export async function withKeyStore({ data }: DataFlags, action: (store: KeyStore) => Promise<void> | void): Promise<void> {
  const store = openKeyStore(parseConfig({ flags: { data }, env: process.env }), Date.now());
  try {
    await action(store);
  } finally {
    await store.close();
  }
}

export function operator(): { readonly by: string } {
  try {
    return { by: `operator:${userInfo().username}` };
  } catch {
    // A process may run under a number that has no name.
    return { by: `operator:${process.getuid?.() ?? "unknown"}` };
  }
}
