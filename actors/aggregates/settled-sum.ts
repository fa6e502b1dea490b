/**
 * The canonical form of an exact sum (`exact-sum.ts`): sign and magnitude, the magnitude as limbs of 32 bits, and its rounding.
 * One scratch area holds the limbs of the sum settled last; a result is valid until the next call of `settle`.
 */
const LIMB = 2 ** 32;
const LIMBS_MAX = 72;
const MANTISSA_BITS = 53;
/** 1 is 2^1074 units: bit 18 of limb 33. */
const ONE_LIMB = 33;
const ONE = 2 ** 18;
/** The exponent field of infinities. */
const EXPONENT_MAX = 2047;

const bits = new DataView(new ArrayBuffer(8));

/** The limbs of the sum settled last; zero outside `from` to before `to`. */
export const settledLimbs = new Float64Array(LIMBS_MAX);

/** `settledLimbs` from `from` to before `to` is the magnitude, without zeros at either end; from = to for zero. */
export interface Settled {
  readonly negative: boolean;
  readonly from: number;
  readonly to: number;
}

/** Adds up `whole` and the limbs from `base` on. No limb is 2^53 or more in magnitude. */
export function settle(whole: number, base: number, limbs: readonly number[]): Settled {
  settledLimbs.fill(0);
  for (let index = 0; index < limbs.length; index++) settledLimbs[base + index] = limbs[index] ?? 0;
  // Past the highest limb there is room for its carry: below 2^21, one limb has it all.
  const first = whole === 0 ? base : Math.min(base, ONE_LIMB);
  const end = Math.min(LIMBS_MAX, (whole === 0 ? base + limbs.length : Math.max(base + limbs.length, ONE_LIMB + 2)) + 2);
  let negative = carryUp(first, end);
  if (whole !== 0) {
    // After the carries there is room again for up to 2^52 in each limb.
    const high = Math.trunc(whole / LIMB);
    addAt(ONE_LIMB, (whole - high * LIMB) * ONE);
    addAt(ONE_LIMB + 1, high * ONE);
    negative = carryUp(first, end);
  }
  if (negative) {
    for (let limb = first; limb < end; limb++) settledLimbs[limb] = 0 - (settledLimbs[limb] ?? 0);
    carryUp(first, end);
  }
  let to = end;
  while (to > 0 && settledLimbs[to - 1] === 0) to--;
  let from = Math.min(first, to);
  while (from < to && settledLimbs[from] === 0) from++;
  return { negative, from, to };
}

function addAt(limb: number, value: number): void {
  settledLimbs[limb] = (settledLimbs[limb] ?? 0) + value;
}

/** Brings every limb but the last before `end` into [0, 2^32); the last keeps the sign. True when it is negative. */
function carryUp(first: number, end: number): boolean {
  let carry = 0;
  const last = end - 1;
  for (let limb = first; limb < last; limb++) {
    const value = (settledLimbs[limb] ?? 0) + carry;
    carry = Math.floor(value / LIMB);
    settledLimbs[limb] = value - carry * LIMB;
  }
  addAt(last, carry);
  return (settledLimbs[last] ?? 0) < 0;
}

/** The magnitude when it is a safe integer. */
export function settledInteger({ from, to }: Settled): number | undefined {
  if (from === to) return 0;
  if (from < ONE_LIMB || to > ONE_LIMB + 3) return undefined;
  const low = (settledLimbs[ONE_LIMB] ?? 0) / ONE;
  const integer =
    low + ((settledLimbs[ONE_LIMB + 1] ?? 0) * LIMB) / ONE + ((settledLimbs[ONE_LIMB + 2] ?? 0) * LIMB * LIMB) / ONE;
  return Number.isInteger(low) && Number.isSafeInteger(integer) ? integer : undefined;
}

/** The nearest double, half to even, times 2^scaleExponent (which must not lead to subnormals). */
export function settledRounded({ negative, to }: Settled, scaleExponent: number): number {
  const bitLength = to === 0 ? 0 : 32 * to - Math.clz32(settledLimbs[to - 1] ?? 0);
  const magnitude =
    bitLength <= MANTISSA_BITS
      ? ((settledLimbs[0] ?? 0) + (settledLimbs[1] ?? 0) * LIMB) * Number.MIN_VALUE
      : roundAt(bitLength - MANTISSA_BITS, scaleExponent);
  return negative ? -magnitude : magnitude;
}

/** Rounds the magnitude to the 53 bits from bit `place` on, the highest of which is set. */
function roundAt(place: number, scaleExponent: number): number {
  const limb = place >>> 5;
  const shift = place & 31;
  const low = settledLimbs[limb] ?? 0;
  const middle = settledLimbs[limb + 1] ?? 0;
  const high = settledLimbs[limb + 2] ?? 0;
  const mantissaLow = ((low >>> shift) | ((middle << 1) << (31 - shift))) >>> 0;
  const mantissaHigh = ((middle >>> shift) | ((high << 1) << (31 - shift))) & 0x1fffff;
  const mantissa = mantissaHigh * LIMB + mantissaLow + (roundsUp(place, mantissaLow) ? 1 : 0);
  const exponent = place + 1 + scaleExponent;
  if (exponent >= EXPONENT_MAX) return Infinity;
  // Exponent and mantissa as one number: rounding up to 2^53 carries into the exponent, and past the last one makes Infinity.
  const fraction = mantissa - 2 ** (MANTISSA_BITS - 1);
  bits.setUint32(0, exponent * 2 ** 20 + Math.floor(fraction / LIMB));
  bits.setUint32(4, fraction % LIMB);
  return bits.getFloat64(0);
}

function roundsUp(place: number, mantissaLow: number): boolean {
  const below = place - 1;
  const limb = below >>> 5;
  const half = 2 ** (below & 31);
  const rest = (settledLimbs[limb] ?? 0) % (half * 2);
  if (rest !== half) return rest > half;
  for (let lower = 0; lower < limb; lower++) if (settledLimbs[lower] !== 0) return true;
  return (mantissaLow & 1) === 1;
}
