/**
 * The gateway's figures in the Prometheus format. Counters are counted where things happen; what belongs to hosts,
 * their ledgers and the warehouse is asked for at scrape time through `observe`. Names are `weir_*` with base units.
 * No label grows with the input: codes come from the table, routes from the list of routes.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { HostStatus, HostSupervision } from "../workers/ports.ts";
import type { TableHealth } from "../storage/questdb/reads.ts";
import { stateKinds, type StateKind } from "../workers/tenant-state.ts";
import type { WarehouseState } from "./services.ts";
import type { StateFigures } from "./state-budget.ts";
import { TalliedHistogram } from "./tallied-histogram.ts";

/** What others know at the moment of a scrape. */
export interface Observation {
  readonly hosts: readonly HostStatus[];
  readonly supervision?: readonly HostSupervision[];
  readonly diskFreeBytes?: number | undefined;
  readonly state?: StateFigures;
  readonly warehouse: WarehouseObservation;
}

export interface WarehouseObservation {
  readonly state: WarehouseState;
  readonly rowsWritten: number;
  /** Rows that the warehouse will never take. */
  readonly rowsRefused: number;
  readonly requestsFailed: number;
  readonly tables?: readonly TableHealth[];
  /** How often a suspended table was resumed, and a managed QuestDB started again. */
  readonly resumes?: number;
  readonly restarts?: number;
  /** Accepted events without a raw row when last everything was quiet; undefined: not known. */
  readonly missingEvents?: number | undefined;
  readonly hosts: readonly WarehouseHostObservation[];
}

/** Up to which journal offset a host's records are in the warehouse, and how far that is behind. */
export interface WarehouseHostObservation {
  readonly host: number;
  readonly offset: number;
  readonly lagRecords: number;
}

export type Observe = () => Observation | Promise<Observation>;

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The figures of one host: name, help, and where the value stands. */
const hostFigures = [
  ["weir_host_partitions", "Partitions that the host owns", (each: HostStatus) => each.partitions],
  ["weir_journal_appended_offset", "Offset of the last record appended", (each: HostStatus) => each.appendedOffset],
  ["weir_journal_durable_offset", "Offset up to which records are on disk", (each: HostStatus) => each.durableOffset],
  ["weir_snapshot_offset", "Offset that the snapshots cover", (each: HostStatus) => each.snapshotOffset],
  ["weir_mailbox_frames", "Frames that wait for their turn", (each: HostStatus) => each.mailboxFrames],
  ["weir_mailbox_bytes", "Bytes that wait for their turn", (each: HostStatus) => each.mailboxBytes],
  ["weir_sessions_resident", "Sessions in memory", (each: HostStatus) => each.sessionsResident],
  ["weir_series_panes", "Panes of series in memory", (each: HostStatus) => each.seriesPanes],
  ["weir_host_heap_bytes", "Used bytes of the thread's heap", (each: HostStatus) => each.heapBytes],
  [
    "weir_host_heap_committed_bytes",
    "Bytes that V8 has taken for the thread's heap",
    (each: HostStatus) => each.heapCommittedBytes,
  ],
  ["weir_host_external_bytes", "Bytes that the heap's objects hold outside of it", (each: HostStatus) => each.externalBytes],
  ["weir_remembered_ids", "Event ids in the deduplication horizon", (each: HostStatus) => each.rememberedIds],
  ["weir_channels", "Open channels", (each: HostStatus) => each.channels],
  ["weir_journal_bytes", "Bytes of the journal on disk", (each: HostStatus) => each.journalBytes],
  ["weir_snapshot_duration_seconds", "How long the last snapshots took", (each: HostStatus) => each.snapshotMs / 1_000],
  [
    "weir_watermark_lag_seconds",
    "How far the newest event is behind the clock",
    (each: HostStatus) => (each.watermarkMs === null ? 0 : Math.max(0, Date.now() - each.watermarkMs) / 1_000),
  ],
  [
    "weir_snapshot_lag_records",
    "Records that the snapshots do not cover",
    (each: HostStatus) => each.durableOffset - each.snapshotOffset,
  ],
  ["weir_overflowed_events", "Events that went to an `__other__` series", (each: HostStatus) => each.overflowedEvents],
] as const;

/** Counts per key, for what happens with every frame: a labelled counter of the library costs ten times as much. */
class Tally {
  readonly #counts = new Map<string, { count: number }>();

  add(key: string, count: number): void {
    const counted = this.#counts.get(key);
    if (counted === undefined) this.#counts.set(key, { count });
    else counted.count += count;
  }

  each(visit: (key: string, count: number) => void): void {
    for (const [key, { count }] of this.#counts) visit(key, count);
  }
}

export class GatewayMetrics {
  readonly registry = new Registry();
  readonly #observe: Observe;

  readonly connections = this.#gauge("weir_connections", "Open WebSocket connections");
  readonly subscriptions = this.#gauge("weir_subscriptions", "Open subscriptions");
  readonly creditHeld = this.#gauge("weir_credit_held_frames", "Frames published and not answered yet");
  readonly heldBytes = this.#gauge("weir_admission_held_bytes", "Bytes of frames and bodies that have no answer yet");

  readonly #frames = this.#counter("weir_frames_total", "WebSocket frames", ["direction", "type"]);
  readonly #bytes = this.#counter("weir_transferred_bytes_total", "Payload bytes", ["direction", "transport"]);
  readonly #events = this.#counter("weir_events_total", "Events by verdict", ["code"]);
  readonly #frameTally = { in: new Tally(), out: new Tally() };
  readonly #byteTally = { in: new Tally(), out: new Tally() };
  readonly #eventTally = new Tally();
  readonly certificateExpiry = this.#gauge(
    "weir_tls_certificate_expiry_timestamp_seconds",
    "When the certificate ends; +Inf without TLS",
  );
  readonly auditRemoved = this.#gauge("weir_audit_entries_removed", "Entries that full audit logs have lost, since the start");
  readonly #lockOuts = this.#counter("weir_lock_outs_total", "Addresses locked out after many wrong keys", []);
  readonly #refusals = this.#counter("weir_refusals_total", "Refused frames and requests by code", ["code"]);
  readonly #requests = this.#histogram("weir_request_duration_seconds", "HTTP requests", ["method", "route", "status"]);
  readonly #publishes = new TalliedHistogram(
    {
      name: "weir_publish_duration_seconds",
      help: "From a frame's arrival to its ack",
      label: "transport",
      buckets: secondsBuckets,
    },
    this.registry,
  );
  readonly #publishesOver = { websocket: this.#publishes.series("websocket"), http: this.#publishes.series("http") };

  readonly #hostUp = this.#gauge("weir_host_up", "1 when the host runs", ["host"]);
  readonly #hostRestarts = this.#counter("weir_host_restarts_total", "How often the host was opened again after a failure", [
    "host",
  ]);
  readonly #hostGauges = hostFigures.map(([name, help, value]) => ({ gauge: this.#gauge(name, help, ["host"]), value }));
  readonly #stageSeconds = this.#gauge("weir_stage_busy_seconds", "Time spent in a stage of turns", ["host", "stage"]);
  readonly #stageLongest = this.#gauge("weir_stage_longest_seconds", "The longest run of a stage", ["host", "stage"]);
  readonly #stageRuns = this.#gauge("weir_stage_runs", "Runs of a stage", ["host", "stage"]);
  readonly #recoverySeconds = this.#gauge("weir_recovery_seconds", "Where the time of the host's last start went", [
    "host",
    "step",
  ]);
  readonly #ledger = this.#gauge("weir_ledger_events", "Events in the ledger", ["host", "kind"]);
  readonly #imbalance = this.#gauge("weir_ledger_imbalance_events", "Events received without a verdict; must be 0", ["host"]);
  readonly #stateBytes = this.#gauge("weir_state_bytes", "Bytes that state takes in memory, estimated", ["host", "kind"]);
  readonly #full = this.#gauge("weir_state_full", "How many are refused because of what their state takes");
  readonly #nearlyFull = this.#gauge("weir_state_nearly_full", "How many are above four fifths of what their state may take");
  readonly #letThrough = this.#counter("weir_state_full_frames_taken_total", "Frames that were taken though state is full", []);
  readonly #evictions = this.#counter("weir_cache_evictions_total", "What the bounded caches of a host's thread have let go", [
    "host",
    "cache",
  ]);
  readonly #diskFree = this.#gauge("weir_disk_free_bytes", "Room on the disk of the data directory");
  readonly #warehouseUp = this.#gauge("weir_warehouse_up", "1 when the warehouse takes rows");
  readonly #rowsWritten = this.#gauge("weir_warehouse_rows_written", "Rows that the warehouse has answered for, since the start");
  readonly #rowsRefused = this.#gauge("weir_warehouse_rows_refused", "Rows that the warehouse will never take; must be 0");
  readonly #requestsFailed = this.#gauge(
    "weir_warehouse_requests_failed",
    "Requests to the warehouse that failed, since the start",
  );
  readonly #tableSuspended = this.#gauge("weir_warehouse_table_suspended", "1 when QuestDB does not apply the table's rows", [
    "table",
  ]);
  readonly #tableLag = this.#gauge("weir_warehouse_table_lag_transactions", "Transactions taken and not applied", ["table"]);
  readonly #resumes = this.#counter("weir_warehouse_resumes_total", "How often a suspended table was resumed", []);
  readonly #questdbRestarts = this.#counter("weir_questdb_restarts_total", "How often the managed QuestDB was started again", []);
  readonly #missingEvents = this.#gauge(
    "weir_warehouse_missing_events",
    "Accepted events without a raw row, when last nothing was on its way; must be 0",
  );
  readonly #warehouseOffset = this.#gauge("weir_warehouse_offset", "Journal offset stored in the warehouse", ["host"]);
  readonly #warehouseLag = this.#gauge("weir_warehouse_lag_records", "Durable records not in the warehouse yet", ["host"]);

  constructor(options: { version: string; observe: Observe; processMetrics?: boolean }) {
    this.#observe = options.observe;
    this.#gauge("weir_build_info", "The version that runs", ["version", "node"]).set(
      { version: options.version, node: process.version },
      1,
    );
    if (options.processMetrics !== false) collectDefaultMetrics({ register: this.registry });
  }

  frame(direction: "in" | "out", type: string, bytes: number): void {
    this.#frameTally[direction].add(type, 1);
    this.#byteTally[direction].add("websocket", bytes);
  }

  body(direction: "in" | "out", bytes: number): void {
    this.#byteTally[direction].add("http", bytes);
  }

  events(code: string, count: number): void {
    if (count > 0) this.#eventTally.add(code, count);
  }

  refusal(code: string): void {
    this.#refusals.inc({ code });
  }

  lockedOut(): void {
    this.#lockOuts.inc();
  }

  published(transport: "websocket" | "http", durationMs: number): void {
    this.#publishesOver[transport].observe(durationMs / 1_000);
  }

  request(method: string, route: string, status: number, durationMs: number): void {
    this.#requests.observe({ method, route, status: String(status) }, durationMs / 1_000);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** The whole text of a scrape. */
  async text(): Promise<string> {
    this.#take(await this.#observe());
    this.#copyTallies();
    return this.registry.metrics();
  }

  #copyTallies(): void {
    this.#frames.reset();
    this.#bytes.reset();
    this.#events.reset();
    for (const direction of ["in", "out"] as const) {
      this.#frameTally[direction].each((type, count) => this.#frames.inc({ direction, type }, count));
      this.#byteTally[direction].each((transport, count) => this.#bytes.inc({ direction, transport }, count));
    }
    this.#eventTally.each((code, count) => this.#events.inc({ code }, count));
  }

  #take({ hosts, supervision = [], diskFreeBytes, state, warehouse }: Observation): void {
    if (state !== undefined) this.#takeState(state);
    this.#evictions.reset();
    if (diskFreeBytes !== undefined) this.#diskFree.set(diskFreeBytes);
    for (const status of hosts) {
      const host = String(status.host);
      this.#hostUp.set({ host }, status.state === "running" ? 1 : 0);
      for (const { gauge, value } of this.#hostGauges) gauge.set({ host }, value(status));
      for (const [stage, { totalMs, count, longestMs }] of Object.entries(status.stages)) {
        this.#stageSeconds.set({ host, stage }, totalMs / 1_000);
        this.#stageLongest.set({ host, stage }, longestMs / 1_000);
        this.#stageRuns.set({ host, stage }, count);
      }
      const { openMs: open, restoreMs: restore, readMs: read, applyMs: apply, collectMs: collect } = status.recovery;
      for (const [step, ms] of Object.entries({ open, restore, read, apply, collect })) {
        this.#recoverySeconds.set({ host, step }, ms / 1_000);
      }
      const { received, accepted, duplicate, late, invalid } = status;
      for (const [kind, count] of Object.entries({ received, accepted, duplicate, late, invalid })) {
        this.#ledger.set({ host, kind }, count);
      }
      for (const kind of stateKinds) this.#stateBytes.set({ host, kind }, stateBytesOf(status, kind));
      const { texts, ids, series, values } = status.evictions;
      for (const [cache, count] of Object.entries({ texts, ids, series, values })) this.#evictions.inc({ host, cache }, count);
      this.#imbalance.set({ host }, received - accepted - duplicate - late - invalid);
    }
    this.#hostRestarts.reset();
    for (const { host, state, restarts } of supervision) {
      // A host that has never reported has no status.
      this.#hostUp.set({ host: String(host) }, state === "running" ? 1 : 0);
      this.#hostRestarts.inc({ host: String(host) }, restarts);
    }
    this.#warehouseUp.set(warehouse.state === "ready" ? 1 : 0);
    this.#rowsWritten.set(warehouse.rowsWritten);
    this.#rowsRefused.set(warehouse.rowsRefused);
    this.#requestsFailed.set(warehouse.requestsFailed);
    this.#tableSuspended.reset();
    this.#tableLag.reset();
    for (const { table, suspended, lagTransactions } of warehouse.tables ?? []) {
      this.#tableSuspended.set({ table }, suspended ? 1 : 0);
      this.#tableLag.set({ table }, lagTransactions);
    }
    this.#resumes.reset();
    this.#resumes.inc(warehouse.resumes ?? 0);
    this.#questdbRestarts.reset();
    this.#questdbRestarts.inc(warehouse.restarts ?? 0);
    // Not 0 as long as it is not known.
    if (warehouse.missingEvents === undefined) this.#missingEvents.remove();
    else this.#missingEvents.set(warehouse.missingEvents);
    for (const { host, offset, lagRecords } of warehouse.hosts) {
      this.#warehouseOffset.set({ host: String(host) }, offset);
      this.#warehouseLag.set({ host: String(host) }, lagRecords);
    }
  }

  #takeState({ full, nearlyFull, framesLetThrough }: StateFigures): void {
    this.#full.set(full);
    this.#nearlyFull.set(nearlyFull);
    this.#letThrough.reset();
    this.#letThrough.inc(framesLetThrough);
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #counter(name: string, help: string, labelNames: readonly string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram(name: string, help: string, labelNames: readonly string[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets: secondsBuckets, registers: [this.registry] });
  }
}

/** Over all tenants: no label names one. */
function stateBytesOf({ tenantStates }: HostStatus, kind: StateKind): number {
  return Math.round(tenantStates.reduce((sum, { bytes }) => sum + bytes[kind], 0));
}
