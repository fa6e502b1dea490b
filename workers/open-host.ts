/** Opens what a host owns (journal, partitions, metric actors) and recovers it. */
import type { PartitionId } from "../protocol/ids.ts";
import { MetricPlans } from "../actors/metric-plan.ts";
import { Partition } from "../actors/partition.ts";
import type { Journal, Store } from "../storage/ports.ts";
import type { HostEnvironment } from "./environment.ts";
import { hostOfPartition, type HostOptions } from "./host-options.ts";
import { MetricHost, type MetricHostOptions } from "./metric-host.ts";
import { PartitionHost, type PartitionHostOptions } from "./partition-host.ts";
import { recover } from "./recover.ts";
import { Snapshots } from "./snapshots.ts";

export interface OpenHost {
  readonly partitions: ReadonlyMap<PartitionId, Partition>;
  readonly journal: Journal;
  readonly stores: ReadonlyMap<PartitionId, Store>;
  readonly partitionHost: PartitionHost;
  readonly metricHost: MetricHost;
  readonly snapshots: Snapshots;
  readonly replayedRecords: number;
  close(): Promise<void>;
}

type Deliveries = Pick<PartitionHostOptions, "stages" | "deliverOutcomes" | "deliverPartials" | "fail"> &
  Pick<MetricHostOptions, "deliverDeltas">;

export async function openHost(options: HostOptions, environment: HostEnvironment, deliveries: Deliveries): Promise<OpenHost> {
  const { host, hosts, partitionCount, rules } = options;
  const plans = new MetricPlans();
  const journal = environment.openJournal(options.journalPaths[host] ?? "");
  const metricStore = environment.openStore(options.metricsPath, { fresh: hosts > 1 });
  const mine = options.partitionPaths
    .filter(({ id }) => hostOfPartition(id, hosts) === host)
    .map(({ id, path }) => {
      const store = environment.openStore(path);
      return { store, partition: new Partition(id as PartitionId, host, rules, plans, store) };
    });
  const { replayedRecords, definitions } = await recover({
    host,
    partitionCount,
    rules,
    journal,
    partitions: mine,
    readOther: (other, from) => environment.readJournal(options.journalPaths[other] ?? "", from),
  });

  const partitions = new Map(mine.map(({ partition }) => [partition.id, partition]));
  const stores = new Map(mine.map(({ partition, store }) => [partition.id, store]));
  const { epoch } = options;
  const metricHost = new MetricHost({
    host,
    hosts,
    store: metricStore,
    plans,
    retention: rules.paneRetention,
    epoch,
    ...deliveries,
  });
  const deliverDefinitions = metricHost.define.bind(metricHost);
  const partitionHost = new PartitionHost({
    partitionCount,
    partitions,
    journal,
    deliverDefinitions,
    soon: environment.soon,
    ...deliveries,
  });
  for (const [tenant, metrics] of definitions) {
    partitionHost.knowDefinitions(tenant, metrics);
    metricHost.define(tenant, metrics);
  }
  for (const partition of partitions.values()) partition.recollect();
  const snapshots = new Snapshots(journal, mine, options.journalRetentionMs);
  const close = async (): Promise<void> => {
    await journal.close();
    await Promise.all([...stores.values(), metricStore].map((store) => store.close()));
  };
  return { partitions, journal, stores, partitionHost, metricHost, snapshots, replayedRecords, close };
}
