/**
 * A `Store` without a disk, for tests and simulation. A commit is seen, and durable, when it is flushed: on the next
 * microtask, or, with `manual`, when `flushNow` is called. Order is that of the encoded keys, as on disk.
 */
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import type { Store, StoreEntry, StoreKey, StoreWrite } from "../ports.ts";
import { decodeKey, encodeKeyFast, tableEnd } from "../store-key.ts";

/** What would be on the disk: encoded keys (one character a byte) and values. */
export type StoreImage = ReadonlyMap<string, Uint8Array>;

interface Commit {
  readonly writes: readonly { key: string; value: Uint8Array | undefined }[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class MemoryStore implements Store {
  readonly #manual: boolean;
  readonly #values: Map<string, Uint8Array>;
  /** The keys in order; made when asked for after a change. */
  #sorted: readonly string[] | undefined;
  #pending: Commit[] = [];
  #flushQueued = false;
  #injected: { cause: unknown } | undefined;
  #failure: WeirError | undefined;
  #open = true;

  constructor(options: { manual?: boolean; image?: StoreImage } = {}) {
    this.#manual = options.manual ?? false;
    this.#values = new Map(options.image);
  }

  get(table: string, key: StoreKey): Uint8Array | undefined {
    assert(this.#open, "the store is closed");
    return this.#values.get(encoded(encodeKeyFast(table, key)))?.slice();
  }

  *range(
    table: string,
    from?: StoreKey,
    to?: StoreKey,
    { reverse = false, limit = Infinity }: { reverse?: boolean; limit?: number } = {},
  ): Generator<StoreEntry, void> {
    assert(this.#open, "the store is closed");
    const low = encoded(encodeKeyFast(table, from ?? []));
    const high = encoded(to === undefined ? tableEnd(table) : encodeKeyFast(table, to));
    this.#sorted ??= [...this.#values.keys()].sort();
    const keys = this.#sorted.slice(firstAtLeast(this.#sorted, low), firstAtLeast(this.#sorted, high));
    if (reverse) keys.reverse();
    // The entries are taken at once: what is committed between two steps is not seen.
    const entries = keys.slice(0, limit).map((key) => ({ key, value: this.#values.get(key) }));
    for (const { key, value } of entries) {
      if (value !== undefined) yield { key: decodeKey(Buffer.from(key, "latin1")), value: value.slice() };
    }
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    assert(this.#open, "the store is closed");
    const copied = writes.map(({ table, key, value }) => ({ key: encoded(encodeKeyFast(table, key)), value: value?.slice() }));
    if (copied.length === 0) return;
    const committed = new Promise<void>((resolve, reject) => this.#pending.push({ writes: copied, resolve, reject }));
    if (!this.#manual && !this.#flushQueued) {
      this.#flushQueued = true;
      queueMicrotask(() => this.flushNow());
    }
    await committed;
  }

  /** Makes what was committed visible and durable, or fails if a failure was injected. */
  flushNow(): void {
    this.#flushQueued = false;
    if (!this.#open || this.#failure !== undefined) return;
    const pending = this.#pending;
    this.#pending = [];
    if (this.#injected !== undefined && pending.length > 0) {
      this.#failure = new WeirError("WEIR_JOURNAL_COMMIT_FAILED", undefined, { cause: this.#injected.cause });
      for (const commit of pending) commit.reject(this.#failure);
      return;
    }
    for (const commit of pending) apply(this.#values, commit);
    this.#sorted = undefined;
    for (const commit of pending) commit.resolve();
  }

  /** The next commit fails. */
  failNextCommit(cause: unknown = new Error("injected")): void {
    this.#injected = { cause };
  }

  sizeBytes(): number {
    let bytes = 0;
    for (const [key, value] of this.#values) bytes += key.length + value.length;
    return bytes;
  }

  async close(): Promise<void> {
    if (this.#open) this.flushNow();
    this.#open = false;
  }

  /**
   * Stops as a killed process would: commits that wait never settle. Keeps what was durable and so many of the waiting
   * commits, each whole. Open the image anew.
   */
  crash(undurableKept = 0): StoreImage {
    this.#open = false;
    const kept = new Map(this.#values);
    for (const commit of this.#pending.slice(0, undurableKept)) apply(kept, commit);
    return kept;
  }

  /** What is durable now. */
  image(): StoreImage {
    return new Map(this.#values);
  }
}

function apply(values: Map<string, Uint8Array>, commit: Commit): void {
  for (const { key, value } of commit.writes) {
    if (value === undefined) values.delete(key);
    else values.set(key, value);
  }
}

function encoded(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** Binary search. */
function firstAtLeast(sorted: readonly string[], bound: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? "") < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
