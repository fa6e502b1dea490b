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
import type { TenantId } from "../protocol/ids.ts";
import { splitFrame, type FrameShare } from "../protocol/split-frame.ts";
import { hostOfPartition } from "../workers/host-options.ts";
import type { Hosts } from "../workers/hosts.ts";
import type { HostOutcome } from "../workers/messages.ts";
import type { EventResult, Publisher, PublishOutcome, PublishRequest } from "../workers/ports.ts";

export interface IngestOptions {
  readonly hosts: Hosts;
  readonly partitionCount: number;
  readonly now: () => number;
  /** Nothing is taken while it is. */
  readonly isDiskFull?: () => boolean;
  /** The tenants whose metrics every host knows; a tenant's first frames wait for that. */
  readonly tenants: { isKnown(tenant: TenantId): boolean; introduce(tenant: TenantId): Promise<void> };
}

interface Share {
  /** Row of the share -> row of the batch; undefined: the whole batch. */
  readonly indexes: readonly number[] | undefined;
}

/** A frame on its way: what its hosts have said so far. */
interface PendingFrame {
  readonly done: (outcome: PublishOutcome) => void;
  readonly shares: Map<number, Share>;
  readonly receipts: string[];
  readonly results: EventResult[];
  totalEvents: number;
  failedEvents: number;
}

const FRAME_ID_END = 2 ** 32;

export class Ingest implements Publisher {
  readonly #options: IngestOptions;
  readonly #pending = new Map<number, PendingFrame>();
  #lastId = 0;

  constructor(options: IngestOptions) {
    this.#options = options;
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
      const share = pending?.shares.get(host);
      if (pending === undefined || share === undefined) continue;
      if (outcome.refused !== undefined) {
        this.#finish(outcome.id, refusedOutcome(outcome.refused));
        continue;
      }
      pending.shares.delete(host);
      pending.receipts.push(`${host}:${outcome.offset}`);
      pending.totalEvents += outcome.totalEvents;
      pending.failedEvents += outcome.failedEvents;
      for (const result of outcome.results) {
        pending.results.push(share.indexes === undefined ? result : { ...result, index: share.indexes[result.index] ?? 0 });
      }
      if (pending.shares.size === 0) this.#finish(outcome.id, committedOutcome(pending));
    }
  }

  /** The host has stopped: everything that it had a share of has an unknown fate. */
  hostFailed(host: number): void {
    for (const [id, pending] of this.#pending) {
      if (pending.shares.has(host)) this.#finish(id, { kind: "refused", code: "WEIR_HOST_FAILED" });
    }
  }

  #hand(request: PublishRequest, done: (outcome: PublishOutcome) => void): void {
    const { hosts } = this.#options;
    const ingestTimeMs = this.#options.now();
    const id = (this.#lastId = (this.#lastId + 1) % FRAME_ID_END);
    const shares = new Map<number, Share>();
    try {
      if (this.#options.isDiskFull?.() === true) throw new WeirError("WEIR_DISK_FULL");
      const split = this.#split(request);
      // Nothing is handed over when a part of it cannot be: it would only be sent again.
      if (split.some(({ host }) => !hosts.takesFrames(host))) throw new WeirError("WEIR_HOST_FAILED");
      for (const { host, bytes, format, indexes } of split) {
        shares.set(host, { indexes });
        hosts.hand(host, { id, tenant: request.tenant, format, allResults: request.allResults, ingestTimeMs, bytes });
      }
    } catch (error) {
      if (!(error instanceof WeirError)) throw error;
      const { code, path } = error;
      queueMicrotask(() => done({ kind: "refused", code, ...(path === undefined ? {} : { path }) }));
      return;
    }
    this.#pending.set(id, { done, shares, receipts: [], results: [], totalEvents: 0, failedEvents: 0 });
  }

  #split({ tenant, format, bytes }: PublishRequest): FrameShare[] {
    const hostCount = this.#options.hosts.count;
    if (hostCount === 1) return [{ host: 0, bytes, format, indexes: undefined }];
    const { partitionCount } = this.#options;
    return splitFrame({ format, bytes, tenant, partitionCount, hostOf: (partition) => hostOfPartition(partition, hostCount) });
  }

  #finish(id: number, outcome: PublishOutcome): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    pending.done(outcome);
  }
}

function committedOutcome(pending: PendingFrame): PublishOutcome {
  const { totalEvents, failedEvents, receipts } = pending;
  const results = pending.results.toSorted((a, b) => a.index - b.index);
  return { kind: "committed", totalEvents, failedEvents, results, receipt: receipts.join(",") };
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
