/** What `/metrics` shows of the parts of the server, gathered when it is asked for. */
import type { Hosts } from "../workers/hosts.ts";
import { journalSourceName } from "../workers/journal-source.ts";
import type { HostStatus } from "../workers/ports.ts";
import type { DiskSpace } from "./disk-space.ts";
import type { Observation } from "./metrics.ts";
import type { MissingRows, QuietStream } from "./missing-rows.ts";
import type { StateBudget } from "./state-budget.ts";
import type { WarehouseService } from "./warehouse.ts";

/** What there is to compare rows with; undefined while some are on their way. */
export function quietStream(hosts: Hosts, warehouse: WarehouseService): QuietStream | undefined {
  const positions = warehouse.status?.positions ?? {};
  const { statuses } = hosts;
  const behind = ({ host, appendedOffset }: HostStatus) => (positions[journalSourceName(host)] ?? 0) < appendedOffset;
  if (warehouse.state !== "ready" || statuses.length < hosts.count || statuses.some(behind)) return undefined;
  const accepted = statuses.reduce((sum, status) => sum + status.accepted, 0);
  return { accepted, position: JSON.stringify([statuses.map(({ appendedOffset }) => appendedOffset), positions]) };
}

export function observe(
  hosts: Hosts,
  warehouse: WarehouseService,
  missingRows: MissingRows,
  disk: DiskSpace,
  budget: StateBudget,
): Observation {
  const statuses = hosts.statuses;
  const hostCount = hosts.count;
  const positions = warehouse.status?.positions ?? {};
  return {
    hosts: statuses,
    supervision: hosts.supervision,
    diskFreeBytes: disk.freeBytes,
    state: budget.figures,
    warehouse: {
      state: warehouse.state,
      tables: warehouse.tables,
      resumes: warehouse.resumes,
      restarts: warehouse.restarts,
      rowsWritten: warehouse.status?.rowsWritten ?? 0,
      rowsRefused: warehouse.status?.rowsRefused ?? 0,
      requestsFailed: warehouse.status?.requestsFailed ?? 0,
      missingEvents: missingRows.events,
      hosts: Array.from({ length: hostCount }, (_, host) => {
        const offset = positions[journalSourceName(host)] ?? 0;
        return { host, offset, lagRecords: Math.max(0, (statuses[host]?.durableOffset ?? 0) - offset) };
      }),
    },
  };
}
