/**
 * One point of `scale --micro`: partitions behind a `PartitionHost` with a journal in memory, and metric actors behind them, in one
 * thread. Frames are made before they are timed. Says what the turns (read, decide, count, journal), the handing on of partials
 * (collect), stage 2 and the snapshot cost for each event. To profile: see README.md.
 */
import { once } from "node:events";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { Offset, PartitionId, TenantId } from "../../protocol/ids.ts";
import { defaultMetrics, metricDefinition } from "../../protocol/metric-definition.ts";
import type { StateReader } from "../../actors/effects.ts";
import { MetricActor } from "../../actors/metric.ts";
import { MetricPlans } from "../../actors/metric-plan.ts";
import { Partition, type CollectedPartials } from "../../actors/partition.ts";
import { MemoryJournal } from "../../storage/memory/journal.ts";
import type { HandedFrame } from "../../workers/hand-off.ts";
import { PartitionHost } from "../../workers/partition-host.ts";
import { newStageTimes } from "../../workers/stage-times.ts";
import { rules } from "../../test/actors/event-fixture.ts";
import type { Figures } from "../harness.ts";
import { shopMetric } from "../load/scale.ts";
import { profiles } from "../frame-profiles.ts";
import { StampedFrames } from "../stamped-frames.ts";
import type { ActorsCommand } from "./scale-actors.ts";

const TENANT = "bench" as TenantId;
const BATCH = 100;
/** Frames of one turn, as many as a busy host takes; and so many turns between two times of handing on partials. */
const TURN_FRAMES = 16;
const TURNS_PER_COLLECT = 25;

const emptyStore: StateReader = { get: () => undefined, range: () => [] };
const definitions = [...defaultMetrics, metricDefinition.parse(shopMetric)];

type Stage = "turn" | "collect" | "stage2" | "snapshot";

class Actors {
  readonly #plans = new MetricPlans();
  readonly #journal = new MemoryJournal();
  readonly #partitions: ReadonlyMap<PartitionId, Partition>;
  readonly #metrics: ReadonlyMap<string, MetricActor>;
  readonly #host: PartitionHost;
  readonly #frames: StampedFrames;
  readonly #nowMs = Date.now();
  #nextFrame = 0;
  #accepted = 0;
  #partials: CollectedPartials[] = [];
  spentUs: Record<Stage, number> = { turn: 0, collect: 0, stage2: 0, snapshot: 0 };

  constructor({ point: { partitions, sessions, series }, profile = "ordinary" }: ActorsCommand) {
    this.#partitions = new Map(
      Array.from({ length: partitions }, (_, id) => {
        return [id as PartitionId, new Partition(id as PartitionId, 0, rules, this.#plans, emptyStore)] as const;
      }),
    );
    this.#metrics = new Map(
      definitions.map((each) => [each.name, new MetricActor(TENANT, this.#plans.of(each), rules.paneRetention)] as const),
    );
    this.#host = new PartitionHost({
      partitionCount: partitions,
      partitions: this.#partitions,
      journal: this.#journal,
      stages: newStageTimes(),
      deliverOutcomes: (outcomes) => {
        for (const { totalEvents, failedEvents } of outcomes) this.#accepted += totalEvents - failedEvents;
      },
      deliverPartials: (partials) => void (this.#partials = [...this.#partials, ...partials]),
      deliverDefinitions: () => undefined,
      fail: (error) => {
        throw error;
      },
      // Turns are taken here.
      soon: () => undefined,
    });
    const parameters = { run: 0, batch: BATCH, sessions, series, nowMs: this.#nowMs };
    this.#frames = new StampedFrames(profiles[profile](parameters));
  }

  define(): Promise<void> {
    return this.#host.define(TENANT, definitions, this.#nowMs);
  }

  async take(frames: number): Promise<void> {
    for (let turn = 0, left = frames; left > 0; turn++) {
      const some = Math.min(TURN_FRAMES, left);
      left -= some;
      const handed = Array.from({ length: some }, () => this.#handed());
      await this.#timed("turn", () => {
        this.#host.accept(handed);
        return this.#host.finish();
      });
      if (turn % TURNS_PER_COLLECT === TURNS_PER_COLLECT - 1 || left === 0) await this.#collect();
    }
  }

  async snapshot(): Promise<void> {
    await this.#timed("snapshot", async () => {
      for (const partition of this.#partitions.values()) {
        partition.coverUpTo(this.#journal.appendedOffset);
        partition.snapshot();
        partition.committed(this.#journal.appendedOffset);
      }
    });
  }

  check(events: number): void {
    const [row] = this.#metrics.get("by_shop")?.query({ fromMs: 0, toMs: 1e14 }, Number.POSITIVE_INFINITY, [], []) ?? [];
    const counted = (row?.states[0] as { readonly events?: number } | undefined)?.events;
    if (this.#accepted !== events || counted !== events)
      throw new Error(`${this.#accepted} accepted and ${String(counted)} counted of ${events}`);
  }

  async #collect(): Promise<void> {
    await this.#timed("collect", () => this.#host.collect());
    const partials = this.#partials;
    this.#partials = [];
    await this.#timed("stage2", async () => {
      for (const { partition, watermarkMs, metrics } of partials) {
        for (const metric of this.#metrics.values()) metric.advance(watermarkMs);
        for (const { name, count, bytes } of metrics) this.#metrics.get(name)?.receive(partition, count, bytes);
      }
    });
    for (const metric of this.#metrics.values()) metric.takeStale(Number.POSITIVE_INFINITY);
    await this.#journal.trim((this.#journal.durableOffset + 1) as Offset);
  }

  #handed(): HandedFrame {
    const id = this.#nextFrame++;
    const bytes = this.#frames.frame(id);
    return { id, tenant: TENANT, format: FRAME_FORMATS.msgpack, allResults: false, ingestTimeMs: this.#nowMs, bytes };
  }

  async #timed(stage: Stage, work: () => Promise<void>): Promise<void> {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    this.spentUs[stage] += user + system;
  }
}

async function measure(command: ActorsCommand): Promise<Figures> {
  const { frames } = command;
  const actors = new Actors(command);
  await actors.define();
  await actors.take(frames.warmup);
  await actors.snapshot();
  actors.spentUs = { turn: 0, collect: 0, stage2: 0, snapshot: 0 };
  await actors.take(frames.measured);
  await actors.snapshot();
  actors.check((frames.warmup + frames.measured) * BATCH);
  const { turn, collect, stage2, snapshot } = actors.spentUs;
  const each = (us: number): number => us / (frames.measured * BATCH);
  return {
    cpuUsPerEvent: each(turn + collect + stage2),
    turnUsPerEvent: each(turn),
    collectUsPerEvent: each(collect),
    stage2UsPerEvent: each(stage2),
    snapshotUsPerEvent: each(snapshot),
    memoryMiB: process.memoryUsage().rss / 2 ** 20,
  };
}

const point = process.env["WEIR_BENCH_POINT"];
if (point === undefined) {
  const [command] = (await once(process, "message")) as [ActorsCommand];
  process.send?.(await measure(command));
  process.disconnect();
} else {
  console.log(await measure(JSON.parse(point) as ActorsCommand));
}
