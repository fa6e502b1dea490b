/**
 * The metric actors (stage 2) of one host: takes partials, answers live queries, keeps channels, and writes changed pane rows
 * to the metric store, from where the warehouse writer fetches them. Rows are re-made from partials after a restart, and one
 * that equals what is stored is not written again; so the store may lag behind a crash without harm.
 */
import { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import { WeirError } from "../protocol/error-codes.ts";
import { encodeFrame } from "../protocol/frames.ts";
import { limits } from "../protocol/limits.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import { ChangeFeed } from "../actors/change-feed.ts";
import type { StateWrite } from "../actors/effects.ts";
import { MetricActor, type StaleRow } from "../actors/metric.ts";
import type { MetricPlans } from "../actors/metric-plan.ts";
import type { PaneRetention } from "../actors/pane.ts";
import type { CollectedPartials } from "../actors/partition.ts";
import type { Store } from "../storage/ports.ts";
import { topicOf, type ChannelAddress, type ChannelOpening, type LiveAnswer, type LiveQuery, type TenantClock } from "./ports.ts";
import { hostOfMetric } from "./route-partials.ts";

const ROWS_PER_COMMIT_MAX = 20_000;
/** Rows made in one go: a frame that comes meanwhile waits so long for its turn. */
const ROWS_AT_ONCE = 128;

export interface MetricHostOptions {
  readonly host: number;
  readonly hosts: number;
  readonly store: Store;
  readonly plans: MetricPlans;
  readonly retention: PaneRetention;
  /** Of this start of the server: a subscriber that sees another one takes a new snapshot. */
  readonly epoch: string;
  readonly deliverDeltas: (deltas: readonly { topic: string; frame: Uint8Array }[]) => void;
  /** Lets others have their turn. */
  readonly pause?: () => Promise<void>;
}

export class MetricHost {
  readonly #options: MetricHostOptions;
  readonly #actors = new Map<string, Map<string, MetricActor>>();
  readonly #clocks = new Map<string, TenantClock>();
  readonly #feed: ChangeFeed;
  /** Past every seq of channels that are gone: one that is opened again must not be resumed from before. */
  #channelSeq = 0;
  #going = false;
  #writing: Promise<void> | undefined;
  #stopped = false;
  /** What is written of one row: its states; the definition and they, all that a reader of the row is told. */
  readonly #states = new ByteWriter();
  readonly #content = new ByteWriter();
  /** Metrics whose oldest rows are past retention, and those that are gone and whose rows have to go too. */
  readonly #dropping = new Set<MetricActor>();
  #gone: { tenant: string; metric: string }[] = [];
  /** Entries of this host's change feed up to here are in the warehouse; Infinity when there is none to wait for. */
  storedRows = 0;

  constructor(options: MetricHostOptions) {
    this.#options = options;
    this.#feed = new ChangeFeed(changesTable(options.host), readFeedEnd(options.store, options.host));
  }

  /** All partials of before the start have come: rows may be written from here on. */
  go(): void {
    this.#going = true;
  }

  define(tenant: string, definitions: readonly MetricDefinition[]): void {
    const before = this.#actors.get(tenant);
    const actors = new Map<string, MetricActor>();
    for (const definition of definitions) {
      const plan = this.#options.plans.of(definition);
      const old = before?.get(definition.name);
      actors.set(definition.name, old?.plan === plan ? old : new MetricActor(tenant, plan, this.#options.retention));
    }
    for (const [name, old] of before ?? []) {
      if (actors.get(name) === old) continue;
      if (hostOfMetric(tenant, name, this.#options.hosts) === this.#options.host) this.#gone.push({ tenant, metric: name });
      this.#dropping.delete(old);
      for (const { seq } of old.channels.values()) this.#channelSeq = Math.max(this.#channelSeq, seq + 1);
    }
    this.#actors.set(tenant, actors);
    const clock = this.#clocks.get(tenant);
    if (clock !== undefined) for (const actor of actors.values()) actor.advance(clock.watermarkMs);
  }

  /** Names of the metrics that have no actor, or one of another definition. */
  missing(tenant: string, definitions: readonly MetricDefinition[]): string[] {
    const actors = this.#actors.get(tenant);
    return definitions.filter((each) => actors?.get(each.name)?.plan !== this.#options.plans.of(each)).map(({ name }) => name);
  }

  receive(partials: readonly CollectedPartials[]): void {
    for (const { tenant, partition, watermarkMs, watermarkIngestMs, metrics } of partials) {
      const actors = this.#actors.get(tenant);
      if (watermarkMs > this.clock(tenant).watermarkMs) {
        this.#clocks.set(tenant, { watermarkMs, watermarkIngestMs });
        for (const actor of actors?.values() ?? []) if (actor.advance(watermarkMs)) this.#dropping.add(actor);
      }
      for (const { name, definition, count, bytes } of metrics) {
        const actor = actors?.get(name);
        // While hosts change a definition one after the other, partials by another one come: an actor that is new is told all anew.
        if (actor?.plan.text === definition) actor.receive(partition, count, bytes);
      }
    }
  }

  clock(tenant: string): TenantClock {
    return this.#clocks.get(tenant) ?? { watermarkMs: -Infinity, watermarkIngestMs: -Infinity };
  }

  query(tenant: string, query: LiveQuery): LiveAnswer {
    const actor = this.#actor(tenant, query.metric);
    const spanMs = query.span.toMs - query.span.fromMs;
    const rows = actor.query(query.span, query.bucketMs, query.keep, query.filters);
    if (rows.length > limits.queryPanesMax) throw new WeirError("WEIR_QUERY_TOO_LARGE");
    return {
      rows: rows.map(({ startMs, dimensions, states }) => ({
        startMs,
        dimensions,
        outputs: actor.plan.finish(states, Math.min(query.bucketMs, spanMs)),
        states: actor.plan.encode(states),
      })),
      clock: this.clock(tenant),
      completeFromMs: actor.keepFromMs,
    };
  }

  open(address: ChannelAddress, since: { epoch: string; seq: number } | undefined, nowMs: number): ChannelOpening {
    const actor = this.#actors.get(address.tenant)?.get(address.metric);
    if (actor === undefined) return { kind: "refused", code: "WEIR_METRIC_UNKNOWN" };
    if (this.#channelCount(address.tenant) >= limits.channelsPerTenantMax)
      return { kind: "refused", code: "WEIR_SUBSCRIPTION_LIMIT" };
    const channel = actor.channel(address.window, address.everyMs, this.#tenantNow(address.tenant, nowMs), this.#channelSeq);
    channel.subscribers++;
    const { epoch } = this.#options;
    const deltas = since?.epoch === epoch ? channel.since(since.seq) : undefined;
    if (deltas !== undefined) return { kind: "resumed", epoch, seq: channel.seq, deltas };
    return { kind: "snapshot", epoch, seq: channel.seq, window: channel.span, rows: channel.rows };
  }

  close(address: ChannelAddress): void {
    const actor = this.#actors.get(address.tenant)?.get(address.metric);
    const channel = actor?.channels.get(`${address.window}/${address.everyMs}`);
    if (actor === undefined || channel === undefined) return;
    channel.subscribers--;
    if (channel.subscribers > 0) return;
    this.#channelSeq = Math.max(this.#channelSeq, channel.seq + 1);
    actor.closeChannel(address.window, address.everyMs);
  }

  #channelCount(tenant: string): number {
    let count = 0;
    for (const actor of this.#actors.get(tenant)?.values() ?? []) count += actor.channels.size;
    return count;
  }

  /** Sends what changed to the channels that are due. */
  refreshChannels(nowMs: number): void {
    const deltas: { topic: string; frame: Uint8Array }[] = [];
    for (const [tenant, actors] of this.#actors) {
      const tenantNow = this.#tenantNow(tenant, nowMs);
      for (const [metric, actor] of actors) {
        for (const channel of actor.channels.values()) {
          if (nowMs < channel.refreshDueMs) continue;
          const delta = channel.refresh(tenantNow);
          if (delta === undefined) continue;
          channel.refreshDueMs = nowMs + channel.everyMs;
          const { seq, window, cause, rows } = delta;
          const frame = encodeFrame({
            t: "delta",
            channel: `${metric}@${channel.window}`,
            every: channel.everyMs,
            epoch: this.#options.epoch,
            seq,
            window: { from: window.fromMs, to: window.toMs },
            cause,
            values: rows,
          });
          channel.remember(seq, frame);
          deltas.push({
            topic: topicOf({ tenant, metric, window: channel.window, everyMs: channel.everyMs } as ChannelAddress),
            frame,
          });
        }
      }
    }
    if (deltas.length > 0) this.#options.deliverDeltas(deltas);
  }

  /** Writes the rows of panes that changed; one commit at a time, and one that is under way is as good. */
  writeRows(): Promise<void> {
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  /** Writes all rows of panes that changed before the call. */
  async finishRows(): Promise<void> {
    await this.#writing;
    await this.writeRows();
  }

  /** Its store is about to close. */
  stop(): void {
    this.#stopped = true;
  }

  async #write(): Promise<void> {
    if (!this.#going || this.#stopped) return;
    // In a commit of their own: a metric that was made anew must find its rows gone.
    await this.#commit(this.#gone.splice(0).flatMap(({ tenant, metric }) => this.#rowsGone(tenant, metric)));
    const writes: StateWrite[] = [];
    for (const actor of this.#dropping) this.#dropRows(actor, writes);
    const stale = [...this.#actors].flatMap(([tenant, actors]) =>
      [...actors.values()].flatMap((actor) => actor.takeStale(ROWS_PER_COMMIT_MAX).map((row) => ({ tenant, actor, row }))),
    );
    for (let from = 0; from < stale.length && !this.#stopped; from += ROWS_AT_ONCE) {
      for (const { tenant, actor, row } of stale.slice(from, from + ROWS_AT_ONCE)) this.#writeRow(tenant, actor, row, writes);
      await this.#options.pause?.();
    }
    if (!this.#stopped) await this.#commit(writes);
  }

  async #commit(writes: StateWrite[]): Promise<void> {
    if (writes.length === 0) return;
    const { host, store } = this.#options;
    writes.push({ table: FEED_ENDS, key: [host], value: new TextEncoder().encode(String(this.#feed.last)) });
    await store.commit(writes);
  }

  figures(): { series: number; panes: number; channels: number } {
    const figures = { series: 0, panes: 0, channels: 0 };
    for (const actors of this.#actors.values()) {
      for (const actor of actors.values()) {
        figures.series += actor.seriesCount;
        figures.panes += actor.paneCount;
        figures.channels += actor.channels.size;
      }
    }
    return figures;
  }

  /** Estimated bytes of a tenant's metric actors. O(metrics). */
  sizeBytes(tenant: string): number {
    let bytes = 0;
    for (const actor of this.#actors.get(tenant)?.values() ?? []) bytes += actor.sizeBytes;
    return bytes;
  }

  get tenants(): Iterable<string> {
    return this.#actors.keys();
  }

  #writeRow(tenant: string, actor: MetricActor, row: StaleRow, writes: StateWrite[]): void {
    const { host, store } = this.#options;
    const states = this.#states;
    states.clear();
    if (!actor.writeRow(row, states)) return;
    const content = this.#content;
    content.clear();
    content.block(actor.plan.textBytes);
    content.block(states.since(0));
    const key = [tenant, actor.plan.definition.name, row.startMs, row.sizeMs, row.seriesId];
    const stored = store.get(PANE_ROWS, key);
    if (stored !== undefined) {
      const place = new ByteReader(stored);
      const oldHost = place.varint();
      const oldSeq = place.varint();
      if (equalBytes(stored.subarray(place.position), content.since(0))) return;
      (oldHost === host ? this.#feed : new ChangeFeed(changesTable(oldHost), 0)).remove(oldSeq, writes);
    }
    const seq = this.#feed.move(0, key, writes);
    const value = new ByteWriter(content.length + 16);
    value.varint(host);
    value.varint(seq);
    value.raw(content.since(0));
    writes.push({ table: PANE_ROWS, key, value: value.take() });
  }

  /** Rows past retention go once the warehouse has them. */
  #dropRows(actor: MetricActor, writes: StateWrite[]): void {
    const metric = [actor.tenant, actor.plan.definition.name];
    let waiting = false;
    for (const { key, value } of this.#options.store.range(PANE_ROWS, metric, [...metric, actor.keepFromMs])) {
      const row = decodePaneRow(value);
      if (row.seq > this.storedRows) {
        waiting = true;
        continue;
      }
      new ChangeFeed(changesTable(row.host), 0).remove(row.seq, writes);
      writes.push({ table: PANE_ROWS, key, value: undefined });
    }
    if (!waiting) this.#dropping.delete(actor);
  }

  #rowsGone(tenant: string, metric: string): StateWrite[] {
    const writes: StateWrite[] = [];
    for (const { key, value } of this.#options.store.range(PANE_ROWS, [tenant, metric], [tenant, `${metric}\0`])) {
      const { host, seq } = decodePaneRow(value);
      new ChangeFeed(changesTable(host), 0).remove(seq, writes);
      writes.push({ table: PANE_ROWS, key, value: undefined });
    }
    return writes;
  }

  #actor(tenant: string, metric: string): MetricActor {
    const actor = this.#actors.get(tenant)?.get(metric);
    if (actor === undefined) throw new WeirError("WEIR_METRIC_UNKNOWN", metric);
    return actor;
  }

  /** The tenant's event clock: its watermark, moving on with the wall clock since that event was received. */
  #tenantNow(tenant: string, nowMs: number): number {
    return eventClock(this.clock(tenant), nowMs);
  }
}

export function eventClock(clock: TenantClock, nowMs: number): number {
  if (!Number.isFinite(clock.watermarkMs)) return nowMs;
  return clock.watermarkMs + Math.max(0, nowMs - clock.watermarkIngestMs);
}

/** Tables of the metric store: rows by pane, and each host's feed of what changed. */
export const PANE_ROWS = "pane-rows";

export function changesTable(host: number): string {
  return `pane-changes-${host}`;
}

/** The last number that each host's feed has given out. Its last entry may be gone, and the number must not be given again. */
const FEED_ENDS = "pane-feed-ends";

function readFeedEnd(store: Store, host: number): number {
  const bytes = store.get(FEED_ENDS, [host]);
  return bytes === undefined ? 0 : Number(new TextDecoder().decode(bytes));
}

/** One stored pane row: [tenant, metric, startMs, sizeMs, series] -> this. */
export interface PaneRow {
  /** Whose change feed it stands in, and where. */
  readonly host: number;
  readonly seq: number;
  /** The metric's definition as JSON text: it says how `states` is to be read. */
  readonly definition: string;
  readonly states: Uint8Array;
}

export function decodePaneRow(bytes: Uint8Array): PaneRow {
  const reader = new ByteReader(bytes);
  return { host: reader.varint(), seq: reader.varint(), definition: reader.text(), states: reader.block() };
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
