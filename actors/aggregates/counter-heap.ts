/**
 * The lowest of the counters of a Space-Saving summary, found lazily. Counts only rise, so the heap orders by the count that a
 * counter had when it was last put in its place (`placed`), and mends the root when that is out of date: counting a known
 * key costs the heap nothing, and each mending is paid for by a count since the last one.
 * Lowest is a total order, (count, key), so the heap's history can't show.
 */
export interface Counter {
  key: string;
  count: number;
  /** How much of `count` may belong to other keys. */
  error: number;
  /** Never above `count`. */
  placed: number;
}

/** Highest count first, then by key. */
export function byCountThenKey(a: Counter, b: Counter): number {
  if (a.count !== b.count) return b.count - a.count;
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

export class CounterHeap {
  readonly #heap: Counter[];

  constructor(counters: Iterable<Counter>) {
    this.#heap = [...counters];
    for (const counter of this.#heap) counter.placed = counter.count;
    for (let at = this.#heap.length >>> 1; at >= 0; at--) this.#sink(at);
  }

  /** The counter with the lowest (count, key). The caller may give it another key when it raises the count as well. */
  lowest(): Counter {
    for (;;) {
      const root = this.#at(0);
      if (root.placed === root.count) return root;
      root.placed = root.count;
      this.#sink(0);
    }
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const sinking = this.#at(start);
    let at = start;
    for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && lower(this.#at(child + 1), this.#at(child))) child++;
      const lowest = this.#at(child);
      if (!lower(lowest, sinking)) break;
      heap[at] = lowest;
      at = child;
    }
    heap[at] = sinking;
  }

  #at(index: number): Counter {
    return this.#heap[index] as Counter;
  }
}

function lower(a: Counter, b: Counter): boolean {
  return a.placed < b.placed || (a.placed === b.placed && a.key < b.key);
}
