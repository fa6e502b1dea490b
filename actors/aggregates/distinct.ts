/** How many different texts (users, sessions, addresses) there were: exact up to 256 of them, an estimate beyond. */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import type { Aggregate } from "./aggregate.ts";
import { HyperLogLog, STANDARD_ERROR } from "./hyperloglog.ts";
import { hashValue } from "./key-text.ts";
import type { RowValues, StateColumn } from "./state-column.ts";

const hash = new Uint32Array(2);

export const distinct: Aggregate<HyperLogLog> = {
  name: "distinct",
  outputs: ["distinct"],
  bound: { kind: "standardError", value: STANDARD_ERROR },
  reads: "hash",
  empty: () => new HyperLogLog(),
  add(state, value) {
    hashValue(value, hash, 0);
    const [first = 0, second = 0] = hash;
    if (first !== 0 || second !== 0) state.addHash(first, second);
  },
  merge: (into, from) => into.merge(from),
  finish: (state) => [state.estimate()],
  write: (state, writer) => state.write(writer),
  read: (reader) => HyperLogLog.read(reader),
  sizeBytes: (state) => state.sizeBytes(),
  newColumn: () => new Distincts(),
};

/** A sketch for each pane. Rows come with the hashes of their texts, which were made when a text was first seen. */
class Distincts implements StateColumn {
  readonly #sketches: (HyperLogLog | undefined)[] = [];

  grow(capacity: number): void {
    while (this.#sketches.length < capacity) this.#sketches.push(undefined);
  }

  addRows(places: Int32Array, { hashes }: RowValues, indexes: Int32Array, from: number, to: number): void {
    const sketches = this.#sketches;
    for (let at = from; at < to; at++) {
      const index = indexes[at] ?? 0;
      const first = hashes[2 * index] ?? 0;
      const second = hashes[2 * index + 1] ?? 0;
      if (first !== 0 || second !== 0) (sketches[places[at] ?? 0] ??= new HyperLogLog()).addHash(first, second);
    }
  }

  merge(place: number, from: Distincts, fromPlace: number): void {
    const sketch = from.#sketches[fromPlace];
    if (sketch !== undefined) (this.#sketches[place] ??= new HyperLogLog()).merge(sketch);
  }

  write(place: number, writer: ByteWriter): void {
    (this.#sketches[place] ?? nothing).write(writer);
  }

  read(place: number, reader: ByteReader): void {
    this.#sketches[place] = HyperLogLog.read(reader);
  }

  clear(place: number): void {
    this.#sketches[place] = undefined;
  }

  get placeBytes(): number {
    return 8;
  }

  objectBytesAt(place: number): number {
    return this.#sketches[place]?.sizeBytes() ?? 0;
  }

  stateAt(place: number): HyperLogLog {
    return this.#sketches[place] ?? nothing;
  }
}

/** Nothing is ever added. */
const nothing = new HyperLogLog();
