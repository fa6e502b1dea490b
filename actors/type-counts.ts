/**
 * How often each event type came in a session. Few types, as nearly every session has, are a short list: it takes a third of a
 * Map's memory, and a type that came before is found by comparing references. More of them go to a Map; past
 * `limits.sessionTypesMax` all new ones are one. Which form it is shows in memory and speed only.
 */
import type { ByteReader, ByteWriter } from "../protocol/bytes.ts";
import { limits } from "../protocol/limits.ts";
import { OTHER_SERIES } from "../protocol/metric-definition.ts";

const LISTED_TYPES_MAX = 16;
/** Shared by all that have none, and never changed. */
const NO_TYPES: readonly string[] = [];
const NO_COUNTS: number[] = [];

export class TypeCounts {
  /** The first types that came, and the count of each. */
  #types = NO_TYPES;
  #counts = NO_COUNTS;
  /** Those that came later. */
  #more: Map<string, number> | undefined;

  add(type: string, count = 1): void {
    const at = this.#types.indexOf(type);
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + count;
    else this.#addElsewhere(type, count);
  }

  /** Estimated; texts are taken as short. */
  get sizeBytes(): number {
    return 64 * this.#types.length + 120 * (this.#more?.size ?? 0);
  }

  toMap(): Map<string, number> {
    const all = new Map(this.#types.map((type, at) => [type, this.#counts[at] ?? 0]));
    for (const [type, count] of this.#more ?? []) all.set(type, count);
    return all;
  }

  write(writer: ByteWriter): void {
    const sorted = [...this.toMap()].toSorted(([a], [b]) => (a < b ? -1 : 1));
    writer.varint(sorted.length);
    for (const [type, count] of sorted) {
      writer.text(type);
      writer.varint(count);
    }
  }

  read(reader: ByteReader): void {
    for (let left = reader.varint(); left > 0; left--) this.#put(reader.text(), reader.varint());
  }

  #addElsewhere(type: string, count: number): void {
    const known = this.#more?.get(type);
    if (known !== undefined) this.#more?.set(type, known + count);
    else if (this.#types.length + (this.#more?.size ?? 0) < limits.sessionTypesMax) this.#put(type, count);
    else if (this.#types.includes(OTHER_SERIES)) this.add(OTHER_SERIES, count);
    else (this.#more ??= new Map()).set(OTHER_SERIES, (this.#more.get(OTHER_SERIES) ?? 0) + count);
  }

  /** A type that is not there yet. */
  #put(type: string, count: number): void {
    if (this.#types.length === LISTED_TYPES_MAX) {
      (this.#more ??= new Map()).set(type, count);
      return;
    }
    // New lists of the exact length: growing in place would keep room for 17, and most sessions have few types.
    this.#types = [...this.#types, type];
    this.#counts = [...this.#counts, count];
  }
}
