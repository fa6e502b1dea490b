/**
 * How many values fell into each bucket, by key. Few buckets are kept as sorted lists; when there are more than a few and they
 * lie close together, as a dense window of counts. Which form it is shows only in memory and speed, never in `write`.
 */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { BUCKET_KEY_MAX } from "./log-buckets.ts";

/** Lists longer than this turn dense, when at least an eighth of the window would be in use. */
const SPARSE_BUCKETS = 16;
const DENSE_SHARE_MIN = 1 / 8;
const SPARSE_ROOM_MIN = 4;
/** Never changed. */
const NO_BUCKETS: number[] = [];
/** What is being read. */
let readKeys = new Float64Array(256);
let readCounts = new Float64Array(256);

export class BucketCounts {
  /** Sparse: keys in rising order and the count of each, then room for more. Empty when dense. */
  #keys = NO_BUCKETS;
  #counts = NO_BUCKETS;
  /** How many buckets the lists hold. */
  #buckets = 0;
  /** Dense: the count of key `#base + index`. */
  #window: Float64Array | undefined = undefined;
  #base = 0;

  add(key: number, count: number): void {
    const window = this.#window;
    if (window === undefined) {
      this.#addSparse(key, count);
      return;
    }
    const index = key - this.#base;
    if (index >= 0 && index < window.length) window[index] = (window[index] ?? 0) + count;
    else this.#addOutside(key, count);
  }

  merge(from: BucketCounts): void {
    from.forEach((key, count) => this.add(key, count));
  }

  /** Every bucket that holds something, by rising key. */
  forEach(visit: (key: number, count: number) => void): void {
    const window = this.#window;
    if (window === undefined) {
      for (let index = 0; index < this.#buckets; index++) visit(this.#keys[index] ?? 0, this.#counts[index] ?? 0);
      return;
    }
    for (let index = 0; index < window.length; index++) {
      const count = window[index] ?? 0;
      if (count > 0) visit(this.#base + index, count);
    }
  }

  /** The number of buckets, then the step from each key to the next and its count. */
  write(writer: ByteWriter): void {
    const window = this.#window;
    let last = -BUCKET_KEY_MAX;
    if (window === undefined) {
      writer.varint(this.#buckets);
      for (let index = 0; index < this.#buckets; index++) {
        const key = this.#keys[index] ?? 0;
        writer.varint(key - last);
        writer.varint(this.#counts[index] ?? 0);
        last = key;
      }
      return;
    }
    let buckets = 0;
    for (let index = 0; index < window.length; index++) if (window[index] !== 0) buckets++;
    writer.varint(buckets);
    for (let index = 0; index < window.length; index++) {
      const count = window[index] ?? 0;
      if (count === 0) continue;
      writer.varint(this.#base + index - last);
      writer.varint(count);
      last = this.#base + index;
    }
  }

  static read(reader: ByteReader): BucketCounts {
    const state = new BucketCounts();
    const buckets = reader.varint();
    if (buckets === 0) return state;
    if (readKeys.length < buckets) [readKeys, readCounts] = [new Float64Array(2 * buckets), new Float64Array(2 * buckets)];
    let key = -BUCKET_KEY_MAX;
    for (let index = 0; index < buckets; index++) {
      key += reader.varint();
      readKeys[index] = key;
      readCounts[index] = reader.varint();
    }
    const first = readKeys[0] ?? 0;
    if (turnsDense(buckets, key - first + 1)) {
      const window = new Float64Array(key - first + 1);
      for (let index = 0; index < buckets; index++) window[(readKeys[index] ?? 0) - first] = readCounts[index] ?? 0;
      state.#base = first;
      state.#window = window;
      return state;
    }
    state.#keys = Array.from(readKeys.subarray(0, buckets));
    state.#counts = Array.from(readCounts.subarray(0, buckets));
    state.#buckets = buckets;
    return state;
  }

  sizeBytes(): number {
    return 56 + (this.#window === undefined ? 112 + 16 * this.#keys.length : 200 + this.#window.byteLength);
  }

  #addSparse(key: number, count: number): void {
    const keys = this.#keys;
    let at = 0;
    for (let end = this.#buckets; at < end;) {
      const middle = (at + end) >>> 1;
      if ((keys[middle] ?? 0) < key) at = middle + 1;
      else end = middle;
    }
    if (at < this.#buckets && keys[at] === key) this.#counts[at] = (this.#counts[at] ?? 0) + count;
    else this.#insertSparse(at, key, count);
  }

  #insertSparse(at: number, key: number, count: number): void {
    if (this.#buckets === this.#keys.length) {
      // Doubling from a few: V8's own growth would keep room for 17, and most sketches of a pane hold a few values.
      const room = Math.max(SPARSE_ROOM_MIN, this.#buckets * 2);
      this.#keys = grown(this.#keys, room);
      this.#counts = grown(this.#counts, room);
    }
    const keys = this.#keys;
    const counts = this.#counts;
    // A loop, as `copyWithin` takes longer for the few that there are.
    for (let to = this.#buckets; to > at; to--) {
      keys[to] = keys[to - 1] ?? 0;
      counts[to] = counts[to - 1] ?? 0;
    }
    keys[at] = key;
    counts[at] = count;
    this.#buckets++;
    this.#turnDenseIfClose();
  }

  #turnDenseIfClose(): void {
    const first = this.#keys[0] ?? 0;
    const span = (this.#keys[this.#buckets - 1] ?? 0) - first + 1;
    if (!turnsDense(this.#buckets, span)) return;
    const window = new Float64Array(span);
    this.forEach((key, count) => (window[key - first] = count));
    this.#base = first;
    this.#window = window;
    this.#keys = NO_BUCKETS;
    this.#counts = NO_BUCKETS;
    this.#buckets = 0;
  }

  /** Widens the window to the key, with some room for the next one. */
  #addOutside(key: number, count: number): void {
    const old = this.#window ?? new Float64Array(0);
    const room = old.length >>> 2;
    const first = key < this.#base ? Math.max(-BUCKET_KEY_MAX, key - room) : this.#base;
    const last = key < this.#base ? this.#base + old.length - 1 : Math.min(BUCKET_KEY_MAX, key + room);
    const window = new Float64Array(last - first + 1);
    window.set(old, this.#base - first);
    window[key - first] = count;
    this.#window = window;
    this.#base = first;
  }
}

/** Buckets whose first and last key are so far apart are kept as a window. */
function turnsDense(buckets: number, span: number): boolean {
  return buckets > SPARSE_BUCKETS && buckets >= span * DENSE_SHARE_MIN;
}

function grown(list: readonly number[], room: number): number[] {
  const longer = new Array<number>(room).fill(0);
  for (let index = 0; index < list.length; index++) longer[index] = list[index] ?? 0;
  return longer;
}
