/**
 * Assertions are for our own bugs, never for input. A failed one stops the partition (or the process)
 * that made it: wrong state must not be shown, snapshotted or sent on.
 */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

export function assert(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new AssertionError(reason);
}

/** Marks a branch that the types prove unreachable. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}
