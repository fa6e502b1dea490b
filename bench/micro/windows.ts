/**
 * Partitions at work on columns: with no metric (ids, sessions, ledger), and what each of the default metrics adds to that.
 * Rounds begin with new partitions, so that every event is new to them.
 */
import type { EventColumns } from "../../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { defaultMetrics, type MetricDefinition } from "../../protocol/metric-definition.ts";
import { readFrame } from "../../workers/frame-reader.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { Partition } from "../../actors/partition.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { applyTurn, type FrameInTurn } from "../../workers/turn.ts";
import { distinctEvents } from "../workload.ts";
import {
  check,
  defaultRules,
  encodedFrames,
  PARTITIONS,
  TENANT,
  timed,
  wantedFields,
  type MicroInput,
  type MicroWork,
} from "./part.ts";

export function windowWorks(input: MicroInput): readonly MicroWork[] {
  const sets: readonly (readonly [name: string, metrics: readonly MetricDefinition[]])[] = [
    ["partition: no metrics", []],
    ...defaultMetrics.map((metric) => [`partition: ${metric.name}`, [metric]] as const),
    ["partition: default metrics", defaultMetrics],
  ];
  const frames = framesOf(input);
  return sets.map(([name, metrics]) => ({
    name,
    round() {
      const partitions = newPartitions(metrics);
      // Verdicts of the last round are in the columns.
      for (const { columns } of frames) (columns as EventColumns).verdicts.fill(ACCEPTED);
      const nsPerEvent = timed(input.frames * input.workload.batch, () => applyFrames(frames, partitions));
      const accepted = acceptedBy(partitions);
      const expected = distinctEvents(input.frames, input.workload);
      check(accepted === expected, `${name}: ${accepted} of ${expected} events were accepted`);
      return { nsPerEvent };
    },
  }));
}

export function newPartitions(metrics: readonly MetricDefinition[]): Map<PartitionId, Partition> {
  const plans = new MetricPlans();
  const partitions = new Map<PartitionId, Partition>();
  for (let id = 0; id < PARTITIONS; id++) {
    const partition = new Partition(id as PartitionId, 0, defaultRules, plans, new MemoryStore());
    partition.define(TENANT, metrics);
    partitions.set(partition.id, partition);
  }
  return partitions;
}

export function acceptedBy(partitions: ReadonlyMap<PartitionId, Partition>): number {
  let accepted = 0;
  for (const partition of partitions.values()) accepted += partition.tenants.get(TENANT)?.ledger.accepted ?? 0;
  return accepted;
}

/** In turns as large as a host's. */
export function applyFrames(frames: readonly FrameInTurn[], partitions: ReadonlyMap<PartitionId, Partition>): void {
  for (let first = 0; first < frames.length; first += limits.turnFramesFull) {
    applyTurn(frames.slice(first, first + limits.turnFramesFull), partitions, PARTITIONS);
  }
}

function framesOf(input: MicroInput): FrameInTurn[] {
  const { format, frames } = encodedFrames(input, "records");
  const common = { tenant: TENANT as TenantId, format, ingestTimeMs: input.workload.nowMs };
  return frames.map((bytes, index) => ({
    frame: { ...common, id: index, allResults: false, bytes },
    columns: readFrame({ ...common, bytes, partitionCount: PARTITIONS, wanted: wantedFields }),
    offset: (index + 1) as Offset,
  }));
}
