/**
 * The buckets of DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
 * guarantees", VLDB 2019): each is gamma = (1 + a) / (1 - a) times as far from zero as the one before, so that one value stands
 * for all of its bucket within the relative error a = 1%.
 *
 *   key   ... -2 | -1 | 0            | 1              | 2 ...        N
 *   |x|               | below 1e-9   | up to 1e-9 * g | ... * g^2    up to 1e15 and all beyond
 *
 * A value finds its bucket through a table by its exponent and its 6 highest mantissa bits: such a slot is at most 1/64 wide,
 * less than a bucket, so it meets one border at most and one comparison decides. The borders come from multiplications alone:
 * no logarithm, which may differ between platforms, has a say in the bytes of a state.
 */
export const RELATIVE_ERROR = 0.01;
const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
/** Nearer to zero than this counts as zero. */
export const ZERO_BELOW = 1e-9;
/** Further away than this goes to the outermost bucket: there the estimate is only held by the exact minimum and maximum. */
export const OUTERMOST = 1e15;

/** Index = key; the bucket holds what is past the border before and up to its own. */
const borders = bordersUpTo(OUTERMOST);
export const BUCKET_KEY_MAX = borders.length - 1;

const SLOT_SHIFT = 20 - 6;
const bits = new DataView(new ArrayBuffer(8));
const FIRST_SLOT = slotOf(ZERO_BELOW);
const keyBySlot = keysOfSlots();

/** The key of a finite value: negative below zero, 0 around it. */
export function bucketKeyOf(value: number): number {
  const distance = value < 0 ? -value : value;
  if (distance < ZERO_BELOW) return 0;
  const key = distance >= OUTERMOST ? BUCKET_KEY_MAX : keyOf(distance);
  return value < 0 ? -key : key;
}

/** The value that stands for a bucket: within 1% of all that it holds, but for the outermost ones. */
export function bucketValueOf(key: number): number {
  if (key === 0) return 0;
  const border = borders[key < 0 ? -key : key] ?? Infinity;
  const value = border * (1 - RELATIVE_ERROR);
  return key < 0 ? -value : value;
}

function keyOf(distance: number): number {
  const key = keyBySlot[slotOf(distance) - FIRST_SLOT] ?? 0;
  return distance > (borders[key] ?? Infinity) ? key + 1 : key;
}

function slotOf(distance: number): number {
  bits.setFloat64(0, distance);
  return bits.getUint32(0) >>> SLOT_SHIFT;
}

function bordersUpTo(last: number): Float64Array {
  const all = [ZERO_BELOW];
  for (let border = ZERO_BELOW; border < last;) all.push((border *= GAMMA));
  return Float64Array.from(all);
}

/** The bucket of each slot's lowest value. */
function keysOfSlots(): Int16Array {
  const keys = new Int16Array(slotOf(OUTERMOST) - FIRST_SLOT + 1);
  let key = 1;
  for (let index = 0; index < keys.length; index++) {
    bits.setUint32(0, (FIRST_SLOT + index) << SLOT_SHIFT);
    bits.setUint32(4, 0);
    const lowest = bits.getFloat64(0);
    while (lowest > (borders[key] ?? Infinity)) key++;
    keys[index] = key;
  }
  return keys;
}
