/** Frames of valid events, and a partition host over memory, for tests of workers. */
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { metricDefinition, type MetricDefinition } from "../../protocol/metric-definition.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { Partition, type CollectedPartials, type PartitionRules } from "../../actors/partition.ts";
import { MemoryJournal, type JournalImage } from "../../storage/memory/journal.ts";
import { MemoryStore, type StoreImage } from "../../storage/memory/store.ts";
import type { HandedFrame } from "../../workers/hand-off.ts";
import { hostOfPartition } from "../../workers/host-options.ts";
import type { HostOutcome } from "../../workers/messages.ts";
import { PartitionHost } from "../../workers/partition-host.ts";
import { recover } from "../../workers/recover.ts";
import { newStageTimes } from "../../workers/stage-times.ts";
import { BASE_MS, rules } from "../actors/event-fixture.ts";

export const TENANT = "acme" as TenantId;
export const eventsBySource: MetricDefinition = metricDefinition.parse({
  name: "by_source",
  aggregates: ["count"],
  dimensions: ["source"],
});

export interface EventInput {
  readonly id: string;
  readonly sessionId?: string;
  readonly timeMs?: number;
  readonly source?: string;
}

export function wireEvent({ id, sessionId = "s", timeMs = BASE_MS, source = "web" }: EventInput): Record<string, unknown> {
  return {
    eventId: id,
    sessionId,
    eventType: "click",
    eventCategory: "ui",
    timestamp: timeMs,
    properties: {},
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "" },
    source,
    version: "1",
    environment: "test",
  };
}

/** A JSON frame; what is not an event's input stands in it as it is. */
export function frame(id: number, events: readonly (EventInput | null)[], rest: Partial<HandedFrame> = {}): HandedFrame {
  const text = JSON.stringify(events.map((each) => (each === null ? null : wireEvent(each))));
  return {
    id,
    tenant: TENANT,
    format: FRAME_FORMATS.json,
    allResults: false,
    ingestTimeMs: BASE_MS + 60_000,
    bytes: new TextEncoder().encode(text),
    ...rest,
  };
}

export function garbage(id: number): HandedFrame {
  return frame(id, [], { bytes: new TextEncoder().encode("[{") });
}

export interface Disk {
  readonly journals: JournalImage[];
  readonly stores: StoreImage[];
}

export function newDisk(hosts: number, partitions: number): Disk {
  return {
    journals: Array.from({ length: hosts }, () => ({ first: 1, records: [] })),
    stores: Array.from({ length: partitions }, () => new Map()),
  };
}

/** One host on a disk of memory. `recovered` has run when `start` resolves. */
export class TestHost {
  readonly host: number;
  readonly journal: MemoryJournal;
  readonly members: { partition: Partition; store: MemoryStore }[];
  readonly partitions: Map<PartitionId, Partition>;
  readonly outcomes: HostOutcome[] = [];
  readonly partials: CollectedPartials[] = [];
  readonly definitions: string[] = [];
  readonly failures: unknown[] = [];
  /** Buffers given back. */
  readonly spent: ArrayBuffer[] = [];
  /** What left the host, in order. */
  readonly left: string[] = [];
  /** Time stands still, unless a test lets it pass: how many frames make a turn does not depend on the machine. */
  elapsedMs: () => number = () => 0;
  readonly partitionHost: PartitionHost;
  readonly #rules: PartitionRules;
  replayedRecords = 0;

  constructor(disk: Disk, options: { host?: number; hosts?: number; manual?: boolean; rules?: PartitionRules } = {}) {
    const { host = 0, hosts = 1, manual = false } = options;
    const plans = new MetricPlans();
    this.host = host;
    this.#rules = options.rules ?? rules;
    const image = disk.journals[host];
    this.journal = new MemoryJournal(image === undefined ? { manual } : { manual, image });
    this.members = disk.stores.flatMap((stored, id) => {
      if (hostOfPartition(id, hosts) !== host) return [];
      const store = new MemoryStore({ image: stored });
      return [{ store, partition: new Partition(id as PartitionId, host, this.#rules, plans, store) }];
    });
    this.partitions = new Map(this.members.map(({ partition }) => [partition.id, partition]));
    this.partitionHost = new PartitionHost({
      partitionCount: disk.stores.length,
      partitions: this.partitions,
      journal: this.journal,
      stages: newStageTimes(),
      elapsed: () => this.elapsedMs(),
      deliverOutcomes: (outcomes, spent) => {
        this.outcomes.push(...outcomes);
        this.spent.push(...spent);
        for (const { id } of outcomes) this.left.push(`outcome ${id}`);
      },
      deliverPartials: (partials) => {
        this.partials.push(...partials);
        this.left.push("partials");
      },
      deliverDefinitions: (_tenant, definitions) => {
        this.definitions.push(...definitions.map(({ name }) => name));
        this.left.push("definitions");
      },
      fail: (error) => this.failures.push(error),
    });
  }

  async recover(disk: Disk): Promise<void> {
    const { replayedRecords, definitions } = await recover({
      host: this.host,
      partitionCount: disk.stores.length,
      rules: this.#rules,
      journal: this.journal,
      partitions: this.members,
      readOther: (other, from) => new MemoryJournal({ image: disk.journals[other] ?? { first: 1, records: [] } }).read(from),
    });
    this.replayedRecords = replayedRecords;
    for (const [tenant, metrics] of definitions) this.partitionHost.knowDefinitions(tenant, metrics);
  }

  async snapshot(): Promise<void> {
    for (const { partition, store } of this.members) {
      const offset = this.journal.appendedOffset;
      partition.coverUpTo(offset);
      await store.commit(partition.snapshot());
      partition.committed(offset as Offset);
    }
  }

  /** What a killed process leaves. */
  crash(disk: Disk, undurableKept = 0): void {
    disk.journals[this.host] = this.journal.crash(undurableKept);
    for (const { partition, store } of this.members) disk.stores[partition.id] = store.crash();
  }

  counts(): { accepted: number; received: number } {
    const ledgers = this.members.map(({ partition }) => partition.tenants.get(TENANT)?.ledger);
    const sum = (key: "accepted" | "received"): number => ledgers.reduce((total, ledger) => total + (ledger?.[key] ?? 0), 0);
    return { accepted: sum("accepted"), received: sum("received") };
  }
}

/** Lets everything run that can run without an event from outside. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
