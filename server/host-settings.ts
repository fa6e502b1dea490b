/** From the configuration and the data directory to what each partition host is started with. */
import { randomUUID } from "node:crypto";
import type { PaneRetention } from "../actors/pane.ts";
import type { DataDirectory } from "../storage/data-directory.ts";
import { dedupKeyOf, type HostOptions } from "../workers/host-options.ts";
import type { Config } from "./config.ts";

export function retentionOf(config: Config): PaneRetention {
  return { fineMs: config.paneFineRetentionMs, minuteMs: config.paneMinuteRetentionMs, allMs: config.paneRetentionMs };
}

export function hostOptionsOf(config: Config, directory: DataDirectory): HostOptions[] {
  const hosts = Math.min(Math.max(1, config.hostThreads), directory.partitionCount);
  // Hosts of before keep their journals: their partitions are brought up to date from there, their rows sent from there.
  const journals = Math.max(hosts, ...directory.existingHosts().map((host) => host + 1));
  const shared = {
    hosts,
    partitionCount: directory.partitionCount,
    journalPaths: Array.from({ length: journals }, (_, host) => directory.hostPath(host)),
    partitionPaths: Array.from({ length: directory.partitionCount }, (_, id) => ({ id, path: directory.partitionPath(id) })),
    metricsPath: directory.metricsPath(0),
    rules: {
      dedupKey: dedupKeyOf(directory.seed),
      dedupHorizonMs: config.dedupHorizonMs,
      allowedLatenessMs: config.allowedLatenessMs,
      gapMs: config.sessionGapMs,
      paneRetention: retentionOf(config),
      deadLetterRetentionMs: config.deadLetterRetentionMs,
    },
    epoch: randomUUID(),
    partialEveryMs: config.partialEveryMs,
    snapshotEveryMs: config.snapshotEveryMs,
    journalRetentionMs: config.journalRetentionMs,
  };
  return Array.from({ length: hosts }, (_, host) => ({ ...shared, host }));
}
