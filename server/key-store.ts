/**
 * Keys and tenants of a data directory, for command-line tools: beside a running server (the control store is safe for several
 * processes) or before its first start (the directory is then made as the server would make it).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openControl, type Control } from "../storage/control.ts";
import { openDataDirectory, readDataDirectory } from "../storage/data-directory.ts";

export { scopes, type Scope } from "../storage/api-key.ts";
export type { ApiKey } from "../storage/api-keys.ts";
export { SERVER_LOG, type AuditEntry, type LogName } from "../storage/audit-log.ts";
export type KeyStore = Control;

export function openKeyStore({ data, partitions }: { data: string; partitions: number }, nowMs: number): KeyStore {
  // Without the lock when it exists: a server may have it.
  if (existsSync(join(data, "weir.json"))) return openControl(readDataDirectory(data).controlPath);
  const directory = openDataDirectory(data, { partitions, nowMs });
  directory.close();
  return openControl(directory.controlPath);
}
