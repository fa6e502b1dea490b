/**
 * The rows of a turn's frames by partition, those of each in the order of frames and rows: what a turn (`turn.ts`) and a replay
 * (`replay.ts`) hand to the partitions. All of it is flat, and its memory is used again.
 */
import { assert } from "../protocol/assert.ts";
import { CountingSort } from "../actors/counting-sort.ts";

/** Takes rows of one frame: `rows[from]` to before `rows[to]`, at least one. They are valid until it returns. */
export type TakeRows = (frame: number, rows: Int32Array, from: number, to: number) => void;

export class TurnRows {
  /** Of each row, frame by frame: its partition. */
  #partitions = new Int32Array(1_024);
  #count = 0;
  /** Where the rows of each frame begin. */
  readonly #firsts: number[] = [];
  readonly #sort = new CountingSort();
  #partitionCount = 0;

  clear(): void {
    this.#count = 0;
    this.#firsts.length = 0;
  }

  /** Takes the next frame by the partitions of its rows. */
  add(partitions: ArrayLike<number>): void {
    const first = this.#count;
    this.#firsts.push(first);
    this.#count += partitions.length;
    if (this.#count > this.#partitions.length) {
      const grown = new Int32Array(2 * this.#count);
      grown.set(this.#partitions);
      this.#partitions = grown;
    }
    this.#partitions.set(partitions, first);
  }

  /** To be called after the last frame. */
  sort(partitionCount: number): void {
    this.#sort.sort(this.#partitions, this.#count, partitionCount);
    this.#partitionCount = partitionCount;
  }

  has(partition: number): boolean {
    return this.#startOf(partition) < this.#startOf(partition + 1);
  }

  /** Hands out the rows of a partition, frame by frame; once, as it turns places among all rows into rows of frames. */
  take(partition: number, takeRows: TakeRows): void {
    const rows = this.#sort.order;
    const to = this.#startOf(partition + 1);
    let frame = 0;
    for (let from = this.#startOf(partition); from < to;) {
      while ((this.#firsts[frame + 1] ?? Infinity) <= (rows[from] ?? 0)) frame++;
      const first = this.#firsts[frame] ?? 0;
      const end = this.#firsts[frame + 1] ?? Infinity;
      let next = from;
      while (next < to && (rows[next] ?? 0) < end) {
        rows[next] = (rows[next] ?? 0) - first;
        next++;
      }
      takeRows(frame, rows, from, next);
      from = next;
    }
  }

  #startOf(partition: number): number {
    assert(partition <= this.#partitionCount, "a partition is one of those that rows were sorted by");
    return this.#sort.starts[partition] ?? 0;
  }
}
