/** A host's figures as the gateway shows them in `/metrics` and `/readyz`. */
import { getHeapStatistics } from "node:v8";
import { readerEvictions } from "./frame-reader.ts";
import { seriesIdsEvicted } from "../actors/metric.ts";
import { valueNumbers } from "../actors/value-numbers.ts";
import type { HostOptions } from "./host-options.ts";
import type { OpenHost } from "./open-host.ts";
import type { HostStatus } from "./ports.ts";
import type { StageFigures } from "./stage-times.ts";
import { tenantStatesOf } from "./tenant-state.ts";

export function statusOf(host: OpenHost, options: HostOptions, stages: StageFigures): HostStatus {
  const { partitionHost, journal, snapshots } = host;
  const metric = host.metricHost.figures();
  const status = {
    sessionsResident: 0,
    seriesPanes: metric.panes,
    rememberedIds: 0,
    overflowedEvents: 0,
    received: 0,
    accepted: 0,
    duplicate: 0,
    late: 0,
    invalid: 0,
  };
  let watermarkMs = -Infinity;
  for (const partition of host.partitions.values()) {
    for (const tenant of partition.tenants.values()) {
      watermarkMs = Math.max(watermarkMs, tenant.watermarkMs);
      status.sessionsResident += tenant.sessions.residentCount;
      status.rememberedIds += tenant.dedup.count;
      for (const panes of tenant.metrics.values()) {
        status.seriesPanes += panes.paneCount;
        status.overflowedEvents += panes.overflowedEvents;
      }
      const { received, accepted, duplicate, late, invalid } = tenant.ledger;
      status.received += received;
      status.accepted += accepted;
      status.duplicate += duplicate;
      status.late += late;
      status.invalid += invalid;
    }
  }
  const heap = getHeapStatistics();
  return {
    ...status,
    tenantStates: tenantStatesOf(host.partitions.values(), host.metricHost),
    evictions: { ...readerEvictions(), series: seriesIdsEvicted(), values: valueNumbers.evicted },
    heapBytes: heap.used_heap_size,
    heapCommittedBytes: heap.total_physical_size,
    externalBytes: heap.external_memory,
    watermarkMs: Number.isFinite(watermarkMs) ? watermarkMs : null,
    host: options.host,
    state: "running",
    partitions: host.partitions.size,
    appendedOffset: journal.appendedOffset,
    durableOffset: journal.durableOffset,
    snapshotOffset: snapshots.coveredOffset,
    mailboxFrames: partitionHost.mailboxFrames,
    mailboxBytes: partitionHost.mailboxBytes,
    channels: metric.channels,
    journalBytes: journal.sizeBytes(),
    snapshotMs: snapshots.lastDurationMs,
    stages,
    recovery: { ...host.recovery },
  };
}
