/**
 * What the state of each tenant takes on one host, in bytes, by what it is: what the gateway holds against the tenant's budget
 * (`server/state-budget.ts`). O(tenants * partitions * metrics), however many ids, sessions and panes there are.
 */
import type { Partition } from "../actors/partition.ts";
import type { MetricHost } from "./metric-host.ts";

export const stateKinds = ["ids", "sessions", "panes", "metrics", "letters"] as const;
export type StateKind = (typeof stateKinds)[number];

/**
 * `ids`: remembered event ids; `sessions`: sessions in memory; `panes`: panes and series of stage 1; `metrics`: those of stage 2;
 * `letters`: dead letters that wait for a snapshot.
 */
export type StateBytes = { readonly [Kind in StateKind]: number };

export interface TenantState {
  readonly tenant: string;
  readonly bytes: StateBytes;
}

export function noStateBytes(): Record<StateKind, number> {
  return { ids: 0, sessions: 0, panes: 0, metrics: 0, letters: 0 };
}

export function sumOf(bytes: StateBytes): number {
  let sum = 0;
  for (const kind of stateKinds) sum += bytes[kind];
  return sum;
}

export function tenantStatesOf(partitions: Iterable<Partition>, metricHost: MetricHost): TenantState[] {
  const byTenant = new Map<string, Record<StateKind, number>>();
  const of = (tenant: string): Record<StateKind, number> => {
    let bytes = byTenant.get(tenant);
    if (bytes === undefined) byTenant.set(tenant, (bytes = noStateBytes()));
    return bytes;
  };
  for (const partition of partitions) {
    for (const [tenant, state] of partition.tenants) {
      const bytes = of(tenant);
      bytes.ids += state.dedup.countedBytes;
      bytes.sessions += state.sessions.countedBytes;
      bytes.letters += state.pendingLetterBytes;
      bytes.panes += state.countedPaneBytes;
    }
  }
  for (const tenant of metricHost.tenants) of(tenant).metrics += metricHost.sizeBytes(tenant);
  return [...byTenant].map(([tenant, bytes]) => ({ tenant, bytes }));
}
