/** What the main thread and a partition host say to each other, over a worker's port or in process. */
import type { CollectedPartials } from "../actors/partition.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import type { PackedOutcomes } from "./packed-outcomes.ts";
import type { FrameMark, RecordMark } from "./poison.ts";
import type {
  ChannelAddress,
  ChannelOpening,
  DeadLetterView,
  EventResult,
  HostStatus,
  Ledger,
  LiveAnswer,
  LiveQuery,
  SessionView,
  TenantClock,
} from "./ports.ts";

/** Questions that get one answer, by their kind. */
export interface HostQuestions {
  /** Hand all changed partials on; answered when they are on their way. */
  collect: { ask: null; answer: null };
  /** Answered, when the definitions are durable and in force, with the names of the metrics that were not there before. */
  define: {
    ask: { tenant: TenantId; definitions: readonly MetricDefinition[]; ingestTimeMs: number };
    answer: readonly string[];
  };
  /** Hand on again all that belongs to the metric actors of a host; answered when it is on its way. */
  recollectFor: { ask: { host: number }; answer: null };
  /** Hand on again all there is of some metrics. */
  recollect: { ask: { tenant: TenantId; metrics: readonly string[] }; answer: null };
  query: { ask: { tenant: TenantId; queries: readonly LiveQuery[] }; answer: readonly LiveAnswer[] };
  session: { ask: { tenant: TenantId; sessionId: string }; answer: SessionView | undefined };
  deadLetters: { ask: { tenant: TenantId; limit: number; code?: string }; answer: readonly DeadLetterView[] };
  ledger: { ask: { tenant: TenantId }; answer: Ledger };
  clock: { ask: { tenant: TenantId }; answer: TenantClock };
  /** Write pane rows that wait, and a snapshot of every partition; answered with the end of the journal after that. */
  snapshot: { ask: null; answer: number };
  open: { ask: { address: ChannelAddress; since: { epoch: string; seq: number } | undefined }; answer: ChannelOpening };
  /** Finish turns, flush, snapshot, close the store. */
  drain: { ask: null; answer: null };
}
export type QuestionKind = keyof HostQuestions;

export type ToHost =
  /** `batch` as `hand-off.ts` packs it; its buffer is transferred. */
  | { readonly type: "frames"; readonly batch: Uint8Array<ArrayBuffer>; readonly tenants: readonly TenantId[] }
  | { readonly type: "partials"; readonly partials: readonly CollectedPartials[] }
  | { readonly type: "close"; readonly address: ChannelAddress }
  /** Whether anybody subscribes to a channel, of whatever host (`partial-pace.ts`). */
  | { readonly type: "heard"; readonly isHeard: boolean }
  /** Every host has recovered and handed on its partials: rows may be written, channels opened. */
  | { readonly type: "go" }
  /** What the warehouse has: records of this host's journal up to `offset`, entries of its pane feed up to `rows`. */
  | { readonly type: "stored"; readonly offset: number; readonly rows: number }
  /** Close what you hold, as it is, and end. */
  | { readonly type: "end" }
  | { readonly type: "ask"; readonly id: number; readonly kind: QuestionKind; readonly ask: unknown };

/** What became of one frame, or of a host's share of it. */
export interface HostOutcome {
  readonly id: number;
  readonly offset: number;
  readonly totalEvents: number;
  readonly failedEvents: number;
  readonly results: readonly EventResult[];
  /** Set when nothing could be decoded: the code and what is wrong. */
  readonly refused?: { readonly code: string; readonly detail?: string; readonly path?: string };
}

export type FromHost =
  | { readonly type: "recovered"; readonly replayedRecords: number }
  /** `spent`: buffers of earlier batches, transferred back to be filled again. */
  | { readonly type: "outcomes"; readonly outcomes: PackedOutcomes; readonly spent: readonly ArrayBuffer[] }
  | { readonly type: "partials"; readonly host: number; readonly partials: readonly CollectedPartials[] }
  | { readonly type: "deltas"; readonly deltas: readonly { readonly topic: string; readonly frame: Uint8Array }[] }
  | { readonly type: "answer"; readonly id: number; readonly answer: unknown }
  | { readonly type: "refusal"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly type: "status"; readonly status: HostStatus }
  /** While a host is careful: this frame is about to be applied alone; undefined: it was. */
  | { readonly type: "applying"; readonly frame: FrameMark | undefined }
  /** The host has stopped: its state can no longer be trusted. */
  | ({ readonly type: "failed" } & HostFailure);

/** Why a host has stopped. */
export interface HostFailure {
  readonly code: string;
  readonly message: string;
  /** The failed environment is one that all hosts have open: all must let go of it. */
  readonly shared?: boolean;
  /** What was being applied: a frame that was alone in its turn, or a record of the replay. */
  readonly frame?: FrameMark;
  readonly record?: RecordMark;
}

/** One end of the line between main and host. */
export interface HostLine<Out, In> {
  post(message: Out, transfer?: readonly ArrayBuffer[]): void;
  onMessage(handler: (message: In) => void): void;
  close(): void;
}
