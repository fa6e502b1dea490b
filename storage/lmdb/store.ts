/**
 * A `Store` in LMDB: all tables in one ordered table, each a range of keys that starts with its name. (Not LMDB's named
 * databases: opening one runs a synchronous transaction, which could split a commit that is under way.)
 * Each value has a checksum behind it (not in stores that were made before there were any): WEIR_START_DATA_UNUSABLE from
 * whoever reads one that is not what was written. A commit is atomic: its writes go to the disk in one transaction, perhaps with those of other commits.
 * Reads see the last commit as of this turn of the event loop; with `fresh` they see the last one of any thread or process.
 */
import { assert } from "../../protocol/assert.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { seal, unseal } from "../checksum.ts";
import type { Store, StoreEntry, StoreKey, StoreWrite } from "../ports.ts";
import { checkKey, decodeKey, encodeKey, encodeKeyFast, tableEnd } from "../store-key.ts";
import { type ByteTable, environmentBytes, environmentExists, openEnvironment, STORE_MAP_BYTES } from "./environment.ts";
import { GroupCommit, handled } from "./group-commit.ts";

const KIND = "weir-store/2";
/** Without checksums. */
const KIND_PLAIN = "weir-store/1";

export class LmdbStore implements Store {
  readonly #path: string;
  readonly #fresh: boolean;
  readonly #table: ByteTable;
  readonly #commits: GroupCommit;
  readonly #isSealed: boolean;
  #pending: (readonly StoreWrite[])[] = [];
  #closed = false;

  private constructor(path: string, fresh: boolean, readOnly: boolean) {
    this.#path = path;
    this.#fresh = fresh;
    const { table, kind } = openEnvironment(path, [KIND, KIND_PLAIN], { readOnly, mapBytes: STORE_MAP_BYTES });
    this.#table = table;
    this.#isSealed = kind === KIND;
    this.#commits = new GroupCommit(this.#table, () => this.#fill());
  }

  /** Opens the store in a folder of its own, made when missing. `fresh`: others write it too. Errors: `openEnvironment`. */
  static open(path: string, { fresh = false, readOnly = false }: { fresh?: boolean; readOnly?: boolean } = {}): LmdbStore {
    return new LmdbStore(path, fresh, readOnly);
  }

  static exists(path: string): boolean {
    return environmentExists(path);
  }

  get(table: string, key: StoreKey): Uint8Array | undefined {
    this.#beforeRead();
    const value = this.#table.getBinary(encodeKeyFast(table, key));
    return value === undefined ? undefined : this.#opened(table, value);
  }

  /** One snapshot from the first step on; finish or `return` the iteration, or it keeps pages from being reused. */
  *range(
    table: string,
    from?: StoreKey,
    to?: StoreKey,
    { reverse = false, limit }: { reverse?: boolean; limit?: number } = {},
  ): Generator<StoreEntry, void> {
    this.#beforeRead();
    const low = encodeKey(table, from ?? []);
    const high = to === undefined ? tableEnd(table) : encodeKey(table, to);
    if (Buffer.compare(low, high) >= 0) return;
    const bounds = reverse
      ? { reverse, start: high, exclusiveStart: true, end: low, inclusiveEnd: true }
      : { start: low, end: high };
    for (const { key, value } of this.#table.getRange(limit === undefined ? bounds : { ...bounds, limit })) {
      yield { key: decodeKey(key), value: this.#opened(table, value) };
    }
  }

  /** The values must not change before the promise settles; the list may. A key that is too long rejects. */
  commit(writes: readonly StoreWrite[]): Promise<void> {
    return handled(this.#commit(writes));
  }

  sizeBytes(): number {
    return environmentBytes(this.#path);
  }

  /** A commit has failed: nothing is taken any more, and whoever shares the environment is to close it too. */
  get hasFailed(): boolean {
    return this.#commits.failure !== undefined;
  }

  /** Waits for the commits under way. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#commits.settle();
    await this.#table.close();
  }

  async #commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.#commits.failure !== undefined) throw this.#commits.failure;
    assert(!this.#closed, "the store is closed");
    if (writes.length === 0) return;
    // A wrong key must be found before the transaction begins: half of it would be committed otherwise.
    for (const { table, key } of writes) checkKey(table, key);
    this.#pending.push(writes.slice());
    await this.#commits.commit();
  }

  #fill(): () => void {
    const pending = this.#pending;
    this.#pending = [];
    for (const writes of pending) {
      for (const { table, key, value } of writes) {
        const bytes = encodeKeyFast(table, key);
        if (value === undefined) void this.#table.remove(bytes);
        else void this.#table.put(bytes, this.#isSealed ? seal(value) : value);
      }
    }
    return () => undefined;
  }

  #opened(table: string, value: Uint8Array): Uint8Array {
    const opened = this.#isSealed ? unseal(value) : value;
    if (opened === undefined) throw new WeirError("WEIR_START_DATA_UNUSABLE", `A value of ${table} in ${this.#path} is damaged.`);
    return opened;
  }

  #beforeRead(): void {
    assert(!this.#closed, "the store is closed");
    if (this.#fresh) this.#table.resetReadTxn();
  }
}
