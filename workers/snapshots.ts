/**
 * Snapshots of a host's partitions, and the trimming of its journal behind them. A partition's state at an offset is written
 * in one transaction with that offset, and only after the journal is on disk up to there: so a snapshot is never ahead of the
 * journal. A record is trimmed once every partition's snapshot covers it, its rows are in the warehouse, and it is old enough.
 */
import type { Offset } from "../protocol/ids.ts";
import type { Partition } from "../actors/partition.ts";
import type { Journal, Store } from "../storage/ports.ts";
import { passPoint } from "./crash-points.ts";

export class Snapshots {
  readonly #journal: Journal;
  readonly #partitions: readonly { readonly partition: Partition; readonly store: Store }[];
  readonly #retentionMs: number;
  #running: Promise<void> | undefined;
  /** The end of the journal at some times in the past, oldest first. */
  #marks: { timeMs: number; offset: Offset }[] = [];
  /** Rows of records up to here are in the warehouse; Infinity when there is none to wait for. */
  storedOffset = 0;
  count = 0;
  lastDurationMs = 0;

  constructor(journal: Journal, partitions: readonly { partition: Partition; store: Store }[], retentionMs: number) {
    this.#journal = journal;
    this.#partitions = partitions;
    this.#retentionMs = retentionMs;
  }

  /** What every partition's snapshot covers. */
  get coveredOffset(): Offset {
    return Math.min(...this.#partitions.map(({ partition }) => partition.snapshotOffset)) as Offset;
  }

  /** Snapshots every partition as of now; one run at a time. Rejects when a commit fails: the host must stop. */
  take(nowMs: number): Promise<void> {
    this.#running ??= this.#run(nowMs).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The same, but never one that began before the call. */
  async takeFresh(nowMs: number): Promise<void> {
    await this.#running;
    await this.take(nowMs);
  }

  async #run(nowMs: number): Promise<void> {
    const started = performance.now();
    for (const { partition, store } of this.#partitions) {
      const offset = this.#journal.appendedOffset;
      if (partition.snapshotOffset === offset) continue;
      // From reading the state to here nothing waits: it is the state after record `offset`, of all of the host's records.
      partition.coverUpTo(offset);
      const writes = partition.snapshot();
      await this.#journal.flush();
      const committed = store.commit(writes);
      passPoint("in-snapshot");
      await committed;
      passPoint("after-snapshot");
      partition.committed(offset);
    }
    this.count++;
    this.lastDurationMs = performance.now() - started;
    await this.#trim(nowMs);
  }

  async #trim(nowMs: number): Promise<void> {
    this.#marks.push({ timeMs: nowMs, offset: this.#journal.appendedOffset });
    const old = this.#marks.findLastIndex((mark) => mark.timeMs <= nowMs - this.#retentionMs);
    const mark = this.#marks[old];
    if (mark === undefined) return;
    this.#marks.splice(0, old);
    const before = Math.min(mark.offset, this.coveredOffset, this.storedOffset) + 1;
    if (before <= this.#journal.firstOffset) return;
    passPoint("before-trim");
    await this.#journal.trim(before as Offset);
  }
}
