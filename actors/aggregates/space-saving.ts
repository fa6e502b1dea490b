/**
 * Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in data streams", ICDT 2005):
 * a bounded number of counters; a key without one takes over the lowest, and that count is its possible error.
 * `floor` is the most that any key without a counter may have had. Exact while it is 0, that is, while no more keys came than
 * there are counters: then order and merging can't show. After that
 *
 *    true count <= count <= true count + error,   error <= floor <= events / capacity
 *
 * holds over any sequence of adds and merges (Agarwal et al., "Mergeable summaries", PODS 2012: the merge below is theirs for
 * Misra-Gries, to which Space-Saving is isomorphic). What happens follows from counters and floor alone, never from the
 * order of maps or heaps, so that a state that was written and read goes on exactly as the one that was not.
 */
import { byCountThenKey, CounterHeap, type Counter } from "./counter-heap.ts";

export class SpaceSaving {
  readonly #capacity: number;
  #counters = new Map<string, Counter>();
  #floor = 0;
  /** The length of all keys together. */
  #keyUnits = 0;
  /** Made when a key first has to take over a counter; dropped by merges. */
  #heap: CounterHeap | undefined = undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get floor(): number {
    return this.#floor;
  }

  get size(): number {
    return this.#counters.size;
  }

  sizeBytes(): number {
    return 256 + 104 * this.#counters.size + this.#keyUnits;
  }

  counters(): Iterable<Counter> {
    return this.#counters.values();
  }

  countersByKey(): Counter[] {
    // Sorting texts without a comparing function is several times faster, and the order is the same: by UTF-16 units.
    const keys = [...this.#counters.keys()].sort();
    return keys.flatMap((key) => this.#counters.get(key) ?? []);
  }

  /** Counts a key that has a counter; false when it has none. */
  countKnown(key: string): boolean {
    const counter = this.#counters.get(key);
    if (counter === undefined) return false;
    counter.count++;
    return true;
  }

  /** Counts a key that has no counter yet. */
  countNew(key: string): void {
    if (this.#counters.size < this.#capacity) {
      this.put(key, this.#floor + 1, this.#floor);
      return;
    }
    this.#heap ??= new CounterHeap(this.#counters.values());
    const counter = this.#heap.lowest();
    this.#counters.delete(counter.key);
    this.#floor = counter.count;
    this.#keyUnits += key.length - counter.key.length;
    counter.key = key;
    counter.error = counter.count;
    counter.count++;
    this.#counters.set(key, counter);
  }

  /** Makes a counter for a key that has none. */
  put(key: string, count: number, error: number): void {
    this.#counters.set(key, { key, count, error, placed: count });
    this.#keyUnits += key.length;
    this.#heap = undefined;
  }

  restoreFloor(floor: number): void {
    this.#floor = floor;
  }

  /** A key that only one side has may have had up to the other side's floor there. */
  merge(from: SpaceSaving): void {
    const intoFloor = this.#floor;
    const floor = intoFloor + from.#floor;
    for (const counter of this.#counters.values()) {
      if (from.#counters.has(counter.key)) continue;
      counter.count += from.#floor;
      counter.error += from.#floor;
    }
    for (const { key, count, error } of from.#counters.values()) {
      const own = this.#counters.get(key);
      if (own === undefined) this.put(key, count + intoFloor, error + intoFloor);
      else {
        own.count += count;
        own.error += error;
      }
    }
    this.#floor = floor;
    this.#heap = undefined;
    if (this.#counters.size > this.#capacity) this.#keepHighest();
  }

  #keepHighest(): void {
    const sorted = [...this.#counters.values()].toSorted(byCountThenKey);
    this.#floor = sorted[this.#capacity]?.count ?? this.#floor;
    this.#counters = new Map(sorted.slice(0, this.#capacity).map((counter) => [counter.key, counter]));
    for (const { key } of sorted.slice(this.#capacity)) this.#keyUnits -= key.length;
  }
}
