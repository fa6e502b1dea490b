/**
 * The rows that were last made ready to be looked up together (`SessionTable.prepare`), whatever table they are for: small, and its
 * memory is used again and again.
 */

/** So many rows are made ready at once. */
export const PREPARED_MAX = 128;

export const prepared = {
  /** 0: the table was too small for it to pay. */
  count: 0,
  /** By row: the hash of its id; 0 where that was not needed. */
  hashes: new Int32Array(PREPARED_MAX),
  /** Rows that were not known without their text, and what was found of them. */
  unknowns: new Int32Array(PREPARED_MAX),
  numbers: new Int32Array(PREPARED_MAX),
  /** What was seen, kept so that no compiler takes the touching away. */
  touched: 0,
};

/** The hash of the id that was the `index`th, from 0; 0 when it was not hashed. */
export function preparedHash(index: number): number {
  return index < prepared.count ? (prepared.hashes[index] ?? 0) : 0;
}
