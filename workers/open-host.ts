/** Opens what a host owns (journal, partitions, metric actors) and recovers it. */
import type { PartitionId } from "../protocol/ids.ts";
import { MetricPlans } from "../actors/metric-plan.ts";
import { Partition } from "../actors/partition.ts";
import type { Journal, Store } from "../storage/ports.ts";
import type { HostEnvironment } from "./environment.ts";
import { hostOfPartition, type HostOptions } from "./host-options.ts";
import { MetricHost, type MetricHostOptions } from "./metric-host.ts";
import { PartitionHost, type PartitionHostOptions } from "./partition-host.ts";
import { PoisonFrames } from "./poison.ts";
import { newRecoveryTimes, type RecoveryTimes } from "./recovery-times.ts";
import { recover } from "./recover.ts";
import type { ReplayProgress } from "./replay.ts";
import { addSkipped, readSkipped } from "../storage/skipped-records.ts";
import { Snapshots } from "./snapshots.ts";

export interface OpenHost {
  readonly partitions: ReadonlyMap<PartitionId, Partition>;
  readonly journal: Journal;
  readonly stores: ReadonlyMap<PartitionId, Store>;
  readonly partitionHost: PartitionHost;
  readonly metricHost: MetricHost;
  readonly snapshots: Snapshots;
  readonly replayedRecords: number;
  readonly recovery: RecoveryTimes;
  /** The store that all hosts share has failed. */
  readonly sharedFailed: boolean;
  close(): Promise<void>;
  /** After a failure: closes everything as it is on disk. Nothing that waits for a commit leaves. */
  abandon(): Promise<void>;
}

export type Deliveries = Pick<PartitionHostOptions, "stages" | "deliverOutcomes" | "deliverPartials" | "fail" | "applying"> &
  Pick<MetricHostOptions, "deliverDeltas"> & { readonly progress: ReplayProgress };

/** When it rejects, everything that it had opened is closed again. */
export async function openHost(options: HostOptions, environment: HostEnvironment, deliveries: Deliveries): Promise<OpenHost> {
  const opened: { close(): Promise<void> }[] = [];
  const keep = <Opened extends { close(): Promise<void> }>(each: Opened): Opened => {
    opened.push(each);
    return each;
  };
  try {
    const openJournal = (path: string): Journal => keep(environment.openJournal(path));
    const openStore = (path: string, how?: { fresh?: boolean }): Store => keep(environment.openStore(path, how));
    return await recoverHost(options, { ...environment, openJournal, openStore }, deliveries);
  } catch (error) {
    await Promise.all(opened.map((each) => each.close()));
    throw error;
  }
}

async function recoverHost(options: HostOptions, environment: HostEnvironment, deliveries: Deliveries): Promise<OpenHost> {
  const { host, hosts, partitionCount, rules, again } = options;
  const pathOf = (journalHost: number): string => options.journalPaths[journalHost] ?? "";
  const plans = new MetricPlans();
  const recovery = newRecoveryTimes();
  const startedMs = environment.elapsed();
  const journal = environment.openJournal(pathOf(host));
  const metricStore = environment.openStore(options.metricsPath, { fresh: hosts > 1 });
  const mine = options.partitionPaths
    .filter(({ id }) => hostOfPartition(id, hosts) === host)
    .map(({ id, path }) => {
      const store = environment.openStore(path);
      return { store, partition: new Partition(id as PartitionId, host, rules, plans, store) };
    });
  for (const { host: journalHost, offset } of again?.skip ?? []) addSkipped(pathOf(journalHost), offset);
  recovery.openMs = environment.elapsed() - startedMs;
  const { replayedRecords, definitions } = await recover({
    host,
    partitionCount,
    rules,
    journal,
    partitions: mine,
    readOther: (other, from) => environment.readJournal(pathOf(other), from),
    skippedOf: (journalHost) => readSkipped(pathOf(journalHost)),
    progress: deliveries.progress,
    times: recovery,
    elapsed: () => environment.elapsed(),
    careful: again !== undefined,
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
    pause: () => new Promise((resolve) => environment.soon(resolve)),
    ...deliveries,
  });
  const deliverDefinitions = metricHost.define.bind(metricHost);
  const poison = again === undefined ? undefined : { frames: new PoisonFrames(again.poison), keptBy: host as PartitionId };
  const partitionHost = new PartitionHost({
    partitionCount,
    partitions,
    journal,
    deliverDefinitions,
    soon: environment.soon,
    elapsed: () => environment.elapsed(),
    ...deliveries,
    ...(poison === undefined ? {} : { poison }),
  });
  for (const [tenant, metrics] of definitions) {
    partitionHost.knowDefinitions(tenant, metrics);
    metricHost.define(tenant, metrics);
  }
  for (const partition of partitions.values()) partition.recollect();
  const snapshots = new Snapshots(journal, mine, options.journalRetentionMs);
  const closeStores = (): Promise<unknown> => Promise.all([...stores.values(), metricStore].map((store) => store.close()));
  return {
    partitions,
    journal,
    stores,
    partitionHost,
    metricHost,
    snapshots,
    replayedRecords,
    recovery,
    get sharedFailed() {
      return metricStore.hasFailed ?? false;
    },
    async close() {
      metricHost.stop();
      await journal.close();
      await closeStores();
    },
    async abandon() {
      partitionHost.abandon();
      metricHost.stop();
      await (journal.abandon?.() ?? journal.close());
      await closeStores();
    },
  };
}
