/** A real server in this process, in a temporary folder, on a free port. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../server/config.ts";
import { createLog, type Log } from "../../server/log.ts";
import { startServer, type RunningServer } from "../../server/main.ts";
import { openControl } from "../../storage/control.ts";
import { readDataDirectory } from "../../storage/data-directory.ts";
import type { TenantId } from "../../protocol/ids.ts";

export interface RealServer {
  readonly server: RunningServer;
  readonly url: string;
  readonly data: string;
  newKey(tenant: string): Promise<string>;
  /** Drains, and starts again on the same data. */
  restart(flags?: Record<string, unknown>): Promise<RealServer>;
  /** Drains and removes the folder. */
  close(): Promise<void>;
}

export async function startRealServer(
  flags: Record<string, unknown>,
  data = mkdtempSync(join(tmpdir(), "weir-")),
  log: Log = createLog({ level: "error" }),
): Promise<RealServer> {
  const config = parseConfig({ flags: { port: 0, questdb: "off", data, ...flags } });
  const server = await startServer(config, log);
  return {
    server,
    data,
    url: `http://127.0.0.1:${server.port}`,
    async newKey(tenant) {
      const control = openControl(readDataDirectory(data).controlPath);
      await control.ensureTenant(tenant as TenantId, Date.now());
      const { key } = await control.createKey(tenant as TenantId, ["write", "read", "admin"], Date.now());
      await control.close();
      return key;
    },
    async restart(other = {}) {
      await server.drain();
      return startRealServer({ ...flags, ...other }, data, log);
    },
    async close() {
      await server.drain();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** Waits until `check` holds; fails when it still does not after `withinMs`, and as it does when it throws. */
export async function eventually(check: () => Promise<boolean> | boolean, what: string, withinMs = 30_000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until `check` no longer throws; fails as it does when it still throws after `withinMs`. */
export async function settles(check: () => Promise<void>, withinMs = 60_000): Promise<void> {
  const end = Date.now() + withinMs;
  const passes = async (): Promise<boolean> => {
    try {
      await check();
      return true;
    } catch (error) {
      if (Date.now() > end) throw error;
      return false;
    }
  };
  await eventually(passes, "a check that passes", Infinity);
}
