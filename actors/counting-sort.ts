/**
 * A stable sort of indexes by small keys: how many indexes each key has, then each index to its place. O(indexes + keys). Rows go
 * partition by partition (`workers/turn-rows.ts`) and pane by pane (`accepted-rows.ts`) with it. Its memory is used again.
 */
export class CountingSort {
  /** Indexes, those of key `k` from `starts[k]` to before `starts[k + 1]`, rising. Valid until the next sort. */
  order = new Int32Array(256);
  starts = new Int32Array(16);
  #next = new Int32Array(16);

  /** Sorts the indexes from 0 to before `count` by `keys[index]`, which are from 0 to before `keyCount`. */
  sort(keys: Int32Array, count: number, keyCount: number): void {
    if (this.order.length < count) this.order = new Int32Array(2 * count);
    if (this.starts.length < keyCount + 1) {
      this.starts = new Int32Array(2 * (keyCount + 1));
      this.#next = new Int32Array(2 * (keyCount + 1));
    }
    const { order, starts } = this;
    starts.fill(0, 0, keyCount + 1);
    for (let index = 0; index < count; index++) {
      const after = (keys[index] ?? 0) + 1;
      starts[after] = (starts[after] ?? 0) + 1;
    }
    for (let key = 0; key < keyCount; key++) starts[key + 1] = (starts[key + 1] ?? 0) + (starts[key] ?? 0);
    const next = this.#next;
    next.set(starts.subarray(0, keyCount));
    for (let index = 0; index < count; index++) {
      const key = keys[index] ?? 0;
      const place = next[key] ?? 0;
      order[place] = index;
      next[key] = place + 1;
    }
  }
}
