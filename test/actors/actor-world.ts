/**
 * Both stages over one or more partitions, without journal, threads or timers: frames in, merged panes out. What the property
 * tests of promise 7 compare.
 */
import type { Offset, PartitionId } from "../../protocol/ids.ts";
import type { MetricDefinition } from "../../protocol/metric-definition.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import type { TimeSpan } from "../../protocol/windows.ts";
import { MetricActor } from "../../actors/metric.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { Partition, type PartitionRules } from "../../actors/partition.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { columnsOf, rules as defaultRules, TENANT, type TestEvent } from "./event-fixture.ts";

export const ALL_TIME: TimeSpan = { fromMs: 0, toMs: 1e14 };

export class ActorWorld {
  readonly plans = new MetricPlans();
  readonly partitions: Partition[];
  readonly metrics: Map<string, MetricActor>;
  readonly #definitions: readonly MetricDefinition[];
  #offset = 0;

  constructor(partitionCount: number, definitions: readonly MetricDefinition[], rules: PartitionRules = defaultRules) {
    this.#definitions = definitions;
    this.metrics = new Map(
      definitions.map((each) => [each.name, new MetricActor(TENANT, this.plans.of(each), rules.paneRetention)]),
    );
    this.partitions = Array.from(
      { length: partitionCount },
      (_, id) => new Partition(id as PartitionId, 0, rules, this.plans, new MemoryStore()),
    );
    for (const partition of this.partitions) partition.define(TENANT, definitions);
  }

  /** One frame; returns the verdicts. */
  publish(events: readonly TestEvent[], ingestTimeMs = 0): number[] {
    const columns = columnsOf(events, this.partitions.length);
    const offset = ++this.#offset as Offset;
    const frame = { tenant: TENANT, offset, ingestTimeMs, format: 1 };
    for (const partition of this.partitions) {
      const rows = Int32Array.from(columns.partitions.keys()).filter((row) => columns.partitions[row] === partition.id);
      if (rows.length === 0) continue;
      partition.applyRows(frame, columns, rows, 0, rows.length);
      partition.settle(TENANT, offset);
    }
    return [...columns.verdicts];
  }

  /** Hands partials on, as many times as said. */
  collect(times = 1): void {
    for (const partition of this.partitions) {
      for (const { watermarkMs, metrics } of partition.collect()) {
        for (const metric of this.metrics.values()) metric.advance(watermarkMs);
        for (const { name, count, bytes } of metrics) {
          for (let time = 0; time < times; time++) this.metrics.get(name)?.receive(partition.id, count, bytes);
        }
      }
    }
  }

  /** Stage 2 forgets everything and is told anew, as after a restart. */
  restartStage2(rules: PartitionRules = defaultRules): void {
    for (const each of this.#definitions)
      this.metrics.set(each.name, new MetricActor(TENANT, this.plans.of(each), rules.paneRetention));
    for (const partition of this.partitions) partition.recollect();
    this.collect();
  }

  /** Every bucket of every series: key -> the bytes of its states, as hexadecimal. */
  buckets(metric: string, bucketMs: number, span: TimeSpan = ALL_TIME): Record<string, string> {
    const actor = this.metrics.get(metric);
    if (actor === undefined) return {};
    const keep = actor.plan.definition.dimensions.map((_, index) => index);
    const rows = actor.query(span, bucketMs, keep, []).map(({ startMs, dimensions, states }) => {
      return [`${startMs} ${JSON.stringify(dimensions)}`, Buffer.from(actor.plan.encode(states)).toString("hex")] as const;
    });
    return Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** The same by going over all events once, in the order given. */
export function recount(
  definition: MetricDefinition,
  events: readonly TestEvent[],
  bucketMs: number,
  span: TimeSpan = ALL_TIME,
): Record<string, string> {
  const plan = new MetricPlans().of(definition);
  const columns = columnsOf(events);
  const bound = plan.bind(columns);
  const buckets = new Map<string, unknown[]>();
  events.forEach(({ timeMs }, row) => {
    if (columns.verdicts[row] !== ACCEPTED || timeMs < span.fromMs || timeMs >= span.toMs) return;
    if (bound.matches !== undefined && !bound.matches(row)) return;
    const startMs = Number.isFinite(bucketMs) ? Math.floor(timeMs / bucketMs) * bucketMs : span.fromMs;
    const key = `${startMs} ${JSON.stringify(bound.dimensions.map((column) => column.value(row) ?? null))}`;
    let states = buckets.get(key);
    if (states === undefined) buckets.set(key, (states = plan.emptyStates()));
    plan.add(states, bound.value?.value(row));
  });
  const rows = [...buckets].map(([key, states]) => [key, Buffer.from(plan.encode(states)).toString("hex")] as const);
  return Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
