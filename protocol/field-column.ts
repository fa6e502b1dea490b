/**
 * One field of every row of a frame: its values, and in flat memory what the plain reader knows of them, so that those who ask the
 * same of the same text again and again are answered by its number, and numbers are read without an object for each.
 *
 *   kinds     the number of the text (`text-numbers.ts`), or NUMBER, or UNKNOWN
 *   numbers   the value, where kinds say NUMBER
 *   others    the value, where kinds do not
 *   hashes    of ids: the two words of the text's `nonZeroHash64`, where kinds have its number
 */
import type { FieldValue } from "./field-path.ts";
import { NO_TEXT_NUMBER } from "./text-numbers.ts";

/** In place of a text's number. */
export const UNKNOWN = NO_TEXT_NUMBER;
export const NUMBER = -1;

/** Kinds, numbers and hashes of several columns lie together; `first...` is where those of row 0 are. */
export class FieldColumn {
  readonly others: readonly FieldValue[];
  readonly kinds: Int32Array;
  readonly firstKind: number;
  readonly numbers: Float64Array;
  readonly firstNumber: number;
  readonly hashes: Uint32Array | undefined;
  readonly firstHash: number;

  constructor(
    others: readonly FieldValue[],
    kinds: Int32Array,
    firstKind: number,
    numbers: Float64Array = NO_NUMBERS,
    firstNumber = 0,
    hashes?: Uint32Array,
    firstHash = 0,
  ) {
    this.others = others;
    this.kinds = kinds;
    this.firstKind = firstKind;
    this.numbers = numbers;
    this.firstNumber = firstNumber;
    this.hashes = hashes;
    this.firstHash = firstHash;
  }

  /** Of values of which nothing else is known. */
  static of(values: readonly FieldValue[]): FieldColumn {
    return new FieldColumn(values, zeroKinds(values.length), 0);
  }

  value(row: number): FieldValue {
    return this.kind(row) === NUMBER ? this.numbers[this.firstNumber + row] : this.others[row];
  }

  /** The text's number, NUMBER or UNKNOWN. */
  kind(row: number): number {
    return this.kinds[this.firstKind + row] ?? UNKNOWN;
  }
}

const NO_NUMBERS = new Float64Array(0);
let zeros = new Int32Array(128);

/** Nobody writes there. */
function zeroKinds(count: number): Int32Array {
  if (zeros.length < count) zeros = new Int32Array(2 * count);
  return zeros;
}
