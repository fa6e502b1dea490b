/**
 * Exact sums by place (`exact-sum.ts`): safe integers lie in flat memory, 8 bytes each; an `ExactSum` is made for a place only when
 * it gets a number that is none. The value at a place is both together.
 */
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { ExactSum, readInteger, writeInteger } from "./exact-sum.ts";
import { grown, NO_NUMBERS, type RowValues, type StateColumn } from "./state-column.ts";

export class ExactSums implements StateColumn {
  #wholes = NO_NUMBERS;
  /** As long as its highest place with a sum. */
  readonly #rests: (ExactSum | undefined)[] = [];

  grow(capacity: number): void {
    this.#wholes = grown(this.#wholes, capacity, 0);
  }

  addRows(places: Int32Array, { numbers }: RowValues, indexes: Int32Array, from: number, to: number): void {
    for (let at = from; at < to; at++) this.add(places[at] ?? 0, numbers[indexes[at] ?? 0] ?? 0);
  }

  /** Ignores what is not finite. */
  add(place: number, value: number): void {
    const whole = (this.#wholes[place] ?? 0) + value;
    // As in `ExactSum.add`: a safe integer plus a safe integer that looks safe is exact.
    if (Number.isSafeInteger(value) && Number.isSafeInteger(whole)) this.#wholes[place] = whole;
    else if (Number.isFinite(value)) this.#restAt(place).add(value);
  }

  merge(place: number, from: ExactSums, fromPlace: number): void {
    this.add(place, from.#wholes[fromPlace] ?? 0);
    const rest = from.#rests[fromPlace];
    if (rest !== undefined) this.#restAt(place).merge(rest);
  }

  write(place: number, writer: ByteWriter): void {
    const rest = this.#rests[place];
    if (rest === undefined) return writeInteger(writer, this.#wholes[place] ?? 0);
    // The value is both together, wherever they are: so nothing has to be made to add them up.
    rest.add(this.#wholes[place] ?? 0);
    this.#wholes[place] = 0;
    rest.write(writer);
  }

  read(place: number, reader: ByteReader): void {
    const whole = readInteger(reader);
    this.#wholes[place] = whole ?? 0;
    this.#setRest(place, whole === undefined ? ExactSum.read(reader) : undefined);
  }

  clear(place: number): void {
    this.#wholes[place] = 0;
    this.#setRest(place, undefined);
  }

  get placeBytes(): number {
    return 8;
  }

  objectBytesAt(place: number): number {
    return this.#rests[place]?.sizeBytes() ?? 0;
  }

  stateAt(place: number): ExactSum {
    const sum = new ExactSum();
    sum.add(this.#wholes[place] ?? 0);
    const rest = this.#rests[place];
    if (rest !== undefined) sum.merge(rest);
    return sum;
  }

  #restAt(place: number): ExactSum {
    const rest = this.#rests[place];
    if (rest !== undefined) return rest;
    const made = new ExactSum();
    this.#setRest(place, made);
    return made;
  }

  #setRest(place: number, rest: ExactSum | undefined): void {
    if (rest !== undefined) while (this.#rests.length <= place) this.#rests.push(undefined);
    if (place < this.#rests.length) this.#rests[place] = rest;
  }
}
