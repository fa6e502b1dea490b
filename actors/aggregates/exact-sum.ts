/**
 * An exact sum of doubles: a superaccumulator (Kulisch; Neal, "Fast exact summation using small and large superaccumulators",
 * arXiv:1505.05571, the small one). Every finite double is a whole number of 2^-1074, so the sum is one big whole number; it
 * is kept as signed limbs of 32 bits, each in a double with room for carries, in a window just wide enough for the values:
 *
 *    limb       0 ...... base ................ base + limbs.length - 1 ...... 66
 *    weight     2^-1074                        2^(32 * limb - 1074)
 *
 * Whole numbers whose running sum stays safe bypass the limbs. The value is `whole` plus the limbs; nothing is rounded before
 * `rounded`, so order, batching and merging can't show. `write` settles the value first (carries done, sign apart, no outer
 * zeros, the short form for safe integers): equal sums write equal bytes. Exact up to 2^53 values.
 */
import { assert } from "../../protocol/assert.ts";
import type { ByteReader, ByteWriter } from "../../protocol/bytes.ts";
import { settle, settledInteger, settledLimbs, settledRounded, type Settled } from "./settled-sum.ts";

const LIMB = 2 ** 32;
/** Limbs hold at most 2^32 * (this + 1); two of them added stay below 2^53. */
const UNCARRIED_ADDS_MAX = 2 ** 19;
const NO_LIMBS: number[] = [];

/** Forms of the stored state. */
const POSITIVE_INTEGER = 0;
const NEGATIVE_INTEGER = 1;
const POSITIVE_LIMBS = 2;
const NEGATIVE_LIMBS = 3;

const bits = new DataView(new ArrayBuffer(8));

export class ExactSum {
  #whole = 0;
  #base = 0;
  /** Never changed in place while it is `NO_LIMBS`. */
  #limbs = NO_LIMBS;
  /** How many values the limbs took since carries were last done. */
  #uncarried = 0;

  /** The sum, where all of it is a safe integer that needs no limbs; else undefined. */
  get integer(): number | undefined {
    return this.#limbs.length === 0 ? this.#whole : undefined;
  }

  /** Ignores what is not finite. */
  add(value: number): void {
    const whole = this.#whole + value;
    // A safe integer plus a safe integer that looks safe is exact: rounding never crosses 2^53.
    if (Number.isSafeInteger(value) && Number.isSafeInteger(whole)) this.#whole = whole;
    else if (Number.isFinite(value)) this.#addToLimbs(value);
  }

  merge(from: ExactSum): void {
    this.add(from.#whole);
    const limbs = from.#limbs;
    if (limbs.length === 0) return;
    this.#cover(from.#base, from.#base + limbs.length);
    const shift = from.#base - this.#base;
    for (let index = 0; index < limbs.length; index++) this.#increase(shift + index, limbs[index] ?? 0);
    this.#uncarried += from.#uncarried + 1;
    if (this.#uncarried > UNCARRIED_ADDS_MAX) this.#carry();
  }

  /** The sum, rounded once, half to even; an infinity when it is too large for a double. */
  rounded(): number {
    return this.#limbs.length === 0 ? this.#whole : settledRounded(this.#settle(), 0);
  }

  /** The sum divided by how many numbers it has: two roundings, and no overflow on the way. */
  dividedBy(numbers: number): number {
    const total = this.rounded();
    if (Number.isFinite(total)) return total / numbers;
    return (settledRounded(this.#settle(), -64) / numbers) * 2 ** 64;
  }

  write(writer: ByteWriter): void {
    if (this.#limbs.length === 0) {
      writeInteger(writer, this.#whole);
      return;
    }
    const settled = this.#settle();
    const integer = settledInteger(settled);
    if (integer !== undefined) {
      writeInteger(writer, settled.negative ? -integer : integer);
      return;
    }
    writer.u8(settled.negative ? NEGATIVE_LIMBS : POSITIVE_LIMBS);
    writer.u8(settled.from);
    writer.u8(settled.to - settled.from);
    for (let limb = settled.from; limb < settled.to; limb++) writer.u32(settledLimbs[limb] ?? 0);
  }

  static read(reader: ByteReader): ExactSum {
    const state = new ExactSum();
    const form = reader.u8();
    assert(form <= NEGATIVE_LIMBS, "an exact sum has one of four forms");
    if (form <= NEGATIVE_INTEGER) {
      const integer = reader.varint();
      state.#whole = form === NEGATIVE_INTEGER ? -integer : integer;
      return state;
    }
    state.#base = reader.u8();
    state.#limbs = [];
    for (let left = reader.u8(); left > 0; left--) {
      const limb = reader.u32();
      state.#limbs.push(form === NEGATIVE_LIMBS ? 0 - limb : limb);
    }
    return state;
  }

  sizeBytes(): number {
    return 64 + (this.#limbs.length === 0 ? 0 : 56 + 8 * this.#limbs.length);
  }

  #addToLimbs(value: number): void {
    bits.setFloat64(0, value);
    const head = bits.getUint32(0);
    const low = bits.getUint32(4);
    const exponent = (head >>> 20) & 0x7ff;
    const high = exponent === 0 ? head & 0xfffff : (head & 0xfffff) | 0x100000;
    // The mantissa's lowest bit lies this many bits above 2^-1074; subnormals share the place of exponent 1.
    const place = exponent === 0 ? 0 : exponent - 1;
    const limb = place >>> 5;
    const shift = place & 31;
    if (limb < this.#base || limb + 3 > this.#base + this.#limbs.length) this.#cover(limb, limb + 3);
    const at = limb - this.#base;
    const sign = value < 0 ? -1 : 1;
    // `low >>> 1 >>> (31 - shift)` is `low >>> (32 - shift)` that also holds for shift 0.
    this.#increase(at, sign * ((low << shift) >>> 0));
    this.#increase(at + 1, sign * (((high << shift) | ((low >>> 1) >>> (31 - shift))) >>> 0));
    this.#increase(at + 2, sign * ((high >>> 1) >>> (31 - shift)));
    if (++this.#uncarried > UNCARRIED_ADDS_MAX) this.#carry();
  }

  #increase(index: number, by: number): void {
    this.#limbs[index] = (this.#limbs[index] ?? 0) + by;
  }

  /** Widens the window to hold limbs from `from` to before `to`. */
  #cover(from: number, to: number): void {
    const old = this.#limbs;
    const base = old.length === 0 ? from : Math.min(from, this.#base);
    const end = Math.max(to, this.#base + old.length);
    // Made at its exact length: pushing would keep room for 17, more than most sums ever need.
    this.#limbs = Array.from({ length: end - base }, (_, index) => old[base + index - this.#base] ?? 0);
    this.#base = base;
  }

  /** Brings every limb but the last below 2^32 in magnitude; the last is split as soon as it needs to be. */
  #carry(): void {
    let carry = 0;
    for (let index = 0; index < this.#limbs.length; index++) {
      const limb = (this.#limbs[index] ?? 0) + carry;
      carry = Math.trunc(limb / LIMB);
      this.#limbs[index] = limb - carry * LIMB;
    }
    if (carry !== 0) this.#limbs.push(carry);
    this.#uncarried = 0;
  }

  #settle(): Settled {
    return settle(this.#whole, this.#base, this.#limbs);
  }
}

/** Writes the state of a sum that is a safe integer. */
export function writeInteger(writer: ByteWriter, integer: number): void {
  writer.u8(integer < 0 ? NEGATIVE_INTEGER : POSITIVE_INTEGER);
  writer.varint(Math.abs(integer));
}

/** Reads the state of a sum when it is a safe integer; else reads nothing and gives undefined. */
export function readInteger(reader: ByteReader): number | undefined {
  const form = reader.peek();
  if (form > NEGATIVE_INTEGER) return undefined;
  reader.u8();
  const integer = reader.varint();
  return form === NEGATIVE_INTEGER ? -integer : integer;
}
