/** From the configuration to the warehouse: its process or address, and what its writer reads. */
import type { Control } from "../storage/control.ts";
import type { DataDirectory } from "../storage/data-directory.ts";
import type { HostOptions } from "../workers/host-options.ts";
import type { Hosts } from "../workers/hosts.ts";
import type { Config } from "./config.ts";
import type { Log } from "./log.ts";
import { questdbRoot, WarehouseService } from "./warehouse.ts";

export function makeWarehouse(
  config: Config,
  { directory, control }: { directory: DataDirectory; control: Control },
  hostOptions: readonly HostOptions[],
  hosts: Hosts,
  log: Log,
): WarehouseService {
  const [first] = hostOptions;
  const journalPaths = first?.journalPaths ?? [];
  if (config.questdb === "off") {
    // Nothing waits for rows: the journal is trimmed behind the snapshots.
    for (let host = 0; host < hosts.count; host++) hosts.stored(host, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }
  return new WarehouseService({
    questdb: config.questdb,
    root: questdbRoot(directory.path),
    httpPort: config.questdbHttpPort,
    pgPort: config.questdbPgPort,
    jar: config.questdbJar,
    mavenUrl: config.mavenUrl,
    cacheDir: config.cacheDir,
    thread: {
      journalPaths,
      partitionPaths: first?.partitionPaths ?? [],
      metricsPath: first?.metricsPath ?? "",
      controlPath: directory.controlPath,
      hosts: journalPaths.length,
      partitionCount: directory.partitionCount,
      sessionGapMs: config.sessionGapMs,
      flushRows: config.warehouseFlushRows,
      flushMs: config.warehouseFlushMs,
      eventsTtlDays: config.eventsTtlDays,
      safetyTailMs: config.warehouseSafetyTailMs,
    },
    serverStarted: () => control.warehouseServer(),
    env: process.env,
    log,
    now: Date.now,
    onStored: (host, offset, rows) => hosts.stored(host, offset, rows),
  });
}
