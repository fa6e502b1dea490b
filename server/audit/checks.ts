/** The sums of an audit, from figures to checks. Pure; `directory.ts` and `service.ts` bring the figures. */
import type { AuditCheck, AuditFigures, AuditSum } from "../../protocol/audit-report.ts";
import { countedFrom, type PartitionFigures, type TenantFigures } from "../../workers/partition-figures.ts";
import type { RawRows } from "../../storage/questdb/raw-counts.ts";

type Place = Pick<AuditCheck, "tenant" | "partition">;

export function compared(sum: AuditSum, place: Place, expected: number, actual: number, note: string | null = null): AuditCheck {
  return { sum, ...place, state: expected === actual ? "holds" : "broken", expected, actual, note };
}

export function notCompared(sum: AuditSum, place: Place, state: "skipped" | "unchecked", note: string): AuditCheck {
  return { sum, ...place, state, expected: null, actual: null, note };
}

/** Events in the partitions' panes from a time on; undefined where a metric came after the first events, or there is none. */
export function panesFrom(partitions: readonly PartitionFigures[], tenant: string, fromMs: number): number | undefined {
  let sum = 0;
  for (const { panes, ledger } of tenantsOf(partitions, tenant)) {
    if (ledger.accepted === 0) continue;
    if (panes === undefined || panes.acceptedBefore > 0) return undefined;
    sum += countedFrom(panes, fromMs);
  }
  return sum;
}

function tenantsOf(partitions: readonly PartitionFigures[], tenant: string): TenantFigures[] {
  return partitions.flatMap(({ tenants }) => tenants.filter((each) => each.tenant === tenant));
}

/** The sums inside a partition: ledger, dead letters, panes. */
export function stateChecks(partitions: readonly PartitionFigures[]): AuditCheck[] {
  return partitions.flatMap(({ partition, tenants }) =>
    tenants.flatMap((each) => {
      const { tenant, ledger, deadLettersKept, deadLettersRemoved, panes } = each;
      const { received, accepted, duplicate, late, invalid } = ledger;
      const place = { tenant, partition };
      return [
        compared("ledger", place, received, accepted + duplicate + late + invalid),
        compared("dead-letters", place, late + invalid, deadLettersKept + deadLettersRemoved),
        panes === undefined
          ? notCompared("panes", place, "skipped", "no metric counts every event")
          : compared("panes", place, accepted, panes.acceptedBefore + panes.aged + panes.counted, panes.metric),
      ];
    }),
  );
}

/** Where rows can be expected from: later than every partition's panes begin, and than what a TTL may have dropped. */
export function rowsComparableFrom(partitions: readonly PartitionFigures[], tenant: string, ttlFromMs: number): number {
  const kept = tenantsOf(partitions, tenant).map(({ panes }) => panes?.keptFromMs ?? -Infinity);
  return Math.max(ttlFromMs, ...kept);
}

/**
 * Raw rows against the ledger. With a TTL the oldest rows may be gone: then rows and panes are compared from where neither
 * has dropped anything, and the rest of the accepted events is what has expired.
 */
export function rawRowChecks(partitions: readonly PartitionFigures[], tenant: string, rows: RawRows): AuditCheck[] {
  return partitions.flatMap(({ partition, tenants }) =>
    tenants
      .filter((each) => each.tenant === tenant)
      .map(({ ledger: { accepted }, panes }) => {
        const place = { tenant, partition };
        const { all = 0, recent = 0 } = rows.byPartition.get(partition) ?? {};
        if (rows.ttl === undefined || all > accepted) return compared("raw-rows", place, accepted, all);
        if (panes === undefined || panes.acceptedBefore > 0) {
          return notCompared("raw-rows", place, "skipped", `a TTL of ${rows.ttl}, and no metric counts every event`);
        }
        const since = `since ${new Date(rows.recentFromMs).toISOString()}; ${accepted - all} events are older than ${rows.ttl}`;
        return compared("raw-rows", place, countedFrom(panes, rows.recentFromMs), recent, since);
      }),
  );
}

export function figuresOf(partitions: readonly PartitionFigures[], rows: ReadonlyMap<string, RawRows>): AuditFigures[] {
  const figures = partitions.flatMap(({ partition, tenants }) =>
    tenants.map(({ tenant, ledger, deadLettersKept, deadLettersRemoved, panes }): AuditFigures => {
      const { received, accepted, duplicate, late, invalid } = ledger;
      const raw = rows.get(tenant);
      return {
        tenant,
        partition,
        received,
        accepted,
        duplicate,
        late,
        invalid,
        deadLettersKept,
        deadLettersRemoved,
        eventsInPanes: panes?.counted ?? null,
        eventsAged: panes?.aged ?? null,
        rawRows: raw === undefined ? null : (raw.byPartition.get(partition)?.all ?? 0),
      };
    }),
  );
  return figures.toSorted((a, b) => (a.tenant < b.tenant ? -1 : a.tenant > b.tenant ? 1 : a.partition - b.partition));
}
