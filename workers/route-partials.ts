/** Which host's metric actors a partial is for: the metric's hash decides; every host learns every tenant's clock. */
import { partitionOf } from "../protocol/partition-hash.ts";
import type { CollectedPartials } from "../actors/partition.ts";

export function hostOfMetric(tenant: string, metric: string, hosts: number): number {
  return hosts === 1 ? 0 : partitionOf(tenant, metric, hosts);
}

/** The part of the partials that goes to one host; clocks go to all. */
export function shareOf(partials: readonly CollectedPartials[], target: number, hosts: number): readonly CollectedPartials[] {
  if (hosts === 1) return partials;
  return partials.map((collected) => ({
    ...collected,
    metrics: collected.metrics.filter(({ name }) => hostOfMetric(collected.tenant, name, hosts) === target),
  }));
}
