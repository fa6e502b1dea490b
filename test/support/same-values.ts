/**
 * Equality for values that any bytes may decode to: `assert.deepEqual`, but a date that is none equals another one. (Node's own
 * comparison takes two invalid dates for different, as NaN was before it learnt of it.)
 */
import assert from "node:assert/strict";
import { inspect, isDeepStrictEqual } from "node:util";

export function assertSameValues(actual: unknown, expected: unknown, message?: string): void {
  if (!isDeepStrictEqual(actual, expected)) assert.equal(whole(actual), whole(expected), message);
}

function whole(value: unknown): string {
  return inspect(value, { depth: null, maxArrayLength: null, maxStringLength: null });
}
