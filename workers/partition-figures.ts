/**
 * What a partition's snapshot says of the ledger and of what the ledger can be held against: dead letters kept, events in
 * panes. All of one read transaction, so it is one cut of the stream: the state after record `offset` of `host`'s journal.
 * The audit reads it, in the job pool beside a running server and on a stopped server's directory.
 */
import { ByteReader } from "../protocol/bytes.ts";
import { HOUR_MS } from "../protocol/windows.ts";
import type { StateReader } from "../actors/effects.ts";
import { MetricPlan } from "../actors/metric-plan.ts";
import { floorTo, paneStartOf } from "../actors/pane.ts";
import { readPartitionMeta, type PartitionMeta } from "../actors/partition.ts";
import { DEAD_LETTERS } from "../actors/pending-letters.ts";
import type { LedgerCounts } from "../actors/partition-tenant.ts";

export interface PartitionFigures {
  readonly partition: number;
  readonly host: number;
  readonly offset: number;
  readonly tenants: readonly TenantFigures[];
}

export interface TenantFigures {
  readonly tenant: string;
  readonly ledger: LedgerCounts;
  readonly deadLettersKept: number;
  readonly deadLettersRemoved: number;
  /** A metric that counts every event; undefined when the tenant has none, or only ones from before this was kept. */
  readonly panes: PaneFigures | undefined;
}

export interface PaneFigures {
  readonly metric: string;
  readonly acceptedBefore: number;
  readonly aged: number;
  readonly counted: number;
  /** Panes from here on, and all later ones, are kept; null: no event yet. */
  readonly keptFromMs: number | null;
  /** Of `counted`: those by the start of the hour that their pane lies in. */
  readonly hours: ReadonlyMap<number, number>;
}

/** Of all tenants, or of one; undefined when the partition has no snapshot yet. */
export function readFigures(store: StateReader, partition: number, tenant?: string): PartitionFigures | undefined {
  const meta = readPartitionMeta(store);
  if (meta === undefined) return undefined;
  const tenants = meta.tenants.filter((each) => tenant === undefined || each.tenant === tenant);
  return {
    partition,
    host: meta.host,
    offset: meta.offset,
    tenants: tenants.map((each) => ({
      tenant: each.tenant,
      ledger: each.ledger,
      deadLettersKept: countOf(store.range(DEAD_LETTERS, [each.tenant], [`${each.tenant}\0`])),
      deadLettersRemoved: each.removedLetters,
      panes: paneFigures(store, meta, each),
    })),
  };
}

function paneFigures(store: StateReader, meta: PartitionMeta, saved: PartitionMeta["tenants"][number]): PaneFigures | undefined {
  const plans = saved.definitions.map((definition, index) => ({ plan: new MetricPlan(definition), ...saved.counted[index] }));
  const usable = plans.filter(({ plan, acceptedBefore }) => plan.countsAll && typeof acceptedBefore === "number");
  // Fewest panes: no dimensions, if there is one.
  const [chosen] = usable.toSorted((a, b) => a.plan.definition.dimensions.length - b.plan.definition.dimensions.length);
  if (chosen === undefined) return undefined;
  const { plan, acceptedBefore, aged } = chosen;
  const metric = plan.definition.name;
  const hours = new Map<number, number>();
  let counted = 0;
  for (const { key, value } of store.range("panes", [saved.tenant, metric], [saved.tenant, `${metric}\0`])) {
    const events = plan.eventsIn(plan.read(new ByteReader(value)));
    const hour = floorTo(paneStartOf(Number(key[3])), HOUR_MS);
    hours.set(hour, (hours.get(hour) ?? 0) + events);
    counted += events;
  }
  const keptFromMs = saved.watermarkMs === null ? null : floorTo(saved.watermarkMs - meta.rules.paneRetention.allMs, HOUR_MS);
  return { metric, acceptedBefore: acceptedBefore ?? 0, aged: aged ?? 0, counted, keptFromMs, hours };
}

/** Events in panes from an hour on. */
export function countedFrom(panes: PaneFigures, fromMs: number): number {
  let sum = 0;
  for (const [hour, events] of panes.hours) if (hour >= fromMs) sum += events;
  return sum;
}

function countOf(entries: Iterable<unknown>): number {
  let count = 0;
  for (const _entry of entries) count++;
  return count;
}
