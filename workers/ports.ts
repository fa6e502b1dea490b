/**
 * What the gateway needs from the partition hosts, whether they run in worker threads or inline.
 * `hosts.ts` is the implementation; tests of the gateway may put a simpler one in its place.
 */
import type { RecoveryTimes } from "./recovery-times.ts";
import type { TenantState } from "./tenant-state.ts";
import type { AggregateValue } from "../actors/aggregates/aggregate.ts";
import type { ErrorCode } from "../protocol/error-codes.ts";
import type { FrameFormat } from "../protocol/event-columns.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { ReaderEvictions } from "../protocol/plain-reader.ts";
import type { DimensionValue, MetricDefinition } from "../protocol/metric-definition.ts";
import type { CadenceMs, TimeSpan, WindowName } from "../protocol/windows.ts";

/** One frame or request body of events. The bytes are copied during the call. */
export interface PublishRequest {
  readonly tenant: TenantId;
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
  /** True: the answer names every event; false: only those not plainly accepted. */
  readonly allResults: boolean;
}

export interface EventResult {
  /** Position in the batch. */
  readonly index: number;
  readonly eventId: string;
  /** A byte of `verdicts.ts`. */
  readonly verdict: number;
  /** Which part of the event is wrong. */
  readonly path?: string;
}

export type PublishOutcome =
  | {
      readonly kind: "committed";
      readonly totalEvents: number;
      readonly failedEvents: number;
      readonly results: readonly EventResult[];
      /** `host:offset`, several joined by a comma. */
      readonly receipt: string;
    }
  /** Nothing of it counts, unless the code is WEIR_HOST_FAILED: then it may or may not. */
  | {
      readonly kind: "refused";
      readonly code: ErrorCode;
      readonly detail?: string;
      readonly path?: string;
      readonly retryAfterMs?: number;
    };

export interface Publisher {
  /** `done` is called exactly once, never during the call. */
  publish(request: PublishRequest, done: (outcome: PublishOutcome) => void): void;
}

/** One metric's values over spans of time, from live panes. */
export interface LiveQuery {
  readonly metric: string;
  readonly span: TimeSpan;
  /** Length of a bucket; Infinity: the whole span is one. */
  readonly bucketMs: number;
  /** Indexes of the metric's dimensions to keep; the others are summed up. */
  readonly keep: readonly number[];
  readonly filters: readonly LiveFilter[];
}

export interface LiveFilter {
  readonly dimension: number;
  readonly negate: boolean;
  readonly values: readonly DimensionValue[];
}

export interface LiveAnswer {
  /** Buckets that have data. `states` holds the canonical bytes of every aggregate, for merging with stored rows. */
  readonly rows: readonly LiveRow[];
  readonly clock: TenantClock;
  /** Live panes are complete from here on (what is older has been dropped, or came before the metric). */
  readonly completeFromMs: number;
}

export interface LiveRow {
  readonly startMs: number;
  readonly dimensions: readonly DimensionValue[];
  /** One list for each aggregate, in the order of the definition. */
  readonly outputs: readonly (readonly AggregateValue[])[];
  readonly states: Uint8Array;
}

/** How far a tenant's time has come. */
export interface TenantClock {
  /** The highest event time accepted, or -Infinity when there is none. */
  readonly watermarkMs: number;
  /** When the server received that event. */
  readonly watermarkIngestMs: number;
}

export interface SessionView {
  readonly sessionId: string;
  readonly userId: string | null;
  readonly events: number;
  readonly firstEventTimeMs: number;
  readonly lastEventTimeMs: number;
  readonly durationMs: number;
  readonly open: boolean;
  readonly eventTypes: Readonly<Record<string, number>>;
  readonly segments: readonly SessionSegmentView[];
}

export interface SessionSegmentView {
  readonly startMs: number;
  readonly endMs: number;
  readonly durationMs: number;
  readonly events: number;
  readonly open: boolean;
}

export interface ChannelAddress {
  readonly tenant: TenantId;
  readonly metric: string;
  readonly window: WindowName;
  readonly everyMs: CadenceMs;
}

/** Unique per address; no tenant's topic equals another's. */
export function topicOf(address: ChannelAddress): string {
  return `${address.tenant}/${address.metric}@${address.window}/${address.everyMs}`;
}

/** The answer to opening a channel. Deltas with a higher seq follow through `onDelta`. */
export type ChannelOpening =
  | {
      readonly kind: "snapshot";
      readonly epoch: string;
      readonly seq: number;
      readonly window: TimeSpan;
      readonly rows: readonly Readonly<Record<string, unknown>>[];
    }
  /** What was missed since the given position: ready `delta` frames. */
  | { readonly kind: "resumed"; readonly epoch: string; readonly seq: number; readonly deltas: readonly Uint8Array[] }
  | { readonly kind: "refused"; readonly code: ErrorCode };

export interface Channels {
  /**
   * `opened` is called in order with `onDelta`: a socket that starts to listen to the topic inside the call misses nothing and
   * sees nothing twice. It is called once, and again with a new snapshot when the channel's host has come back after a
   * failure. Each `open` that was not refused is to be matched by one `close` with the same `opened`.
   */
  open(
    address: ChannelAddress,
    since: { epoch: string; seq: number } | undefined,
    opened: (opening: ChannelOpening) => void,
  ): void;
  close(address: ChannelAddress, opened: (opening: ChannelOpening) => void): void;
  /** Ready msgpack `delta` frames, one for all who listen to the topic. */
  onDelta(handler: (topic: string, frame: Uint8Array) => void): void;
}

export interface DeadLetterView {
  readonly host: number;
  readonly offset: number;
  readonly index: number;
  readonly code: string;
  readonly path: string | null;
  readonly eventId: string;
  readonly ingestTimeMs: number;
  /** The event as it came, as JSON text. */
  readonly raw: string;
}

/** received = accepted + duplicate + late + invalid; `imbalance` is the difference and must be 0. */
export interface Ledger {
  readonly received: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
}

export interface LiveData {
  /** Every event acknowledged before the call is in the answer. */
  query(tenant: TenantId, queries: readonly LiveQuery[]): Promise<readonly LiveAnswer[]>;
  session(tenant: TenantId, sessionId: string): Promise<SessionView | undefined>;
  deadLetters(tenant: TenantId, options: { limit: number; code?: string }): Promise<readonly DeadLetterView[]>;
  ledger(tenant: TenantId): Promise<Ledger>;
  /** Resolves when every host has the definitions in its journal. Events published later are seen by exactly these. */
  define(tenant: TenantId, definitions: readonly MetricDefinition[]): Promise<void>;
  clock(tenant: TenantId): Promise<TenantClock>;
}

/** How often a host has failed and what becomes of it, for `/metrics` and `/readyz`. */
export interface HostSupervision {
  readonly host: number;
  /** `failed`: it is down; it is opened again at `nextAttemptMs`. */
  readonly state: HostStatus["state"];
  /** It takes frames. A host that has come back does so before it answers questions. */
  readonly takesFrames: boolean;
  /** Since the start of the process. */
  readonly restarts: number;
  /** In a row. */
  readonly failures: number;
  /** It has failed more often in a row than it may; it is still tried. */
  readonly gaveUp: boolean;
  readonly nextAttemptMs: number | null;
  /** The code of the last failure. */
  readonly lastError: string | null;
}

/** Figures of one host, for `/metrics` and `/readyz`. */
export interface HostStatus {
  readonly host: number;
  readonly state: "starting" | "running" | "failed" | "stopped";
  readonly partitions: number;
  readonly appendedOffset: number;
  readonly durableOffset: number;
  readonly snapshotOffset: number;
  readonly mailboxFrames: number;
  readonly mailboxBytes: number;
  readonly sessionsResident: number;
  readonly seriesPanes: number;
  /** What the state of each tenant takes here. */
  readonly tenantStates: readonly TenantState[];
  /** What the bounded caches of its thread have let go; `series`: names of series in stage 2. */
  readonly evictions: ReaderEvictions & { readonly series: number; readonly values: number };
  /** Of the thread: V8's heap, and what its objects hold outside of it. With hosts in the main thread, that one's. */
  readonly heapBytes: number;
  /** What V8 has taken for it, with room for what is to come. */
  readonly heapCommittedBytes: number;
  readonly externalBytes: number;
  readonly rememberedIds: number;
  readonly channels: number;
  /** The highest event time of any tenant; null when there is none. */
  readonly watermarkMs: number | null;
  readonly journalBytes: number;
  /** How long the last run of snapshots took. */
  readonly snapshotMs: number;
  /** Events that went to an `__other__` series. */
  readonly overflowedEvents: number;
  /** The ledger, over all tenants of the host. */
  readonly received: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
  /** Where the time of its last start went. */
  readonly recovery: Readonly<RecoveryTimes>;
  /** Time spent in each stage of a turn since the start. */
  readonly stages: Readonly<Record<string, { totalMs: number; count: number; longestMs: number }>>;
}
