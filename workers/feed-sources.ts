/** Session rows and pane rows: the things that a change feed names, as they are in the store when they are read. */
import type { TenantId } from "../protocol/ids.ts";
import { ByteReader } from "../protocol/bytes.ts";
import type { DimensionValue, MetricDefinition } from "../protocol/metric-definition.ts";
import { murmur3 } from "../protocol/partition-hash.ts";
import { changedKey } from "../actors/change-feed.ts";
import { MetricPlan } from "../actors/metric-plan.ts";
import { readPartitionMeta, SESSION_CHANGES } from "../actors/partition.ts";
import { Session } from "../actors/session.ts";
import type { Store, StoreEntry, WarehouseRow, WarehouseTable } from "../storage/ports.ts";
import { paneRow, sessionRow } from "../storage/questdb/rows.ts";
import { changesTable, decodePaneRow, PANE_ROWS } from "./metric-host.ts";
import type { RowBatch, RowSource } from "./warehouse-writer.ts";

/** Reads a feed from a position on; what the entries name is turned into rows by the subclass. */
abstract class FeedSource implements RowSource {
  readonly replaces = true;
  readonly name: string;
  protected readonly store: Store;
  readonly #feed: string;
  readonly #table: WarehouseTable;

  constructor(name: string, store: Store, feed: string, table: WarehouseTable) {
    this.name = name;
    this.store = store;
    this.#feed = feed;
    this.#table = table;
  }

  backlog(position: number): number {
    const [last] = this.store.range(this.#feed, [position + 1], undefined, { reverse: true, limit: 1 });
    return last === undefined ? 0 : Number(last.key[0]) - position;
  }

  read(position: number, rowsMax: number): RowBatch {
    const rows: WarehouseRow[] = [];
    let reached = position;
    for (const entry of this.store.range(this.#feed, [position + 1])) {
      if (rows.length >= rowsMax) break;
      const value = this.lookUp(this.store, changedKey(entry.value));
      if (value !== undefined) rows.push(...this.rowsOf(value));
      reached = Number(entry.key[0]);
    }
    return { position: reached, tables: new Map([[this.#table, rows]]), rows: rows.length };
  }

  protected abstract lookUp(store: Store, key: (string | number)[]): StoreEntry | undefined;
  protected abstract rowsOf(entry: StoreEntry): WarehouseRow[];
}

export function sessionSourceName(partition: number): string {
  return `sessions-${partition}`;
}

export class SessionSource extends FeedSource {
  readonly #gapMs: number;
  readonly #now: () => number;
  /** Of each tenant, as of the snapshot that is read from: they decide whether a session is closed. */
  #watermarks: ReadonlyMap<string, number> = new Map();

  constructor(partition: number, store: Store, gapMs: number, now: () => number) {
    super(sessionSourceName(partition), store, SESSION_CHANGES, "sessions");
    this.#gapMs = gapMs;
    this.#now = now;
  }

  override read(position: number, rowsMax: number): RowBatch {
    const tenants = readPartitionMeta(this.store)?.tenants ?? [];
    this.#watermarks = new Map(tenants.map(({ tenant, watermarkMs }) => [tenant, watermarkMs ?? -Infinity]));
    return super.read(position, rowsMax);
  }

  protected override lookUp(store: Store, key: (string | number)[]): StoreEntry | undefined {
    const value = store.get("sessions", key);
    return value === undefined ? undefined : { key, value };
  }

  protected override rowsOf({ key, value }: StoreEntry): WarehouseRow[] {
    const tenant = String(key[0]) as TenantId;
    const session = Session.decode(value);
    const open = session.isOpen(this.#watermarks.get(tenant) ?? -Infinity, this.#gapMs);
    const last = session.segments.at(-1);
    const common = {
      tenant,
      sessionId: session.id,
      userId: session.userId ?? null,
      updatedMs: this.#now(),
    };
    const eventTypes = Object.fromEntries(session.eventTypes);
    const rows = session.segments.map((segment) =>
      sessionRow({ ...common, ...segment, eventTypes, state: open && segment === last ? "open" : "closed" }),
    );
    const starts = new Set(session.segments.map(({ startMs }) => startMs));
    for (const startMs of session.superseded) {
      // A start that was given up and taken again is that of a segment: no row may void it.
      if (starts.has(startMs)) continue;
      rows.push(sessionRow({ ...common, startMs, endMs: startMs, events: 0, eventTypes: {}, state: "superseded" }));
    }
    return rows;
  }
}

export function paneSourceName(host: number): string {
  return `panes-${host}`;
}

export class PaneSource extends FeedSource {
  readonly #plans = new Map<string, MetricPlan>();
  readonly #now: () => number;

  constructor(host: number, store: Store, now: () => number) {
    super(paneSourceName(host), store, changesTable(host), "metric_panes");
    this.#now = now;
  }

  protected override lookUp(store: Store, key: (string | number)[]): StoreEntry | undefined {
    const value = store.get(PANE_ROWS, key);
    return value === undefined ? undefined : { key, value };
  }

  protected override rowsOf({ key, value }: StoreEntry): WarehouseRow[] {
    const [tenant, metric, startMs, paneMs, series] = key as [TenantId, string, number, number, string];
    const row = decodePaneRow(value);
    const plan = this.#planOf(row.definition);
    const states = plan.read(new ByteReader(row.states));
    const outputs: Record<string, ReturnType<MetricPlan["finish"]>[number][number]> = {};
    plan.finish(states, paneMs).forEach((values, index) => {
      plan.aggregates[index]?.outputs.forEach((output, at) => (outputs[output] = values[at] ?? null));
    });
    const dimensions = JSON.parse(series) as DimensionValue[];
    return [
      paneRow({
        tenant,
        metric,
        paneMs,
        startMs,
        dimensions,
        outputs,
        sketch: row.states,
        definitionVersion: definitionVersion(row.definition),
        updatedMs: this.#now(),
      }),
    ];
  }

  #planOf(definition: string): MetricPlan {
    let plan = this.#plans.get(definition);
    if (plan === undefined) this.#plans.set(definition, (plan = new MetricPlan(JSON.parse(definition) as MetricDefinition)));
    return plan;
  }
}

/** Tells rows of one definition of a metric from those of another: a hash of its JSON text, below 2^31. */
export function definitionVersion(definition: string): number {
  const bytes = new TextEncoder().encode(definition);
  return murmur3(bytes, bytes.length) >>> 1;
}
