/**
 * The path of a frame through the main thread:
 *
 *   publish: stamp the time of receipt -> split by host (with one host: the frame as it came) -> hand to the hosts
 *   outcomes: join the hosts' shares -> tell the one who asked
 *
 * Nothing is decoded here when there is one host, and nothing waits. A frame is answered once every host has its share on disk
 * (promise 1). When a host fails, what it had not answered is answered WEIR_HOST_FAILED: its fate is unknown, the sender sends
 * again, deduplication decides. So is what comes while it is down: nothing waits here for a host.
 */
import { isErrorCode, WeirError, type ErrorCode } from "../protocol/error-codes.ts";
import type { PartitionId, TenantId } from "../protocol/ids.ts";
import { FrameSplitter, type FrameShare } from "../protocol/split-frame.ts";
import { hostOfPartition } from "../workers/host-options.ts";
import type { Hosts } from "../workers/hosts.ts";
import type { HostOutcome } from "../workers/messages.ts";
import type { EventResult, Publisher, PublishOutcome, PublishRequest } from "../workers/ports.ts";
import { splitProgram } from "../workers/wasm-programs.ts";

export interface IngestOptions {
  readonly hosts: Hosts;
  readonly partitionCount: number;
  readonly now: () => number;
  /** Nothing is taken while it is. */
  readonly isDiskFull?: () => boolean;
  /** Throws for a frame of a tenant whose state is at its bound. */
  readonly admitState?: (tenant: TenantId, frameBytes: number) => void;
  /** The tenants whose metrics every host knows; a tenant's first frames wait for that. */
  readonly tenants: { isKnown(tenant: TenantId): boolean; introduce(tenant: TenantId): Promise<void> };
}

/** A frame on its way: what its hosts have said so far. */
interface PendingFrame {
  readonly done: (outcome: PublishOutcome) => void;
  /** The one host that has all of it; undefined: several have shares. One object is then all that a small frame costs here. */
  readonly host: number | undefined;
  readonly shares: PendingShares | undefined;
}

/** What is known of a frame that was split. */
interface PendingShares {
  /** By the host that has not answered yet: row of its share -> row of the frame. */
  readonly indexes: Map<number, readonly number[]>;
  readonly receipts: string[];
  readonly results: EventResult[];
  totalEvents: number;
  failedEvents: number;
}

const FRAME_ID_END = 2 ** 32;

export class Ingest implements Publisher {
  readonly #options: IngestOptions;
  readonly #pending = new Map<number, PendingFrame>();
  readonly #hostOf: (partition: PartitionId) => number;
  readonly #splitter = new FrameSplitter(splitProgram());
  #lastId = 0;

  constructor(options: IngestOptions) {
    this.#options = options;
    const { count } = options.hosts;
    this.#hostOf = (partition) => hostOfPartition(partition, count);
  }

  publish(request: PublishRequest, done: (outcome: PublishOutcome) => void): void {
    const { tenants } = this.#options;
    if (tenants.isKnown(request.tenant)) return this.#hand(request, done);
    // The first frames of a tenant wait, in order, until its metrics are known; the socket's memory does not.
    const kept = { ...request, bytes: request.bytes.slice() };
    tenants.introduce(request.tenant).then(
      () => this.#hand(kept, done),
      (error: unknown) => done({ kind: "refused", code: error instanceof WeirError ? error.code : "WEIR_INTERNAL" }),
    );
  }

  /** What a host made durable. */
  takeOutcomes(host: number, outcomes: readonly HostOutcome[]): void {
    for (const outcome of outcomes) {
      const pending = this.#pending.get(outcome.id);
      if (pending === undefined || !isWaitingFor(pending, host)) continue;
      if (outcome.refused !== undefined) this.#finish(outcome.id, pending, refusedOutcome(outcome.refused));
      else if (pending.shares === undefined) this.#finish(outcome.id, pending, committedOutcome(host, outcome));
      else if (addShare(pending.shares, host, outcome)) this.#finish(outcome.id, pending, joinedOutcome(pending.shares));
    }
  }

  /** The host has stopped: everything that it had a share of has an unknown fate. */
  hostFailed(host: number): void {
    for (const [id, pending] of this.#pending) {
      if (isWaitingFor(pending, host)) this.#finish(id, pending, { kind: "refused", code: "WEIR_HOST_FAILED" });
    }
  }

  #hand(request: PublishRequest, done: (outcome: PublishOutcome) => void): void {
    try {
      if (this.#options.isDiskFull?.() === true) throw new WeirError("WEIR_DISK_FULL");
      this.#options.admitState?.(request.tenant, request.bytes.length);
      const split = this.#split(request);
      const ingestTimeMs = this.#options.now();
      const id = (this.#lastId = (this.#lastId + 1) % FRAME_ID_END);
      if (typeof split === "number") {
        this.#refuseIfDown(split);
        this.#handShare(split, id, request, ingestTimeMs, request.bytes);
        this.#pending.set(id, { done, host: split, shares: undefined });
        return;
      }
      // Nothing is handed over when a part of it cannot be: it would only be sent again.
      for (const { host } of split) this.#refuseIfDown(host);
      for (const { host, bytes } of split) this.#handShare(host, id, request, ingestTimeMs, bytes);
      this.#pending.set(id, { done, host: undefined, shares: noneAnswered(split) });
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      const outcome = refusalOf(error);
      queueMicrotask(() => done(outcome));
    }
  }

  #handShare(host: number, id: number, request: PublishRequest, ingestTimeMs: number, bytes: Uint8Array): void {
    const { tenant, format, allResults } = request;
    this.#options.hosts.hand(host, { id, tenant, format, allResults, ingestTimeMs, bytes });
  }

  #refuseIfDown(host: number): void {
    if (!this.#options.hosts.takesFrames(host)) throw new WeirError("WEIR_HOST_FAILED");
  }

  /** The host that has all of it, or the shares of several. */
  #split({ tenant, format, bytes }: PublishRequest): number | readonly FrameShare[] {
    if (this.#options.hosts.count === 1) return 0;
    const { partitionCount } = this.#options;
    return this.#splitter.split({ format, bytes, tenant, partitionCount, hostOf: this.#hostOf });
  }

  #finish(id: number, pending: PendingFrame, outcome: PublishOutcome): void {
    this.#pending.delete(id);
    pending.done(outcome);
  }
}

function isWaitingFor({ host, shares }: PendingFrame, asked: number): boolean {
  return shares === undefined ? host === asked : shares.indexes.has(asked);
}

function noneAnswered(shares: readonly FrameShare[]): PendingShares {
  const indexes = new Map(shares.map((share) => [share.host, share.indexes]));
  return { indexes, receipts: [], results: [], totalEvents: 0, failedEvents: 0 };
}

/** Adds what a host says of its share; whether all hosts have spoken. */
function addShare(shares: PendingShares, host: number, outcome: HostOutcome): boolean {
  const indexes = shares.indexes.get(host);
  shares.indexes.delete(host);
  shares.receipts.push(receiptOf(host, outcome));
  shares.totalEvents += outcome.totalEvents;
  shares.failedEvents += outcome.failedEvents;
  for (const result of outcome.results) shares.results.push({ ...result, index: indexes?.[result.index] ?? 0 });
  return shares.indexes.size === 0;
}

function receiptOf(host: number, { offset }: HostOutcome): string {
  return `${host}:${offset}`;
}

/** Of a frame that one host has whole. */
function committedOutcome(host: number, outcome: HostOutcome): PublishOutcome {
  const { totalEvents, failedEvents, results } = outcome;
  return { kind: "committed", totalEvents, failedEvents, results, receipt: receiptOf(host, outcome) };
}

function joinedOutcome({ totalEvents, failedEvents, receipts, results }: PendingShares): PublishOutcome {
  const sorted = results.toSorted((a, b) => a.index - b.index);
  return { kind: "committed", totalEvents, failedEvents, results: sorted, receipt: receipts.join(",") };
}

/** Of a frame that no host has seen. */
function refusalOf({ code, detail, path, retryAfterMs }: WeirError): PublishOutcome {
  return {
    kind: "refused",
    code,
    ...(detail === undefined ? {} : { detail }),
    ...(path === undefined ? {} : { path }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

function refusedOutcome(refused: NonNullable<HostOutcome["refused"]>): PublishOutcome {
  const code: ErrorCode = isErrorCode(refused.code) ? refused.code : "WEIR_INTERNAL";
  const { detail } = refused;
  return {
    kind: "refused",
    code,
    ...(detail === undefined ? {} : { detail }),
    ...(refused.path === undefined ? {} : { path: refused.path }),
  };
}
